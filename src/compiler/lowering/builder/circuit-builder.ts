import { type CiphertextType, type TypeLaws, typeLaws } from '../../../circuit/laws.ts'
import type { ConstantId, ConstantList, Op, Term, ValueId } from '../../../circuit/types.ts'
import type { Node } from '../../graph/graph.ts'
import type { ConstantStatistics } from '../../graph/statistics.ts'
import { wrap } from '../../packing/taps.ts'
import { type ConstantDraft, type ConstantPool, DraftConstants, StoredConstants } from './constant-pool.ts'
import { LayerList, type LoweredLayer } from './layer-list.ts'
import { NoiseSourceList } from './noise-source-list.ts'
import { OperationList, type UntypedOp } from './operation-list.ts'
import { type BuilderChain, canRescale, type ScalePolicy } from './scale-policy.ts'
import { Scoped } from './scoped.ts'
import { ValueMemo } from './value-memo.ts'

/** A weighted summand whose value is not computed yet. */
export interface TermDraft {
  /** Called only when the constant is not zero, so that no rotation is made for nothing. */
  readonly value: () => ValueId
  readonly constant: ConstantDraft
  /** Multiplicity of the term in a draft; 1 by default. */
  readonly times?: number
}

/**
 * A circuit has constants. A draft counts operations for the planner: it has no constants, and one operation
 * can stand for the equal operations of several ciphertexts (see `eachCiphertext`).
 */
export type BuilderOutput = 'circuit' | 'draft'

/**
 * Appends operations, typed by the circuit's laws. The same lowering code makes circuits and drafts. The
 * builder composes a list of operations, a list of layers, a list of noise sources, a constant pool and memos
 * of rotated and dropped values.
 */
export class CircuitBuilder {
  readonly chain: BuilderChain
  readonly policy: ScalePolicy
  readonly isDraft: boolean
  readonly ops: Op[]
  /** Multiplicity of each operation; 1 unless this is a draft. */
  readonly counts: readonly number[]
  /** Index of the noise source that each operation belongs to. */
  readonly noiseSourceOf: readonly number[]
  /** The node of each noise source. */
  readonly noiseSources: readonly Node[]
  /** For each noise source the variance that is known to enter there; undefined where operations decide. */
  readonly entering: readonly (number | undefined)[]
  readonly layers: readonly LoweredLayer[]
  readonly constants: ConstantList
  /** Period in the ciphertexts' slots and gain of each constant. */
  readonly statistics: readonly ConstantStatistics[]
  readonly #laws: TypeLaws
  readonly #operations = new OperationList()
  readonly #layers = new LayerList()
  readonly #noiseSources = new NoiseSourceList()
  readonly #pool: ConstantPool
  readonly #rotations = new ValueMemo()
  readonly #conjugates = new ValueMemo()
  readonly #drops = new ValueMemo()
  readonly #chains = new ValueMemo()
  readonly #multiplicity = new Scoped(1)
  readonly #replicateStride = new Scoped(1)

  constructor(chain: BuilderChain, policy: ScalePolicy, output: BuilderOutput) {
    this.chain = chain
    this.policy = policy
    this.isDraft = output === 'draft'
    const { slots, primes, topLevel } = chain
    this.#laws = typeLaws({ slots: slots * this.copies, primes, topLevel })
    this.#pool = this.isDraft ? new DraftConstants(this.batch) : new StoredConstants(this.batch)
    this.ops = this.#operations.ops
    this.counts = this.#operations.counts
    this.noiseSourceOf = this.#operations.noiseSourceOf
    this.noiseSources = this.#noiseSources.nodes
    this.entering = this.#noiseSources.entering
    this.layers = this.#layers.layers
    this.constants = this.#pool.constants
    this.statistics = this.#pool.statistics
  }

  /** Images that share a ciphertext. */
  get batch(): number {
    return this.chain.batch ?? 1
  }

  /** Copies of the image in its slots. */
  get copies(): number {
    return this.chain.copies ?? 1
  }

