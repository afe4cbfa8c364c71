import { conjugationElement, galoisElement, keyLevels } from '../../circuit/keys.ts'
import { polynomialCounts } from '../../circuit/polynomials.ts'
import type { Circuit, ConstantId, Op, OpKind, ValueId } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { maxDigitSources, type Step, type StepKind, stepsOf } from '../../schedule/steps.ts'
import { Work } from '../../schedule/work.ts'
import { ExecutionStopped } from '../executor.ts'
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
import { KeyWindow } from './keys/key-window.ts'
import type { SwitchingKey } from './keys/switching-key.ts'
import { type Division, emitDivisions } from './operations/divide.ts'
import { emitDots, emitMixedSums, type MixedSum } from './operations/dot.ts'
import {
  type Binary,
  emitBinaries,
  emitPlainSums,
  emitProducts,
  emitTimesI,
  type PlainSum,
} from './operations/elementwise.ts'
import { emitRelinearisations, emitRotations } from './operations/key-switch.ts'
import { emitRaises, type Raise } from './operations/raise.ts'
import type { Dot } from './operations/weighted-sum.ts'
import type { ProgramBuilder } from './program/program.ts'
import { type LinkedProgram, linkProgram } from './threads/run.ts'
import { Storage } from './values/storage.ts'
import type { Value } from './values/values.ts'

/**
 * A circuit as a linked program, with the places of its inputs and its result. It can run any number of
 * times; each run overwrites inputs and result.
 */
export interface CircuitProgram extends LinkedProgram {
  /** By the input's index: two polynomials at the input's level, which the caller writes before each run. */
  readonly inputs: readonly Value[]
  /** Two polynomials at the result's level. A run writes them; they stay until the next run. */
  readonly result: Value
  /** By round number. */
  readonly refreshes: readonly RefreshRound[]
  /**
   * The reasons for the program's stops, in order. The program's end, which is the last entry of
   * `program.stops`, has none.
   */
  readonly stops: readonly Stop[]
  /** The result as it is sent; only in programs that were compiled with an egress. */
  readonly output: Output | undefined
}

/**
 * Compiles a verified circuit to a program on concrete memory. Decided here: the steps, the values that stay
 * in the extended basis, and the address of everything.
 *
 * @param keys of the program, one for each rotation of the circuit, one for conjugation, and those of the
 *   ephemeral secret; they must outlive it
 * @param constants of the circuit, which are encoded when the program first needs them; must outlive the
 *   program
 * @param threads that will run the program; results are the same for any number
 * @param egress keys and masks for values that are sent to the client; without it the circuit has no
 *   refreshes, and its result stays in the engine
 * @returns a program that owns its memory until `free`
 * @param shouldStop asked between steps
 * @throws ExecutionStopped; KEYS_MISSING; TOO_LARGE when memory does not suffice; LEVEL_EXHAUSTED or
 *   CONFIG_INVALID when a constant does not fit its level or all weights of a sum round to zero. After an
 *   error only encoded constants and tables of the context stay in memory
 */
export function compileCircuit(
  context: SimdContext,
  circuit: Pick<Circuit, 'ops' | 'result'>,
  keys: SimdKeys,
  constants: ConstantStore,
  threads: number,
  egress?: EgressOptions,
  shouldStop: () => boolean = () => false,
): CircuitProgram {
  const order = stepsOf(circuit, maxDigitSources(context.parameters))
  const work = new Work({ ...circuit, specialPrimes: context.parameters.specialPrimes.length })
  let ends: ReturnType<CircuitEmitter['emit']> | undefined
  const scratch = egress ? egressScratch(context, egressLevels(circuit), refreshedLevels(circuit)) : 0
  const linked = linkProgram(context, threads, Math.max(context.limbBytes, scratch), (builder) => {
    ends = new CircuitEmitter(builder, context, circuit, keys, constants, work, egress).emit(
      order,
      shouldStop,
    )
  })
  return { ...linked, ...ends! }
}

