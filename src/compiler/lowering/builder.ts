import { GrowingConstants } from '../../circuit/constants/constant-table.ts'
import { periodForBatch } from '../../circuit/image-batch.ts'
import { type CiphertextType, type ModulusChain, type TypeLaws, typeLaws } from '../../circuit/laws.ts'
import type { Constant, ConstantId, LayerInfo, Op, Term, ValueId } from '../../circuit/types.ts'
import type { Node } from '../graph/graph.ts'
import type { ConstantStatistics } from '../graph/statistics.ts'
import { wrap } from '../packing/taps.ts'

/** How scales are chosen. All in bits. */
export interface ScalePolicy {
  /**
   * Values are rescaled whenever their scale stays at or above this afterwards (EVA, PLDI 2020, waterline).
   */
  readonly waterline: number
  /** The least by which a value is rescaled. */
  readonly step: number
  /** Bits by which the logits' error that one layer's rounded weights make lies below 1. */
  readonly rounding: number
  /** Scale of the fresh encryptions. */
  readonly input: number
}

/**
 * The chain that scales refer to, with the slots of one image. A draft's has primes yet to be chosen, each
 * when it is first divided by.
 */
export interface BuilderChain extends ModulusChain {
  /** Images that share the ciphertexts, for which `widen` makes the operations; one by default. */
  readonly batch?: number
  /** Chooses the prime of a level, of at most `bits` bits, unless it is chosen already. */
  choose?(level: number, bits: number): void
  /** A function that takes back all choices that are made from now on. */
  mark?(): () => void
}

type FactorNumbers = ReturnType<GrowingConstants['factorsOf']>

/** Slots of a constant, made only when a circuit is emitted; undefined when all of them are zero. */
export type MakeConstant = () => Constant | undefined

/** A constant before it is made. */
export interface ConstantDraft {
  readonly period: number
  /**
   * Root mean square of the values in slots where the sum that they are weights of has elements, as expected
   * from all weights of the layer: what noise is estimated from.
   */
  readonly gain: number
  /** Whether encoding at the scales it is used at rounds nothing. */
  readonly exact?: boolean
  readonly make: MakeConstant
  /** Whether `make` returns undefined, found without making anything; absent where it never does. */
  readonly isZero?: () => boolean
}

/** A weighted summand before its constant is known to be needed. */
export interface TermDraft {
  /** Called only when the constant is not zero, so that nothing is rotated for nothing. */
  readonly value: () => ValueId
  readonly constant: ConstantDraft
  /** How many such terms there are, in a draft; 1 by default. */
  readonly times?: number
}

/**
 * Appends operations in SSA form, typed by the circuit's laws. The same lowering code runs with `emit` false
 * to count operations for the planner: constants are then neither made nor stored, and one operation can
 * stand for the equal ones of several ciphertexts (see `eachCiphertext`).
 */
export class CircuitBuilder {
  readonly ops: Op[] = []
  readonly constants = new GrowingConstants()
  /**
   * Period in the ciphertexts' slots and size of each constant; in a draft, where constants are not made, one
   * entry for equal ones.
   */
  readonly statistics: ConstantStatistics[] = []
  readonly layers: LayerInfo[] = []
  /** Interleave of the tensor that each layer reads, which its rotation strategy goes by. */
  readonly interleaves: number[] = []
  /** How many equal operations each one stands for; 1 unless this is a draft. */
  readonly counts: number[] = []
  /** The nodes whose tensors are computed one after the other; one that is refreshed comes again. */
  readonly noiseSources: Node[] = []
  /** Which of them each operation is a part of. */
  readonly noiseSourceOf: number[] = []
  readonly chain: BuilderChain
  readonly policy: ScalePolicy
  readonly emit: boolean
  readonly #laws: TypeLaws
  readonly #types: CiphertextType[] = []
  readonly #rotations = new Memo()
  readonly #drops = new Memo()
  readonly #chains = new Memo()
  /** By twice the number of its factor, one more where it is exact: the number of each plain constant. */
  readonly #plainIds: (ConstantId | undefined)[] = []
  readonly #outerIds = new Map<string, ConstantId>()
  /** Constants of a draft by their sizes, for each period. */
  readonly #drafted = new Map<number, Map<number, ConstantId>>()
  #site = 0
  #times = 1
  #apart = 1

  constructor(chain: BuilderChain, policy: ScalePolicy, emit: boolean) {
    this.chain = chain
    this.#laws = typeLaws(chain)
    this.policy = policy
    this.emit = emit
  }

  /** Images that share the ciphertexts. */
  get batch(): number {
    return this.chain.batch ?? 1
  }

  type(id: ValueId): CiphertextType {
    return this.#types[id]
  }

  /** Ciphertexts of a tensor can only count as alike in a draft when their numbers are equal modulo this. */
  get apart(): number {
    return this.#apart
  }