  /** Level of inputs and of refreshed values. */
  get inputLevel(): number {
    return this.chain.inputLevel ?? this.chain.topLevel
  }

  type(id: ValueId): CiphertextType {
    return this.#operations.type(id)
  }

  /**
   * Two ciphertexts of a tensor can be replicates of each other in a draft only when their indices are equal
   * modulo this number.
   */
  get replicateStride(): number {
    return this.#replicateStride.value
  }

  /** Runs `make` with another `replicateStride`. */
  withReplicateStride<T>(stride: number, make: () => T): T {
    return this.#replicateStride.during(stride, make)
  }

  /**
   * Runs `make` with a multiplicity for operations that do not take theirs from an operand: inputs, dots and
   * products of dots.
   */
  withMultiplicity<T>(multiplicity: number, make: () => T): T {
    return this.#multiplicity.during(multiplicity, make)
  }

  /**
   * Runs `make`, whose operations compute a node's tensor, under a noise source of their own.
   *
   * @param entering variance of the error in each element, for operations that the noise model does not
   *   describe
   */
  within<T>(node: Node, make: () => T, entering?: number): T {
    return this.#noiseSources.within(node, make, entering)
  }

  /** Starts a layer. All operations that follow belong to it. */
  layer(layer: LoweredLayer): void {
    this.#layers.start(layer)
  }

  input(index: number): ValueId {
    const type = this.#laws.input(this.inputLevel, 2 ** this.policy.input)
    return this.#push({ kind: 'input', index }, type)
  }

  /** Rotates left by any number of steps. Equal rotations of a value are one operation. */
  rotate(source: ValueId, steps: number): ValueId {
    return this.#rotate(source, wrap(steps, this.chain.slots))
  }

  /** Rotates left by whole copies of the image, fewer than there are. */
  rotateCopies(source: ValueId, copies: number): ValueId {
    return this.#rotate(source, copies * this.chain.slots)
  }

