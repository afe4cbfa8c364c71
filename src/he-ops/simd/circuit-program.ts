import { galoisElement } from '../../circuit/keys.ts'
import type { Circuit, ConstantId, Op, OpKind, ValueId } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { maxRotationSources, type Step, stepsOf } from '../../schedule/steps.ts'
import { Work } from '../../schedule/work.ts'
import type { ConstantStore } from './constants/constant-store.ts'
import type { SimdContext } from './context.ts'
import {
  allocateFlooding,
  type EgressOptions,
  egressScratch,
  emitEgress,
  emitIngress,
  emitOutput,
  freeRound,
  type Output,
  type RefreshRound,
  type Stop,
} from './egress.ts'
import type { SimdKeys } from './keys/key-set.ts'
import { type Division, emitDivisions } from './operations/divide.ts'
import { emitDots, emitMixedSums, type MixedSum } from './operations/dot.ts'
import {
  type Binary,
  emitBinaries,
  emitPlainSums,
  emitProducts,
  type PlainSum,
} from './operations/elementwise.ts'
import { emitRelinearisations, emitRotations } from './operations/key-switch.ts'
import type { Dot } from './operations/weighted-sum.ts'
import type { ProgramBuilder } from './program/program.ts'
import { type LinkedProgram, linkProgram } from './threads/run.ts'
import { Storage } from './values/storage.ts'
import type { Value } from './values/values.ts'

/**
 * A circuit as a program, with where its inputs go and its result will be. It can be run any number of times;
 * each run overwrites inputs and result.
 */
export interface CircuitProgram extends LinkedProgram {
  /** By the index of the input: two polynomials at the input's level; to be filled before each run. */
  readonly inputs: readonly Value[]
  /** Two polynomials at the result's level, there after a run until the next one. */
  readonly result: Value
  /** By the number of the round. */
  readonly refreshes: readonly RefreshRound[]
  /** What the program stops for, in order: before its end, at `program.stops`. */
  readonly stops: readonly Stop[]
  /** The result as it leaves, in programs that have a border. */
  readonly output: Output | undefined
}

/**
 * Compiles a verified circuit to a program on concrete memory: which operations go together, which values
 * stay in the extended basis, and where everything lies are all settled here.
 *
 * @param keys that the program reads, one for each rotation of the circuit; they must outlive it
 * @param constants of the circuit, encoded here as needed; must outlive the program
 * @param threads that will run it; results are the same for any number
 * @param border that values pass; without it the circuit has no refreshes, and its result stays in the engine
 * @returns a program whose memory is its own until `free`
 * @throws KEYS_MISSING; TOO_LARGE when memory does not suffice; LEVEL_EXHAUSTED or CONFIG_INVALID when a
 *   constant does not fit its level or all weights of a sum round to zero. Only encoded constants and tables
 *   of the context are left then
 */
export function compileCircuit(
  context: SimdContext,
  circuit: Pick<Circuit, 'ops' | 'result'>,
  keys: SimdKeys,
  constants: ConstantStore,
  threads: number,
  border?: EgressOptions,
): CircuitProgram {
  const order = stepsOf(circuit, maxRotationSources(context.parameters))
  const work = new Work({ ...circuit, specialPrimes: context.parameters.specialPrimes.length })
  let ends: ReturnType<CircuitEmitter['emit']> | undefined
  const scratch = border ? egressScratch(context, egressLevels(circuit), refreshedLevels(circuit)) : 0
  const linked = linkProgram(context, threads, Math.max(context.limbBytes, scratch), (builder) => {
    ends = new CircuitEmitter(builder, context, circuit, keys, constants, work, border).emit(order)
  })
  return { ...linked, ...ends! }
}

/** Levels of the ciphertexts that the client gets to see. */
export const egressLevels = ({ ops, result }: Pick<Circuit, 'ops' | 'result'>): number[] => [
  ...new Set([ops[result].level, ...refreshedLevels({ ops })]),
]

/** Levels from which values are refreshed. */
const refreshedLevels = ({ ops }: Pick<Circuit, 'ops'>): number[] => [
  ...new Set(ops.flatMap((op) => (op.kind === 'refresh' ? [ops[op.source].level] : []))),
]

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>

/** Emits the phases of each batch and frees what nobody reads any more. */
class CircuitEmitter {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #circuit: Pick<Circuit, 'ops' | 'result'>
  readonly #keys: SimdKeys
  readonly #constants: ConstantStore
  readonly #work: Work
  readonly #border: EgressOptions | undefined
  readonly #storage: Storage
  readonly #refreshes: RefreshRound[] = []
  readonly #stops: Stop[] = []
  /** Readers of each value that have not run. */
  readonly #left: Int32Array