  /** Makes what stands for `times` equal operations each, where that does not follow from what they read. */
  counted<T>(times: number, make: () => T): T {
    const before = this.#times
    this.#times = times
    const made = make()
    this.#times = before
    return made
  }

  /**
   * Makes once more, in a draft, what a convolution has made with the operations from `start` to `end` - 1,
   * but for rotations of what was there before, which are known.
   *
   * @returns the copy of `value`
   */
  again(start: ValueId, end: ValueId, value: ValueId): ValueId {
    const copies = new Map<ValueId, ValueId>()
    const copyOf = (id: ValueId): ValueId => copies.get(id) ?? id
    for (let id = start; id < end; id++) {
      const op = this.ops[id]
      if (op.kind === 'dot') copies.set(id, this.#push(op, this.type(id)))
      else if (op.kind === 'add') copies.set(id, this.add(copyOf(op.left), copyOf(op.right)))
      else if (op.kind !== 'rotate') throw new Error(`No convolution makes a ${op.kind}`)
      else if (copies.has(op.source)) copies.set(id, this.rotate(copyOf(op.source), op.steps))
    }
    return copyOf(value)
  }

  /**
   * Makes a tensor whose ciphertexts differ from their neighbours to what reads them. @param apart as the
   * property
   */
  keptApart<T>(apart: number, make: () => T): T {
    const before = this.#apart
    this.#apart = apart
    const made = make()
    this.#apart = before
    return made
  }

  /** Makes operations that compute a node's tensor: one site of errors. */
  within<T>(node: Node, make: () => T): T {
    const before = this.#site
    this.#site = this.noiseSources.push(node) - 1
    const made = make()
    this.#site = before
    return made
  }

  /** Starts a layer; operations that follow belong to it. @param interleave of the tensor that it reads */
  layer(info: LayerInfo, interleave = 1): void {
    this.layers.push(info)
    this.interleaves.push(interleave)
  }

  input(index: number): ValueId {
    const type = this.#laws.input(this.chain.topLevel, 2 ** this.policy.input)
    return this.#push({ kind: 'input', index }, type)
  }

  /** Rotation left by any number of steps; equal rotations of a value are made once. */
  rotate(source: ValueId, steps: number): ValueId {
    const positive = wrap(steps, this.chain.slots)
    if (positive === 0) return source
    const known = this.#rotations.get(source, positive)
    if (known !== undefined) return known
    const type = this.#laws.rotate(this.type(source), positive)
    const id = this.#push({ kind: 'rotate', source, steps: positive }, type, this.counts[source])
    this.#rotations.set(source, positive, id)
    return id
  }

  /**
   * Rotation by `count` times `unit` as a chain of rotations by `unit`: where neighbours of the chain are
   * needed anyway it costs no more rotations and a single key.
   */
  rotateBy(source: ValueId, count: number, unit: number): ValueId {
    if (count === 0) return source
    // Distinct for all counts and units.
    const key = count * 2 * this.chain.slots + unit
    const known = this.#chains.get(source, key)
    if (known !== undefined) return known
    const before = this.rotateBy(source, count - Math.sign(count), unit)
    const id = this.rotate(before, Math.sign(count) * unit)
    this.#chains.set(source, key, id)
    return id
  }

  /** Sum of value * constant, or undefined when all constants are zero. */
  dot(terms: readonly TermDraft[], constantScale: number): ValueId | undefined {
    const made: Term[] = []
    const types: CiphertextType[] = []
    for (const { value, constant, times = 1 } of terms) {
      const id = this.constant(constant)
      if (id === undefined) continue
      const term = { value: value(), constant: id }
      for (let i = 0; i < times; i++) made.push(term)
      types.push(this.type(term.value))
    }
    if (made.length === 0) return undefined
    const type = this.#laws.dot(types, constantScale)
    return this.#push({ kind: 'dot', terms: made, constantScale }, type)
  }

  addPlain(source: ValueId, constant: ConstantDraft): ValueId {
    const id = this.constant(constant)
    if (id === undefined) return source
    const type = this.#laws.addPlain(this.type(source))
    return this.#push({ kind: 'addPlain', source, constant: id }, type, this.counts[source])
  }

  add(left: ValueId, right: ValueId): ValueId {
    const type = this.#laws.add(this.type(left), this.type(right))
    return this.#push({ kind: 'add', left, right }, type, this.counts[left])
  }

  /** Product of two values of one level, relinearised. */
  multiply(left: ValueId, right: ValueId): ValueId {
    const count = this.counts[left]
    const type = this.#laws.multiply(this.type(left), this.type(right))
    const product = this.#push({ kind: 'multiply', left, right }, type, count)
    return this.#push({ kind: 'relinearise', source: product }, this.#laws.relinearise(type), count)
  }

  rescale(source: ValueId): ValueId {
    return this.#push({ kind: 'rescale', source }, this.#laws.rescale(this.type(source)), this.counts[source])
  }

  dropTo(source: ValueId, level: number): ValueId {
    const type = this.type(source)
    if (type.level === level) return source
    const known = this.#drops.get(source, level)
    if (known !== undefined) return known
    const id = this.#push(
      { kind: 'dropLevel', source },
      this.#laws.dropLevel(type, level),
      this.counts[source],
    )
    this.#drops.set(source, level, id)
    return id
  }