  #rotate(source: ValueId, positive: number): ValueId {
    if (positive === 0) return source
    const known = this.#rotations.get(source, positive)
    if (known !== undefined) return known
    const type = this.#laws.rotate(this.type(source), positive)
    const id = this.#push({ kind: 'rotate', source, steps: positive }, type, this.counts[source])
    this.#rotations.set(source, positive, id, this.ops.length)
    return id
  }

  /** The complex conjugates of a value's slots. Equal conjugates are one operation. */
  conjugate(source: ValueId): ValueId {
    const known = this.#conjugates.get(source, 0)
    if (known !== undefined) return known
    const type = this.#laws.conjugate(this.type(source))
    const id = this.#push({ kind: 'conjugate', source }, type, this.counts[source])
    this.#conjugates.set(source, 0, id, this.ops.length)
    return id
  }

  /** The slots of a value times i. */
  timesI(source: ValueId): ValueId {
    const type = this.#laws.timesI(this.type(source))
    return this.#push({ kind: 'timesI', source }, type, this.counts[source])
  }

  /**
   * Rotates by `count` times `unit` as a chain of rotations by `unit`. The chain needs a single key, and no
   * more rotations than direct ones where all links of the chain are needed.
   */
  rotateBy(source: ValueId, count: number, unit: number): ValueId {
    if (count === 0) return source
    // Distinct for all counts and units.
    const key = count * 2 * this.chain.slots + unit
    const known = this.#chains.get(source, key)
    if (known !== undefined) return known
    const before = this.rotateBy(source, count - Math.sign(count), unit)
    const id = this.rotate(before, Math.sign(count) * unit)
    this.#chains.set(source, key, id, this.ops.length)
    return id
  }

  /** Sum of value * constant; undefined when all constants are zero, or round to zero at `constantScale`. */
  dot(drafts: readonly TermDraft[], constantScale: number): ValueId | undefined {
    const terms: Term[] = []
    const types: CiphertextType[] = []
    for (const { value, constant, times = 1 } of drafts) {
      const id = this.constant(constant)
      if (id === undefined) continue
      const term = { value: value(), constant: id }
      for (let i = 0; i < times; i++) terms.push(term)
      types.push(this.type(term.value))
    }
    if (terms.every(({ constant }) => this.#pool.roundsToZero(constant, constantScale))) return undefined
    const type = this.#laws.dot(types, constantScale)
    return this.#push({ kind: 'dot', terms, constantScale }, type)
  }

  /** Appends a copy of a dot, with the multiplicity of the moment. The copy shares the list of terms. */
  repeatDot(id: ValueId): ValueId {
    const op = this.ops[id]
    if (op.kind !== 'dot') throw new Error(`Operation ${id} is a ${op.kind}, not a dot`)
    return this.#push(op, this.type(id))
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

  subtract(left: ValueId, right: ValueId): ValueId {
    const type = this.#laws.add(this.type(left), this.type(right))
    return this.#push({ kind: 'subtract', left, right }, type, this.counts[left])
  }

  /** Product of two values of one level, to be relinearised. */
  multiply(left: ValueId, right: ValueId): ValueId {
    const type = this.#laws.multiply(this.type(left), this.type(right))
    return this.#push({ kind: 'multiply', left, right }, type, this.counts[left])
  }

  /** A product, or a sum of products, back in two polynomials. */
  relinearise(source: ValueId): ValueId {
    const type = this.#laws.relinearise(this.type(source))
    return this.#push({ kind: 'relinearise', source }, type, this.counts[source])
  }

  rescale(source: ValueId): ValueId {
    return this.#push({ kind: 'rescale', source }, this.#laws.rescale(this.type(source)), this.counts[source])
  }

  /** Rescales as often as the waterline allows. */
  rescaleToWaterline(source: ValueId): ValueId {
    let id = source
    while (canRescale(this.type(id), this.policy, this.chain)) id = this.rescale(id)
    return id
  }

  /** The value at a lower level; the value itself when it is there already. */
  dropTo(source: ValueId, level: number): ValueId {
    const type = this.type(source)
    if (type.level === level) return source
    const known = this.#drops.get(source, level)
    if (known !== undefined) return known
    const dropped = this.#laws.dropLevel(type, level)
    const id = this.#push({ kind: 'dropLevel', source }, dropped, this.counts[source])
    this.#drops.set(source, level, id, this.ops.length)
    return id
  }

  /** Brings a value back to the highest level through the client. @param source at the refresh level */
  refresh(source: ValueId, round: number): ValueId {
    const type = this.#laws.refresh(this.type(source))
    return this.#push({ kind: 'refresh', source, round }, type, this.counts[source])
  }

  /**
   * Brings a value from the raise level to the highest level, with multiples of the raise level's modulus.
   */
  raise(source: ValueId): ValueId {
    return this.#push({ kind: 'raise', source }, this.#laws.raise(this.type(source)), this.counts[source])
  }

  /** The id of a constant; undefined when all of its slots are zero. */
  constant(constant: ConstantDraft): ConstantId | undefined {
    return this.#pool.idOf(constant)
  }

  /** Returns a function that removes all operations, layers and noise sources that are added later. */
  mark(): () => void {
    const ops = this.ops.length
    const layers = this.layers.length
    const noiseSources = this.noiseSources.length
    const undoChoices = this.chain.mark?.()
    return () => {
      this.#operations.truncate(ops)
      this.#layers.truncate(layers)
      this.#noiseSources.truncate(noiseSources)
      undoChoices?.()
      for (const memo of [this.#rotations, this.#conjugates, this.#drops, this.#chains]) memo.truncate(ops)
    }
  }

  #push(op: UntypedOp, type: CiphertextType, count = this.#multiplicity.value): ValueId {
    const place = { layer: this.#layers.current, noiseSource: this.#noiseSources.current }
    return this.#operations.append(op, type, place, count)
  }
}
