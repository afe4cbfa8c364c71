import { PolyVeilError } from '../errors/index.ts'
import { logitCoefficients } from './answer.ts'
import { boundOfEach, type ConstantTable, constantTable } from './constants/constant-table.ts'
import { floodingBound } from './flooding-bound.ts'
import { areAlike, isBatch } from './image-batch.ts'
import {
  type CiphertextType,
  encodedBits,
  largestAbsolute,
  log2Modulus,
  type TypeLaws,
  typeLaws,
} from './laws.ts'
import { lastUses } from './liveness.ts'
import { operandsOf } from './operands.ts'
import type { CkksParameters } from './parameters/parameters.ts'
import { LARGEST_RAISED, RAISE_FAILURE_BITS, raiseFailure, slotsOfStages } from './raise.ts'
import { MOST_REFRESH_PRIMES, refreshModulusBits, segmentsOf } from './refresh.ts'
import type { Circuit, ConstantId, Op, ValueId } from './types.ts'

/**
 * Checks that a circuit obeys every law that the engine relies on. Values are defined before they are used,
 * and each is used, or is an input or the result. Levels and scales are those of `typeLaws`. Inputs and
 * result are as `InputSpec` and `OutputSpec` say. Constants are finite, not all zero, and repeat within the
 * slots. The images of a batch are treated alike and never mixed. Layers exist.
 *
 * @throws SCALE_MISMATCH, LEVEL_EXHAUSTED or CONFIG_INVALID with the operation's index and its layer's name
 */
export function verifyCircuit(circuit: Circuit): void {
  verifyBatch(circuit)
  verifyConstants(circuit)
  const bounds = boundOfEach(circuit.constants)
  const types: CiphertextType[] = []
  const laws = typeLaws(circuit.parameters)
  circuit.ops.forEach((op, index) => {
    located(circuit, index, () => {
      verifyReferences(circuit, op, index)
      verifySeparation(circuit, op)
      const type = typeOf(circuit, op, types, laws)
      verifyClaim(op, type)
      verifyEncodings(op, type, bounds, circuit.parameters)
      types.push(type)
    })
  })
  verifyInputs(circuit)
  verifyResult(circuit, types)
  verifyLiveness(circuit)
  verifyRefresh(circuit)
  verifyRaise(circuit)
}

function verifyBatch({ batch, parameters }: Circuit): void {
  if (!isBatch(batch, parameters.slots))
    throw invalid(`${batch} images do not share ${parameters.slots} slots`)
}

function verifyConstants({ constants, parameters, batch }: Circuit): void {
  const table = constantTable(constants)
  const factors = new CheckedFactors(table)
  for (let id = 0; id < table.length; id++) {
    const period = factors.period(id)
    if (period < 1 || period > parameters.slots || (period & (period - 1)) !== 0) {
      throw invalid(
        `Constant ${id} has ${period} values; it takes a power of two up to ${parameters.slots}`,
        { constant: id },
      )
    }
    factors.requireNumbers(id)
    if (batch > 1 && period > 1) factors.requireAlike(id, batch)
  }
}

/** Looks at each distinct factor once, because a file may refer to one factor millions of times. */
class CheckedFactors {
  readonly #table: ConstantTable
  readonly #lengths: Uint32Array
  /** By factor; -1 where it is not computed yet. */
  readonly #largest: Float64Array
  /** By factor: 1 where it is known to be alike for all images. */
  readonly #alike: Uint8Array

  constructor(table: ConstantTable) {
    const { factors } = table
    this.#table = table
    this.#lengths = Uint32Array.from({ length: factors.length }, (_, number) => factors.at(number).length)
    this.#largest = new Float64Array(factors.length).fill(-1)
    this.#alike = new Uint8Array(factors.length)
  }

  period(id: ConstantId): number {
    const coarse = this.#table.coarse.at(id)!
    return this.#lengths[this.#table.fine.at(id)!] * (coarse === 0 ? 1 : this.#lengths[coarse - 1])
  }