  /** The value at the highest level again, by way of the client. @param source at the refresh level */
  refresh(source: ValueId, round: number): ValueId {
    const type = this.#laws.refresh(this.type(source))
    return this.#push({ kind: 'refresh', source, round }, type, this.counts[source])
  }

  /** A function that takes back all operations that are appended from now on. */
  mark(): () => void {
    const ops = this.ops.length
    const layers = this.layers.length
    const noiseSources = this.noiseSources.length
    const unchoose = this.chain.mark?.()
    return () => {
      this.ops.length = ops
      this.layers.length = layers
      this.interleaves.length = layers
      this.#types.length = ops
      this.counts.length = ops
      this.noiseSourceOf.length = ops
      this.noiseSources.length = noiseSources
      unchoose?.()
      this.#rotations.forget(ops)
      this.#drops.forget(ops)
      this.#chains.forget(ops)
    }
  }

  /** Rescales as often as the waterline allows. */
  rescaleToWaterline(source: ValueId): ValueId {
    let id = source
    while (this.#canRescale(this.type(id))) id = this.rescale(id)
    return id
  }

  constant({ period, gain, exact = false, make, isZero }: ConstantDraft): ConstantId | undefined {
    if (isZero?.()) return undefined
    if (!this.emit) return this.#draftedId({ period: this.#wide(period), gain, exact })
    const constant = make()
    if (constant === undefined) return undefined
    const factors = this.constants.factorsOf(constant)
    return this.#knownId(factors, exact) ?? this.#newId(factors, { period, gain, exact })
  }

  #knownId([fine, coarse]: FactorNumbers, exact: boolean): ConstantId | undefined {
    return coarse === 0
      ? this.#plainIds[2 * fine + Number(exact)]
      : this.#outerIds.get(`${exact}:${fine}:${coarse}`)
  }

  #newId(factors: FactorNumbers, { period, gain, exact }: ConstantStatistics): ConstantId {
    this.statistics.push({ period: this.#wide(period), gain, exact })
    const id = this.constants.push(factors)
    const [fine, coarse] = factors
    if (coarse === 0) this.#plainIds[2 * fine + Number(exact)] = id
    else this.#outerIds.set(`${exact}:${fine}:${coarse}`, id)
    return id
  }

  #wide(period: number): number {
    return periodForBatch(period, this.batch)
  }

  #draftedId(statistics: ConstantStatistics): ConstantId {
    const { period, gain, exact } = statistics
    // Periods are positive.
    const key = exact ? -period : period
    let known = this.#drafted.get(key)
    if (known === undefined) {
      known = new Map()
      this.#drafted.set(key, known)
    }
    const id = known.get(gain) ?? this.statistics.push(statistics) - 1
    known.set(gain, id)
    return id
  }

  #canRescale({ level, scale }: CiphertextType): boolean {
    const { waterline, step } = this.policy
    const spare = Math.log2(scale) - waterline
    if (level === 0 || spare < step) return false
    this.chain.choose?.(level, spare)
    return scale / Number(this.chain.primes[level]) >= 2 ** waterline
  }

  #push(op: UntypedOp, type: CiphertextType, count = this.#times): ValueId {
    const { level, scale } = type
    this.#types.push(type)
    this.counts.push(count)
    this.noiseSourceOf.push(this.#site)
    return this.ops.push({ ...op, level, scale, layer: this.layers.length - 1 }) - 1
  }
}

/** Values that were made already, by what they are made from and a number. */
class Memo {
  readonly #values: (Map<number, ValueId> | undefined)[] = []
  /** The number of each value that was made, in order, with what it is made from. */
  readonly #made: { readonly source: ValueId; readonly detail: number; readonly id: ValueId }[] = []

  get(source: ValueId, detail: number): ValueId | undefined {
    return this.#values[source]?.get(detail)
  }

  set(source: ValueId, detail: number, id: ValueId): void {
    this.#values[source] ??= new Map()
    this.#values[source].set(detail, id)
    this.#made.push({ source, detail, id })
  }

  /** Forgets all values from a number on. */
  forget(from: ValueId): void {
    for (let last = this.#made.at(-1); last !== undefined && last.id >= from; last = this.#made.at(-1)) {
      this.#values[last.source]!.delete(last.detail)
      this.#made.pop()
    }
  }
}

/** An operation before it is typed. */
type UntypedOp = Op extends infer O ? (O extends Op ? Omit<O, 'level' | 'scale' | 'layer'> : never) : never