  constructor(
    builder: ProgramBuilder,
    context: SimdContext,
    circuit: Pick<Circuit, 'ops' | 'result'>,
    keys: SimdKeys,
    constants: ConstantStore,
    work: Work,
    border: EgressOptions | undefined,
  ) {
    this.#builder = builder
    this.#context = context
    this.#circuit = circuit
    this.#keys = keys
    this.#constants = constants
    this.#work = work
    this.#border = border
    this.#storage = new Storage(builder, context)
    this.#left = work.readerCounts(circuit.result)
  }

  emit(order: readonly Step[]): Omit<CircuitProgram, keyof LinkedProgram> {
    const border = this.#border
    const { level } = this.#circuit.ops[this.#circuit.result]
    const flooding = border && allocateFlooding(this.#builder, border, level)
    const inputs = this.#createInputs()
    for (const { kind, ops } of order) {
      if (kind === 'return') {
        this.#return(ops)
        continue
      }
      this.#builder.done += ops.length
      this.#emitBatch(kind, ops)
      for (const id of ops) this.#releaseOperands(id)
    }
    const result = this.#storage.get(this.#circuit.result)
    const output = border && emitOutput(this.#builder, this.#context, border, result, flooding!)
    return { inputs, result, refreshes: this.#refreshes, stops: this.#stops, output }
  }

  /** All inputs are there from the beginning, in memory that holds nothing else before they are read. */
  #createInputs(): Value[] {
    const inputs: Value[] = []
    this.#circuit.ops.forEach((op, id) => {
      if (op.kind === 'input') inputs[op.index] = this.#storage.create(id, op, 2)
    })
    return inputs
  }