/** Levels of the ciphertexts that are sent to the client. */
export const egressLevels = ({ ops, result }: Pick<Circuit, 'ops' | 'result'>): number[] => [
  ...new Set([ops[result].level, ...refreshedLevels({ ops })]),
]

/** Levels from which values are refreshed. */
const refreshedLevels = ({ ops }: Pick<Circuit, 'ops'>): number[] => [
  ...new Set(ops.flatMap((op) => (op.kind === 'refresh' ? [ops[op.source].level] : []))),
]

/** The keys of a set that a circuit reads. Those that the set lacks are reported when they are needed. */
function keysOf({ ring }: SimdContext, { ops }: Pick<Circuit, 'ops'>, keys: SimdKeys): SwitchingKey[] {
  const { relin, galois } = keyLevels({ ring }, { ops })
  const galoisKeys = [...galois.keys()].flatMap((element) => keys.galoisKeys.get(element) ?? [])
  const isRaised = ops.some(({ kind }) => kind === 'raise')
  return [
    ...galoisKeys,
    ...(relin === undefined ? [] : [keys.relinKey]),
    ...(isRaised ? [keys.raiseKeys.up] : []),
  ]
}

type OpOf<K extends OpKind> = Extract<Op, { kind: K }>

/** Emits the phases of each step, and frees values after their last reader. */
class CircuitEmitter {
  readonly #builder: ProgramBuilder
  readonly #context: SimdContext
  readonly #circuit: Pick<Circuit, 'ops' | 'result'>
  readonly #keys: SimdKeys
  readonly #constants: ConstantStore
  readonly #work: Work
  readonly #polynomials: Uint8Array
  readonly #egress: EgressOptions | undefined
  readonly #storage: Storage
  readonly #window: KeyWindow
  readonly #refreshes: RefreshRound[] = []
  readonly #stops: Stop[] = []
  /** For each value, the number of its readers that have not been emitted. */
  readonly #left: Int32Array

  constructor(
    builder: ProgramBuilder,
    context: SimdContext,
    circuit: Pick<Circuit, 'ops' | 'result'>,
    keys: SimdKeys,
    constants: ConstantStore,
    work: Work,
    egress: EgressOptions | undefined,
  ) {
    this.#builder = builder
    this.#context = context
    this.#circuit = circuit
    this.#keys = keys
    this.#constants = constants
    this.#work = work
    this.#polynomials = polynomialCounts(circuit.ops)
    this.#egress = egress
    this.#storage = new Storage(builder, context)
    this.#window = new KeyWindow(builder, context, keysOf(context, circuit, keys))
    this.#left = work.readerCounts(circuit.result)
  }

  emit(order: readonly Step[], shouldStop: () => boolean): Omit<CircuitProgram, keyof LinkedProgram> {
    const egress = this.#egress
    const { level } = this.#circuit.ops[this.#circuit.result]
    const flooding = egress && allocateFlooding(this.#builder, egress, level)
    const inputs = this.#createInputs()
    for (const { kind, ops } of order) {
      // Weights are encoded here, which takes a minute for the largest circuits.
      if (shouldStop()) throw new ExecutionStopped(0)
      if (kind === 'return') {
        this.#takeIn(ops)
        continue
      }
      this.#builder.done += ops.length
      this.#emitStep(kind, ops)
      for (const id of ops) this.#releaseOperands(id)
    }
    const result = this.#storage.get(this.#circuit.result)
    const output = egress && emitOutput(this.#builder, this.#context, egress, result, flooding!)
    return { inputs, result, refreshes: this.#refreshes, stops: this.#stops, output }
  }

  /**
   * Inputs are written before the program runs, so their memory holds nothing else before their first reader.
   */
  #createInputs(): Value[] {
    const inputs: Value[] = []
    this.#circuit.ops.forEach((op, id) => {
      if (op.kind === 'input') inputs[op.index] = this.#storage.create(id, op, 2)
    })
    return inputs
  }