  /** Checks that a constant is finite and not zero. */
  requireNumbers(id: ConstantId): void {
    const fine = this.#table.fine.at(id)!
    const [coarse, imaginary] = [this.#table.coarse.at(id)! - 1, this.#table.imaginary.at(id)! - 1]
    if (imaginary >= 0 && this.#lengths[imaginary] !== this.#lengths[fine]) {
      throw invalid(`Constant ${id} has other numbers of real and imaginary parts`, { constant: id })
    }
    const [real, factor] = [this.#finite(fine, id), coarse < 0 ? 1 : this.#finite(coarse, id)]
    const most = imaginary < 0 ? real : Math.max(real, this.#finite(imaginary, id))
    // A product with zero is transparent: anyone could read it, and SEAL refuses it.
    if (most === 0 || factor === 0) throw invalid(`Constant ${id} is zero`, { constant: id })
  }

  requireAlike(id: ConstantId, batch: number): void {
    const imaginary = this.#table.imaginary.at(id)! - 1
    const fine = this.#table.fine.at(id)!
    if (this.#isAlike(fine, batch) && (imaginary < 0 || this.#isAlike(imaginary, batch))) return
    throw invalid(`Constant ${id} differs among the ${batch} images of a batch`, { constant: id })
  }

  #isAlike(factor: number, batch: number): boolean {
    if (this.#alike[factor] === 0 && areAlike(this.#table.factors.at(factor), batch)) this.#alike[factor] = 1
    return this.#alike[factor] === 1
  }

  /** The largest absolute value of a factor. @throws CONFIG_INVALID when a value is not finite */
  #finite(number: number, constant: ConstantId): number {
    if (this.#largest[number] < 0) this.#largest[number] = largestAbsolute(this.#table.factors.at(number))
    const most = this.#largest[number]
    // NaN and infinity pass through.
    if (!Number.isFinite(most)) throw invalid(`Constant ${constant} is not finite`, { constant })
    return most
  }
}

function verifyReferences({ constants, layers }: Circuit, op: Op, index: ValueId): void {
  if (!isIndex(op.layer, layers.length)) throw invalid(`There is no layer ${op.layer}`)
  for (const value of operandsOf(op)) {
    if (!isIndex(value, index)) throw invalid(`Value ${value} is not defined before it is used`)
  }
  for (const constant of constantsOf(op)) {
    if (!isIndex(constant, constants.length)) throw invalid(`There is no constant ${constant}`)
  }
}

function verifySeparation({ batch }: Circuit, op: Op): void {
  if (op.kind !== 'rotate' || op.steps % batch === 0) return
  throw invalid(`A rotation by ${op.steps} mixes the ${batch} images of a batch`)
}

function constantsOf(op: Op): number[] {
  if (op.kind === 'dot') return op.terms.map(({ constant }) => constant)
  return op.kind === 'addPlain' ? [op.constant] : []
}

function typeOf(circuit: Circuit, op: Op, types: readonly CiphertextType[], laws: TypeLaws): CiphertextType {
  switch (op.kind) {
    case 'input':
      return laws.input(circuit.input.level, circuit.input.scale)
    case 'rotate':
      return laws.rotate(types[op.source], op.steps)
    case 'conjugate':
      return laws.conjugate(types[op.source])
    case 'timesI':
      return laws.timesI(types[op.source])
    case 'dot':
      return laws.dot(
        op.terms.map(({ value }) => types[value]),
        op.constantScale,
      )
    case 'addPlain':
      return laws.addPlain(types[op.source])
    case 'add':
      return laws.add(types[op.left], types[op.right])
    case 'subtract':
      if (op.left === op.right) throw invalid('A value is subtracted from itself')
      return laws.add(types[op.left], types[op.right])
    case 'multiply':
      return laws.multiply(types[op.left], types[op.right])
    case 'relinearise':
      return laws.relinearise(types[op.source])
    case 'rescale':
      return laws.rescale(types[op.source])
    case 'dropLevel':
      return laws.dropLevel(types[op.source], op.level)
    case 'refresh':
      return laws.refresh(types[op.source])
    case 'raise':
      return laws.raise(types[op.source])
    default:
      throw invalid(`There is no operation ${String((op satisfies never as { kind: unknown }).kind)}`)
  }
}

/**
 * Checks that constants do not wrap where they are encoded: at the addend's own scale, or at a dot's
 * `constantScale`.
 */
function verifyEncodings(
  op: Op,
  type: CiphertextType,
  bounds: Float64Array,
  parameters: CkksParameters,
): void {
  const scale = op.kind === 'dot' ? op.constantScale : op.scale
  const haveBits = log2Modulus(parameters, type.level)
  for (const constant of constantsOf(op)) {
    const needBits = encodedBits(bounds[constant], scale)
    if (needBits < haveBits) continue
    throw new PolyVeilError('LEVEL_EXHAUSTED', `Constant ${constant} does not fit level ${type.level}`, {
      constant,
      needBits,
      haveBits,
    })
  }
}

function verifyClaim(op: Op, type: CiphertextType): void {
  if (op.level !== type.level) {
    throw new PolyVeilError('LEVEL_EXHAUSTED', `The level is ${type.level}, not ${op.level}`, {
      expected: type.level,
      actual: op.level,
    })
  }
  if (op.scale !== type.scale) {
    throw new PolyVeilError('SCALE_MISMATCH', `The scale is ${type.scale}, not ${op.scale}`, {
      expected: type.scale,
      actual: op.scale,
    })
  }
}

function verifyInputs({ ops, input }: Circuit): void {
  const indices = ops.flatMap((op) => (op.kind === 'input' ? [op.index] : []))
  const complete =
    indices.length === input.layout.ciphertexts &&
    new Set(indices).size === indices.length &&
    indices.every((index) => isIndex(index, input.layout.ciphertexts))
  if (!complete)
    throw invalid(`The circuit does not take each of its ${input.layout.ciphertexts} inputs once`)
}

function verifyResult(circuit: Circuit, types: readonly CiphertextType[]): void {
  const { ops, result, output, parameters, batch } = circuit
  if (!isIndex(result, ops.length)) throw invalid(`The result ${result} is no value of the circuit`)
  const type = types[result]
  // The executor hands out the result, and the caller frees the inputs, so a value cannot be both.
  if (ops[result].kind === 'input') throw invalid('The result is an input')
  if (type.polynomials !== 2) throw invalid('The result is not relinearised')
  if (type.level !== output.level || type.scale !== output.scale) {
    throw new PolyVeilError(
      'SCALE_MISMATCH',
      `The result has level ${type.level} and scale ${type.scale}, the output ${output.level} and ${output.scale}`,
      { op: result },
    )
  }
  const { period, classes } = output
  const slots = parameters.slots / batch
  if (slots % period !== 0 || period < classes) {
    throw invalid(`${classes} classes do not repeat with period ${period} in ${slots} slots`)
  }
  // Throws when the flooding does not fit.
  floodingBound(parameters, output, logitCoefficients(circuit))
}

function verifyLiveness(circuit: Circuit): void {
  const last = lastUses(circuit)
  circuit.ops.forEach(({ kind }, index) => {
    // Weights can be zero for all channels of an input.
    if (last[index] === index && kind !== 'input')
      located(circuit, index, () => fail('The value is never used'))
  })
}

/**
 * Refreshes go in rounds that do not depend on themselves, from the refresh level, whose modulus is large
 * enough.
 */
function verifyRefresh(circuit: Circuit): void {
  const { ops, parameters, refresh } = circuit
  const segments = segmentsOf(ops)
  let rounds = 0
  ops.forEach((op, index) => {
    if (op.kind !== 'refresh') return
    located(circuit, index, () => {
      if (refresh === undefined) throw invalid('The circuit does not say how values are refreshed')
      if (ops[op.source].level !== refresh.level) {
        throw invalid(`A value of level ${ops[op.source].level} is refreshed at level ${refresh.level}`)
      }
      if (segments[op.source] > op.round) throw invalid(`Round ${op.round} depends on itself or a later one`)
      if (op.round !== rounds && op.round !== rounds - 1) throw invalid(`Round ${op.round} is out of order`)
      rounds = op.round + 1
    })
  })
  if (refresh === undefined) return
  if (rounds === 0) throw invalid('The circuit says how values are refreshed, and refreshes none')
  if (refresh.level >= MOST_REFRESH_PRIMES) {
    throw invalid(
      `The refresh level has ${refresh.level + 1} primes; ${MOST_REFRESH_PRIMES} can be lifted exactly`,
    )
  }
  const needBits = refreshModulusBits(circuit)
  const haveBits = log2Modulus(parameters, refresh.level)
  if (needBits > haveBits) {
    throw new PolyVeilError('LEVEL_EXHAUSTED', 'Masked values do not fit the refresh level', {
      needBits,
      haveBits,
    })
  }
}

/**
 * Values are raised from the parameters' raise level, and stay within their bound but for a small chance.
 */
function verifyRaise(circuit: Circuit): void {
  const { ops, raise } = circuit
  const { raiseLevel } = circuit.parameters
  let raised = 0
  ops.forEach((op, index) => {
    if (op.kind !== 'raise') return
    located(circuit, index, () => {
      if (raise === undefined) throw invalid('The circuit does not bound the values that it raises')
      if (ops[op.source].level === raiseLevel) return
      throw invalid(`A value of level ${ops[op.source].level} is raised, not of level ${raiseLevel}`)
    })
    raised++
  })
  if (raise === undefined) return
  if (raised === 0) throw invalid('The circuit bounds raised values, and raises none')
  if (raise.bound > LARGEST_RAISED) {
    throw invalid(`No raised coefficient is beyond ${LARGEST_RAISED}, and the bound is ${raise.bound}`)
  }
  const { stages } = raise
  if (stages !== undefined && !fitSlots(stages, circuit)) {
    throw invalid(`Transforms of ${stages.join(' + ')} stages do not fit the slots`)
  }
  const failure = raiseFailure(circuit)
  if (failure <= -RAISE_FAILURE_BITS) return
  throw invalid(`Raised values are beyond their bound with a chance of 2^${failure.toFixed(1)}`)
}

const fitSlots = (stages: readonly number[], { parameters }: Circuit): boolean =>
  stages.length > 0 && stages.every((count) => count > 0) && slotsOfStages(stages) <= parameters.slots

/** Runs a check and adds to what it throws where in the circuit it happened. */
function located(circuit: Circuit, index: ValueId, check: () => void): void {
  try {
    check()
  } catch (error) {
    if (!(error instanceof PolyVeilError)) throw error
    const op = circuit.ops[index]
    const layer = circuit.layers[op.layer]?.name ?? 'no layer'
    throw new PolyVeilError(error.code, `Operation ${index} (${op.kind}, ${layer}): ${error.message}`, {
      ...error.facts,
      op: index,
      kind: op.kind,
      layer,
    })
  }
}

const isIndex = (value: number, length: number): boolean =>
  Number.isInteger(value) && value >= 0 && value < length

const fail = (message: string): never => {
  throw invalid(message)
}

const invalid = (message: string, facts: Record<string, number> = {}): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', message, facts)