  #emitBatch(kind: OpKind, ids: readonly ValueId[]): void {
    switch (kind) {
      case 'input':
        return
      case 'dropLevel':
        for (const id of ids) this.#dropLevel(id)
        return
      case 'addPlain':
        this.#addPlain(ids)
        return
      case 'add':
      case 'subtract':
        this.#combine(ids)
        return
      case 'dot':
        this.#dot(ids)
        return
      case 'multiply':
        this.#multiply(ids)
        return
      case 'rescale':
        this.#rescale(ids)
        return
      case 'relinearise':
        this.#relinearise(ids)
        return
      case 'rotate':
        this.#rotate(ids)
        return
      case 'refresh':
        this.#refresh(ids)
    }
  }

  #op<K extends OpKind>(id: ValueId): OpOf<K> {
    return this.#circuit.ops[id] as OpOf<K>
  }

  /** The same polynomials, of which fewer primes are read. */
  #dropLevel(id: ValueId): void {
    const op = this.#op<'dropLevel'>(id)
    this.#storage.alias(id, { ...this.#storage.get(op.source), primes: op.level + 1 })
  }

  #addPlain(ids: readonly ValueId[]): void {
    const work = ids.map((id) => {
      const op = this.#op<'addPlain'>(id)
      const from = this.#storage.get(op.source)
      const primes = op.level + 1
      const addend = this.#addend(op.constant, op.scale, primes)
      const polynomials = [this.#storage.polynomial(primes), from.polynomials[1]]
      return { from, addend, out: this.#storage.alias(id, { polynomials, primes, extended: false }) }
    })
    emitPlainSums(this.#builder, this.#context, work)
  }

  #addend(constant: ConstantId, scale: number, primes: number): PlainSum['addend'] {
    const constants = this.#constants
    if (!constants.isExpanded(constant, scale, 'addend')) {
      return constants.encoded(constant, scale, primes, 'addend')
    }
    return { doubles: constants.doubles(constant, scale, primes) }
  }

  #combine(ids: readonly ValueId[]): void {
    const plain: Binary[] = []
    const mixed: MixedSum[] = []
    this.#computing(ids, (id, out) => {
      const { kind, left, right } = this.#op<'add' | 'subtract'>(id)
      const sum = { kind, left: this.#storage.get(left), right: this.#storage.get(right), out }
      if (sum.left.extended === sum.right.extended) plain.push(sum)
      else mixed.push(sum)
    })(() => {
      emitBinaries(this.#builder, this.#context, plain)
      emitMixedSums(this.#builder, this.#context, mixed)
    })
  }

  #dot(ids: readonly ValueId[]): void {
    const work: Dot[] = []
    this.#computing(ids, (id, out) => {
      const { terms, constantScale } = this.#op<'dot'>(id)
      const resolved = terms.map(({ value, constant }) => ({ value: this.#storage.get(value), constant }))
      work.push({ terms: resolved, constantScale, out })
    })(() => emitDots(this.#builder, this.#context, this.#constants, work))
  }

  #multiply(ids: readonly ValueId[]): void {
    const work = ids.map((id) => {
      const op = this.#op<'multiply'>(id)
      const out = this.#storage.create(id, op, 3)
      return { left: this.#storage.get(op.left), right: this.#storage.get(op.right), out }
    })
    emitProducts(this.#builder, this.#context, work)
  }

  #rescale(ids: readonly ValueId[]): void {
    const work: Division[] = []
    for (const id of ids) {
      const division = this.#work.division(id)
      if (division === undefined) continue
      const from = this.#storage.get(division.source)
      work.push({ from, out: this.#storage.create(id, this.#op<'rescale'>(id), 2) })
    }
    emitDivisions(this.#builder, this.#context, work)
  }

  #relinearise(ids: readonly ValueId[]): void {
    // Digits of one level are one call's.
    for (const level of this.#byLevel(ids)) {
      const work: Parameters<typeof emitRelinearisations>[2][number][] = []
      this.#computing(level, (id, out) => {
        const { source } = this.#op<'relinearise'>(id)
        work.push({ source: this.#storage.get(source), key: this.#keys.relinKey, out })
      })(() => emitRelinearisations(this.#builder, this.#context, work))
    }
  }

  #rotate(ids: readonly ValueId[]): void {
    const work: Parameters<typeof emitRotations>[2][number][] = []
    this.#computing(ids, (id, out) => {
      const { source, steps } = this.#op<'rotate'>(id)
      const element = galoisElement(this.#context.ring, steps)
      const key = this.#keys.galoisKeys.get(steps)
      if (key === undefined) {
        throw new PolyVeilError('KEYS_MISSING', `There is no Galois key for rotations by ${steps}`, {
          galoisElements: [element],
        })
      }
      work.push({ source: this.#storage.get(source), element, key, out })
    })(() => emitRotations(this.#builder, this.#context, work))
  }

  /** A round's values leave; where they will be again has memory of its own from here on. */
  #refresh(ids: readonly ValueId[]): void {
    const from = ids.map((id) => this.#storage.get(this.#op<'refresh'>(id).source))
    const out = ids.map((id) => this.#storage.create(id, this.#op<'refresh'>(id), 2))
    const border = this.#border
    if (border === undefined) throw new PolyVeilError('INTERNAL', 'A circuit without a border refreshes')
    const { round } = this.#op<'refresh'>(ids[0])
    this.#refreshes[round] = emitEgress(this.#builder, this.#context, border, from, out)
    this.#stop({ kind: 'send', round })
  }

  /** A round's values are waited for, and taken in. */
  #return(ids: readonly ValueId[]): void {
    const { round } = this.#op<'refresh'>(ids[0])
    this.#stop({ kind: 'wait', round })
    emitIngress(this.#builder, this.#context, this.#refreshes[round])
    this.#stop({ kind: 'check', round })
    freeRound(this.#builder, this.#refreshes[round])
  }

  #stop(stop: Stop): void {
    this.#builder.stop()
    this.#stops.push(stop)
  }

  #byLevel(ids: readonly ValueId[]): Iterable<ValueId[]> {
    return Map.groupBy(ids, (id) => this.#circuit.ops[id].level).values()
  }

  /**
   * Makes the values of operations that may compute in the extended basis. `prepare` is told where each
   * result goes; the function that comes back runs the phases, and divides what does not stay extended.
   */
  #computing(
    ids: readonly ValueId[],
    prepare: (id: ValueId, out: Value) => void,
  ): (emitPhases: () => void) => void {
    const divisions: Division[] = []
    for (const id of ids) {
      const op = this.#circuit.ops[id]
      const out = this.#storage.create(id, op, 2, this.#work.basis.staysInQP[id] === 1)
      if (!this.#work.hasModDown(id)) {
        prepare(id, out)
      } else {
        const from = this.#storage.temporary(op.level + 1, 2, true)
        prepare(id, from)
        divisions.push({ from, out })
      }
    }
    return (emitPhases) => {
      emitPhases()
      emitDivisions(this.#builder, this.#context, divisions)
      for (const { from } of divisions) this.#storage.freeTemporary(from)
    }
  }

  #releaseOperands(id: ValueId): void {
    for (const operand of this.#work.operandsRead(id)) this.#releaseAfter(operand)
  }

  #releaseAfter(operand: ValueId): void {
    this.#left[operand]--
    if (this.#left[operand] === 0) this.#storage.release(operand)
  }
}
