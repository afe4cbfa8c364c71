import { rotationSteps } from '../circuit/keys.ts'
import { operandsOf } from '../circuit/operands.ts'
import { bitLength } from '../circuit/primes.ts'
import type { Circuit, Op, OpKind } from '../circuit/types.ts'
import { opSeconds, SEAL_COSTS } from './planner/cost.ts'

/** What the plan says of one layer. */
export interface LayerReport {
  readonly name: string
  readonly kind: string
  readonly shape: readonly number[]
  /** Level and log2 of the scale of the layer's last value. */
  readonly level: number
  readonly scaleBits: number
  readonly slotsUsed: number
  readonly rotations: number
  /** Ciphertexts times plaintexts. */
  readonly terms: number
  /** Ciphertexts times ciphertexts. */
  readonly products: number
  readonly precisionBits: number
  /** Estimate for one core. */
  readonly seconds: number
}

export interface PlanReport {
  readonly layers: readonly LayerReport[]
  readonly ops: Readonly<Record<OpKind, number>>
  readonly rotations: number
  readonly galoisKeys: number
  /** Bits of modulus that rescaling consumes. */
  readonly depthBits: number
  readonly ring: number
  /** Data primes from q_0 up, then the special prime. */
  readonly primeBits: readonly number[]
  readonly logQP: number
  readonly seconds: number
  readonly bytes: Circuit['estimate']['bytes']
  readonly memoryBytes: number
  readonly precisionBits: number
  /** The choices in words. */
  readonly why: readonly string[]
}

/** Sums up a circuit for people: counts, levels, sizes, and why it is as it is. */
export function planReport(circuit: Circuit): PlanReport {
  const { parameters, estimate, ops } = circuit
  const { primes, specialPrimes } = parameters
  const counts = countOps(ops)
  const primeBits = [...primes, ...specialPrimes].map(bitLength)
  const consumed = primes.slice(ops[circuit.result].level + 1)
  return {
    layers: circuit.layers.map((_, index) => layerReport(circuit, index)),
    ops: counts,
    rotations: counts.rotate,
    galoisKeys: rotationSteps(circuit).length,
    depthBits: consumed.reduce((sum, prime) => sum + bitLength(prime), 0),
    ring: parameters.ring,
    primeBits,
    logQP: parameters.logQP,
    ...estimate,
    why: reasons(circuit, primeBits),
  }
}

function countOps(ops: readonly Op[]): Record<OpKind, number> {
  const counts: Record<OpKind, number> = {
    input: 0,
    rotate: 0,
    dot: 0,
    addPlain: 0,
    add: 0,
    subtract: 0,
    multiply: 0,
    relinearise: 0,
    rescale: 0,
    dropLevel: 0,
  }
  for (const op of ops) counts[op.kind]++
  return counts
}

function layerReport(circuit: Circuit, index: number): LayerReport {
  const info = circuit.layers[index]
  const ops = circuit.ops.filter((op) => op.layer === index)
  const last = ops.at(-1)
  const levelRead = (op: Op) => {
    const [operand] = operandsOf(op)
    return operand === undefined ? op.level : circuit.ops[operand].level
  }
  return {
    ...info,
    level: last?.level ?? 0,
    scaleBits: last ? Math.log2(last.scale) : 0,
    rotations: ops.filter((op) => op.kind === 'rotate').length,
    terms: ops.reduce((sum, op) => sum + (op.kind === 'dot' ? op.terms.length : 0), 0),
    products: ops.filter((op) => op.kind === 'multiply').length,
    seconds: ops.reduce(
      (sum, op) => sum + opSeconds(op, levelRead(op), circuit.parameters.ring, SEAL_COSTS),
      0,
    ),
  }
}

function reasons(circuit: Circuit, primeBits: readonly number[]): string[] {
  const { parameters, input, output, estimate } = circuit
  const { layout } = input
  return [
    `ring ${parameters.ring}: the best of those whose security limit holds ${parameters.logQP.toFixed(0)} bits of modulus`,
    `${primeBits.length - 1} data primes of ${primeBits.slice(0, -1).join('+')} bits and a special prime of ` +
      `${primeBits.at(-1)}: few large digits make key switching cheap`,
    `${layout.channelsPerCiphertext} channels interleaved in ${layout.interleave} slots per position, row stride ` +
      `${layout.rowStride}; the input takes ${layout.ciphertexts} ciphertext(s)`,
    `${estimate.precisionBits.toFixed(1)} bits of precision, with flooding noise of deviation ` +
      `${output.flooding.toExponential(1)} in each of ${parameters.slots / output.period} copies of a logit`,
  ]
}