  #emitStep(kind: StepKind, ids: readonly ValueId[]): void {
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
      case 'timesI':
        this.#timesI(ids)
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
        return
      case 'raise':
        this.#raise(ids)
        return
      default:
        kind satisfies never
    }
  }

  #op<K extends OpKind>(id: ValueId): OpOf<K> {
    return this.#circuit.ops[id] as OpOf<K>
  }

  /** The result shares the operand's polynomials; its readers read fewer primes. */
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
      const out = this.#storage.create(id, op, this.#polynomials[id])
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
    // `emitRelinearisations` takes products of one level.
    for (const level of this.#byLevel(ids)) {
      const key = this.#window.near(this.#keys.relinKey, this.#circuit.ops[level[0]].level + 1)
      const work: Parameters<typeof emitRelinearisations>[2][number][] = []
      this.#computing(level, (id, out) => {
        const { source } = this.#op<'relinearise'>(id)
        work.push({ source: this.#storage.get(source), key, out })
      })(() => emitRelinearisations(this.#builder, this.#context, work))
    }
  }

  #timesI(ids: readonly ValueId[]): void {
    const work: Parameters<typeof emitTimesI>[2][number][] = []
    this.#computing(ids, (id, out) => {
      work.push({ from: this.#storage.get(this.#op<'timesI'>(id).source), out })
    })(() => emitTimesI(this.#builder, this.#context, work))
  }

  /** @param ids rotations and conjugations */
  #rotate(ids: readonly ValueId[]): void {
    const { ring } = this.#context
    const work: Parameters<typeof emitRotations>[2][number][] = []
    this.#computing(ids, (id, out) => {
      const op = this.#op<'rotate' | 'conjugate'>(id)
      const element = op.kind === 'rotate' ? galoisElement(ring, op.steps) : conjugationElement(ring)
      const key = this.#keys.galoisKeys.get(element)
      if (key === undefined) {
        const what = op.kind === 'rotate' ? `rotations by ${op.steps}` : 'conjugation'
        throw new PolyVeilError('KEYS_MISSING', `There is no Galois key for ${what}`, {
          galoisElements: [element],
        })
      }
      work.push({ source: this.#storage.get(op.source), element, key, out })
    })(() => emitRotations(this.#builder, this.#context, work, this.#window))
  }

  #raise(ids: readonly ValueId[]): void {
    const { down, up } = this.#keys.raiseKeys
    const keys = { down, up: this.#window.near(up, this.#context.parameters.primes.length) }
    const work: Raise[] = []
    this.#computing(ids, (id, out) => {
      const source = this.#storage.get(this.#op<'raise'>(id).source)
      work.push({ source, keys, out })
    })(() => emitRaises(this.#builder, this.#context, work))
  }

  /**
   * Sends a round's values. The memory of the refreshed values is allocated here and is theirs from now on.
   */
  #refresh(ids: readonly ValueId[]): void {
    const from = ids.map((id) => this.#storage.get(this.#op<'refresh'>(id).source))
    const out = ids.map((id) => this.#storage.create(id, this.#op<'refresh'>(id), 2))
    const egress = this.#egress
    if (egress === undefined) throw new PolyVeilError('INTERNAL', 'A circuit without a border refreshes')
    const { round } = this.#op<'refresh'>(ids[0])
    this.#refreshes[round] = emitEgress(this.#builder, this.#context, egress, from, out)
    this.#stop({ kind: 'send', round })
  }

  /** Waits for a round's fresh encryptions and takes them in. */
  #takeIn(ids: readonly ValueId[]): void {
    const { round } = this.#op<'refresh'>(ids[0])
    this.#stop({ kind: 'wait', round })
    emitIngress(this.#builder, this.#context, this.#refreshes[round])
    this.#stop({ kind: 'takeIn', round })
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
   * Creates the values of operations that may compute in the extended basis. `prepare` is given the place of
   * each result; the returned function emits the phases, and divides the results that do not stay extended.
   */
  #computing(
    ids: readonly ValueId[],
    prepare: (id: ValueId, out: Value) => void,
  ): (emitPhases: () => void) => void {
    const divisions: Division[] = []
    for (const id of ids) {
      const op = this.#circuit.ops[id]
      const out = this.#storage.create(id, op, this.#polynomials[id], this.#work.basis.staysInQP[id] === 1)
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
