import { operandsOf } from '../circuit/operands.ts'
import { type CkksParameters, digitCount } from '../circuit/parameters/parameters.ts'
import type { Circuit, EveryOpKind, OpKind, ValueId } from '../circuit/types.ts'
import { DIGIT_BYTES, RESIDUE_BYTES } from './limits.ts'
import { wavesOf } from './waves.ts'

// The order in which the simd engine executes a circuit. The order is decided here and not in the engine,
// because plans state the memory that it leads to.

/** Operations of one kind that do not depend on each other. Their work is done in the same phases. */
export interface Step {
  /** A refresh round has two steps: `refresh` sends its values to the client, `return` waits for them. */
  readonly kind: StepKind | 'return'
  readonly ops: readonly ValueId[]
}

/**
 * Kinds of operations, in steps of their own. Steps of rotations have conjugations too, which share the
 * decompositions of their sources.
 */
export type StepKind = Exclude<OpKind, 'conjugate'>

const stepKind = (kind: OpKind): StepKind => (kind === 'conjugate' ? 'rotate' : kind)

/**
 * The order of the kinds that are ready. Operations that free memory or make others ready go first. Rotations
 * go late, so that many rotations of one source are ready together.
 */
const ORDER = [
  'input',
  'dropLevel',
  'addPlain',
  'add',
  'subtract',
  'timesI',
  'dot',
  'multiply',
  'rescale',
  'relinearise',
  'rotate',
  'raise',
  'refresh',
] as const
ORDER satisfies EveryOpKind<[...typeof ORDER, 'conjugate']>

/**
 * Operations so far ahead of the first one that is not done have to wait, so that few values are alive at
 * once.
 */
const WINDOW = 4096
/**
 * The window of circuits with raised values. These are large, and one operation keeps all threads busy. The
 * window holds the rotations of a source, which share a decomposition.
 */
const WINDOW_OF_RAISED = 64

/**
 * Most values whose digits are in memory together, so that these fit `DIGIT_BYTES` at the highest level: the
 * distinct sources of one step's rotations and conjugations, its relinearisations, or its raises.
 */
export function maxDigitSources(parameters: CkksParameters): number {
  const { primes, specialPrimes, ring } = parameters
  const polynomialBytes = (primes.length + specialPrimes.length) * ring * RESIDUE_BYTES
  return Math.max(1, Math.floor(DIGIT_BYTES / (digitCount(parameters) * polynomialBytes)))
}

/**
 * Orders a circuit's operations in steps. Each operation is in one step, which follows the steps of its
 * operands. Rotations of a step are of one level. Steps of different waves overlap with the client's work:
 * see `wavesOf`.
 *
 * @param maxSources most values of a step whose digits take memory, as `maxDigitSources`
 */
export function stepsOf({ ops }: Pick<Circuit, 'ops'>, maxSources: number): Step[] {
  const progress = new Progress(ops)
  const window = ops.some(({ kind }) => kind === 'raise') ? WINDOW_OF_RAISED : WINDOW
  const result: Step[] = []
  let returned = 0
  for (const wave of wavesOf(ops)) {
    for (; returned <= wave.after; returned++) {
      result.push({ kind: 'return', ops: progress.giveBack(returned) })
    }
    const scheduler = new Scheduler(ops, wave.ops, progress, { maxSources, window })
    for (let step = scheduler.next(); step !== undefined; step = scheduler.next()) result.push(step)
  }
  return result
}

/** Keeps track of the values that exist. */
class Progress {
  /** Number of each operation's operands that do not exist yet. */
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

  /** Notes that a value exists. @returns the operations that this makes ready */
  finish(id: ValueId): ValueId[] {
    return this.#readers[id].filter((reader) => {
      this.#missing[reader]--
      return this.isReady(reader)
    })
  }

  /** Notes that a round's values have come back. @returns the round's refreshes */
  giveBack(round: number): readonly ValueId[] {
    const ids = this.#rounds[round]
    for (const id of ids) this.finish(id)
    return ids
  }
}

/** How far steps reach. */
interface Limits {
  readonly maxSources: number
  readonly window: number
}

/** Orders the operations of one wave. */
class Scheduler {
  readonly #ops: Circuit['ops']
  readonly #own: readonly ValueId[]
  readonly #isOwn: (id: ValueId) => boolean
  readonly #progress: Progress
  readonly #limits: Limits
  readonly #ready = new Map<StepKind, Set<ValueId>>()
  readonly #done = new Set<ValueId>()
  #first = 0

  constructor(ops: Circuit['ops'], own: readonly ValueId[], progress: Progress, limits: Limits) {
    this.#ops = ops
    this.#own = own
    const members = new Set(own)
    this.#isOwn = (id) => members.has(id)
    this.#progress = progress
    this.#limits = limits
    for (const id of own) if (progress.isReady(id)) this.#makeReady(id)
  }

  next(): Step | undefined {
    while (this.#first < this.#own.length && this.#done.has(this.#own[this.#first])) this.#first++
    if (this.#first === this.#own.length) return undefined
    return this.#nextBelow(this.#own[this.#first] + this.#limits.window) ?? this.#nextBelow(Infinity)
  }

  #nextBelow(limit: number): Step | undefined {
    for (const kind of ORDER) {
      const ids = [...(this.#ready.get(kind) ?? [])].filter((id) => id < limit).sort((a, b) => a - b)
      if (ids.length === 0) continue
      // All refreshes of a round are one step, the last of the wave.
      if (kind === 'refresh' && this.#done.size + ids.length < this.#own.length) continue
      const chosen = this.#withFewDigits(kind, ids)
      for (const id of chosen) this.#finish(kind, id)
      return { kind, ops: chosen }
    }
    return undefined
  }

  /** The first operations, as many as may have their digits in memory together. */
  #withFewDigits(kind: StepKind, ids: readonly ValueId[]): readonly ValueId[] {
    if (kind === 'rotate') return this.#fewSources(ids)
    return kind === 'relinearise' || kind === 'raise' ? ids.slice(0, this.#limits.maxSources) : ids
  }

  /** The rotations of the first sources that are of one level. */
  #fewSources(ids: readonly ValueId[]): ValueId[] {
    const { level } = this.#ops[ids[0]]
    const sources = new Set<ValueId>()
    return ids.filter((id) => {
      const op = this.#ops[id]
      if ((op.kind !== 'rotate' && op.kind !== 'conjugate') || op.level !== level) return false
      if (!sources.has(op.source) && sources.size >= this.#limits.maxSources) return false
      sources.add(op.source)
      return true
    })
  }

  #finish(kind: StepKind, id: ValueId): void {
    this.#ready.get(kind)?.delete(id)
    this.#done.add(id)
    // A refreshed value exists when the client has sent it back.
    if (kind === 'refresh') return
    for (const reader of this.#progress.finish(id)) if (this.#isOwn(reader)) this.#makeReady(reader)
  }

  #makeReady(id: ValueId): void {
    const kind = stepKind(this.#ops[id].kind)
    const ready = this.#ready.get(kind) ?? new Set()
    ready.add(id)
    this.#ready.set(kind, ready)
  }
}
