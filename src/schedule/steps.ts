import { operandsOf } from '../circuit/operands.ts'
import { type CkksParameters, digitCount } from '../circuit/parameters/parameters.ts'
import type { Circuit, OpKind, ValueId } from '../circuit/types.ts'
import { wavesOf } from './waves.ts'

// The order in which the simd engine executes a circuit. It is settled here, and not in the engine, since it
// decides how much memory an execution takes, which a plan has to state.

/** Operations of one kind that do not depend on each other: their work is done in the same phases. */
export interface Step {
  /**
   * A refresh is done twice: in `refresh` the round's values leave for the client, in `return` they are
   * waited for.
   */
  readonly kind: OpKind | 'return'
  readonly ops: readonly ValueId[]
}

/**
 * Which of the ready kinds goes first: what frees memory or makes others ready, and rotations last, so that
 * as many as possible of one source are ready together.
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
  'refresh',
]

/** Operations this far ahead of the first one that is not done wait, so that few values are alive at once. */
const WINDOW = 4096

/** Memory that the digits of one batch of rotations may take. */
const DIGIT_BYTES = 96 * 2 ** 20
const RESIDUE_BYTES = 4

/**
 * Most distinct sources of the rotations of a batch: the digits of so many fit `DIGIT_BYTES` at the highest
 * level.
 */
export function maxRotationSources(parameters: CkksParameters): number {
  const { primes, specialPrimes, ring } = parameters
  const polynomialBytes = (primes.length + specialPrimes.length) * ring * RESIDUE_BYTES
  return Math.max(1, Math.floor(DIGIT_BYTES / (digitCount(parameters) * polynomialBytes)))
}

/**
 * Orders a circuit's operations in stepsOf: each operation once, in a batch behind those of its operands.
 * Rotations of a batch are of one level.
 *
 * A client works at one round while the engine does what other rounds are for: see `wavesOf`.
 *
 * @param maxSources most distinct sources of the rotations of a batch: each takes memory for its digits
 */
export function stepsOf({ ops }: Pick<Circuit, 'ops'>, maxSources: number): Step[] {
  const progress = new Progress(ops)
  const result: Step[] = []
  let returned = 0
  for (const wave of wavesOf(ops)) {
    for (; returned <= wave.after; returned++) {
      result.push({ kind: 'return', ops: progress.giveBack(returned) })
    }
    const scheduler = new Scheduler(ops, wave.ops, progress, maxSources)
    for (let batch = scheduler.next(); batch !== undefined; batch = scheduler.next()) result.push(batch)
  }
  return result
}

/** Which values are there. */
class Progress {
  /** Operands of each operation that are not there yet. */
  readonly #missing: Int32Array
  readonly #readers: ValueId[][]
  /** Refreshes of each round. */
  readonly #rounds: ValueId[][] = []

  constructor(ops: Circuit['ops']) {
    this.#readers = ops.map(() => [])
    this.#missing = Int32Array.from(ops, (op, id) => {
      if (op.kind === 'refresh') {
        this.#rounds[op.round] ??= []
        this.#rounds[op.round].push(id)
      }
      const operands = new Set(operandsOf(op))
      for (const operand of operands) this.#readers[operand].push(id)
      return operands.size
    })
  }

  isReady(id: ValueId): boolean {
    return this.#missing[id] === 0
  }

  /** A value is there. @returns what can be done only now */
  finish(id: ValueId): ValueId[] {
    return this.#readers[id].filter((reader) => {
      this.#missing[reader]--
      return this.isReady(reader)
    })
  }

  /** A round's values are there again. @returns its refreshes */
  giveBack(round: number): readonly ValueId[] {
    const ids = this.#rounds[round]
    for (const id of ids) this.finish(id)
    return ids
  }
}

/** Orders the operations of one wave. */
class Scheduler {
  readonly #ops: Circuit['ops']
  readonly #own: readonly ValueId[]
  readonly #isOwn: (id: ValueId) => boolean
  readonly #progress: Progress
  readonly #maxSources: number
  readonly #ready = new Map<OpKind, Set<ValueId>>()
  readonly #done = new Set<ValueId>()
  #first = 0

  constructor(ops: Circuit['ops'], own: readonly ValueId[], progress: Progress, maxSources: number) {
    this.#ops = ops
    this.#own = own
    const members = new Set(own)
    this.#isOwn = (id) => members.has(id)
    this.#progress = progress
    this.#maxSources = maxSources
    for (const id of own) if (progress.isReady(id)) this.#makeReady(id)
  }

  next(): Step | undefined {
    while (this.#first < this.#own.length && this.#done.has(this.#own[this.#first])) this.#first++
    if (this.#first === this.#own.length) return undefined
    return this.#nextBelow(this.#own[this.#first] + WINDOW) ?? this.#nextBelow(Infinity)
  }

  #nextBelow(limit: number): Step | undefined {
    for (const kind of ORDER) {
      const ids = [...(this.#ready.get(kind) ?? [])].filter((id) => id < limit).sort((a, b) => a - b)
      if (ids.length === 0) continue
      // All of a round go together: nothing else of the wave is left then.
      if (kind === 'refresh' && this.#done.size + ids.length < this.#own.length) continue
      const chosen = kind === 'rotate' ? this.#fewSources(ids) : ids
      for (const id of chosen) this.#finish(kind, id)
      return { kind, ops: chosen }
    }
    return undefined
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
    this.#done.add(id)
    // What is refreshed is there when it has come back.
    if (kind === 'refresh') return
    for (const reader of this.#progress.finish(id)) if (this.#isOwn(reader)) this.#makeReady(reader)
  }

  #makeReady(id: ValueId): void {
    const { kind } = this.#ops[id]
    const ready = this.#ready.get(kind) ?? new Set()
    ready.add(id)
    this.#ready.set(kind, ready)
  }
}
