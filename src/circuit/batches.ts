import { operandsOf } from './operands.ts'
import { type CkksParameters, digitCount } from './parameters.ts'
import { refreshRounds } from './refresh.ts'
import type { Circuit, Op, OpKind, ValueId } from './types.ts'

// The order in which the simd engine executes a circuit. It is settled here, and not in the engine, since it decides how
// much memory an execution takes, which a plan has to state.

/** Operations of one kind that do not depend on each other: their work is done in the same phases. */
export interface Batch {
  readonly kind: OpKind
  readonly ops: readonly ValueId[]
}

/**
 * Which of the ready kinds goes first: what frees memory or makes others ready, and rotations last, so that as many as
 * possible of one source are ready together.
 */
const ORDER: readonly OpKind[] = [
  'input',
  'dropLevel',
  'addPlain',
  'add',
  'subtract',
  'dot',
  'multiply',
  'rescale',
  'relinearise',
  'rotate',
  // All else that can be done is done before anybody waits for the client.
  'refresh',
]

/** Operations this far ahead of the first one that is not done wait, so that few values are alive at once. */
const WINDOW = 4096

/** Memory that the digits of one batch of rotations may take. */
const DIGIT_BYTES = 96 * 2 ** 20
const RESIDUE_BYTES = 4

/** Most distinct sources of the rotations of a batch: the digits of so many fit `DIGIT_BYTES` at the highest level. */
export function maxRotationSources(parameters: CkksParameters): number {
  const { primes, specialPrimes, ring } = parameters
  const polynomialBytes = (primes.length + specialPrimes.length) * ring * RESIDUE_BYTES
  return Math.max(1, Math.floor(DIGIT_BYTES / (digitCount(parameters) * polynomialBytes)))
}

/**
 * Orders a circuit's operations in batches: each operation once, in a batch behind those of its operands. Rotations of a
 * batch are of one level.
 *
 * @param maxSources most distinct sources of the rotations of a batch: each takes memory for its digits
 */
export function batches({ ops }: Pick<Circuit, 'ops'>, maxSources: number): Batch[] {
  const scheduler = new Scheduler(ops, maxSources)
  const result: Batch[] = []
  for (let batch = scheduler.next(); batch !== undefined; batch = scheduler.next()) result.push(batch)
  return result
}

class Scheduler {
  readonly #ops: Circuit['ops']
  readonly #maxSources: number
  /** Operands of each operation that are not there yet. */
  readonly #missing: Int32Array
  readonly #readers: ValueId[][]
  readonly #ready = new Map<OpKind, Set<ValueId>>()
  readonly #done: Uint8Array
  /** Refreshes of each round. */
  readonly #rounds: readonly number[]
  #first = 0

  constructor(ops: Circuit['ops'], maxSources: number) {
    this.#ops = ops
    this.#maxSources = maxSources
    this.#rounds = refreshRounds({ ops })
    this.#readers = ops.map(() => [])
    this.#done = new Uint8Array(ops.length)
    this.#missing = Int32Array.from(ops, (op, id) => {
      const operands = new Set(operandsOf(op))
      for (const operand of operands) this.#readers[operand].push(id)
      return operands.size
    })
    ops.forEach((_, id) => {
      if (this.#missing[id] === 0) this.#makeReady(id)
    })
  }

  next(): Batch | undefined {
    while (this.#first < this.#ops.length && this.#done[this.#first] === 1) this.#first++
    return this.#nextBelow(this.#first + WINDOW) ?? this.#nextBelow(Infinity)
  }

  #nextBelow(limit: number): Batch | undefined {
    for (const kind of ORDER) {
      const ids = [...(this.#ready.get(kind) ?? [])].filter((id) => id < limit).sort((a, b) => a - b)
      if (ids.length === 0) continue
      const chosen = this.#chosen(kind, ids)
      if (chosen.length === 0) continue
      for (const id of chosen) this.#finish(kind, id)
      return { kind, ops: chosen }
    }
    return undefined
  }

  #chosen(kind: OpKind, ids: readonly ValueId[]): readonly ValueId[] {
    if (kind === 'rotate') return this.#fewSources(ids)
    return kind === 'refresh' ? this.#wholeRound(ids) : ids
  }

  /** The refreshes of a round, once all of them are ready. */
  #wholeRound(ids: readonly ValueId[]): ValueId[] {
    const roundOf = (id: ValueId): number => (this.#ops[id] as Extract<Op, { kind: 'refresh' }>).round
    const round = Math.min(...ids.map(roundOf))
    const ready = ids.filter((id) => roundOf(id) === round)
    return ready.length === this.#rounds[round] ? ready : []
  }

  /** Rotations of the first sources, all of one level. */
  #fewSources(ids: readonly ValueId[]): ValueId[] {
    const { level } = this.#ops[ids[0]]
    const sources = new Set<ValueId>()
    return ids.filter((id) => {
      const op = this.#ops[id]
      if (op.kind !== 'rotate' || op.level !== level) return false
      if (!sources.has(op.source) && sources.size >= this.#maxSources) return false
      sources.add(op.source)
      return true
    })
  }

  #finish(kind: OpKind, id: ValueId): void {
    this.#ready.get(kind)?.delete(id)
    this.#done[id] = 1
    for (const reader of this.#readers[id]) {
      this.#missing[reader]--
      if (this.#missing[reader] === 0) this.#makeReady(reader)
    }
  }

  #makeReady(id: ValueId): void {
    const { kind } = this.#ops[id]
    const ready = this.#ready.get(kind) ?? new Set()
    ready.add(id)
    this.#ready.set(kind, ready)
  }
}
