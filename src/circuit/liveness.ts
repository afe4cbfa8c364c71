import { operandsOf } from './operands.ts'
import { polynomialCounts } from './polynomials.ts'
import type { Circuit, Op, ValueId } from './types.ts'

type Body = Pick<Circuit, 'ops' | 'result'>

/**
 * For each value the index of the operation that reads it last. A value without a reader has its own index;
 * the result has `ops.length`, because it outlives the circuit.
 */
export function lastUses({ ops, result }: Body): Int32Array {
  const last = Int32Array.from(ops, (_, index) => index)
  ops.forEach((op, index) => {
    for (const value of operandsOf(op)) last[value] = index
  })
  last[result] = ops.length
  return last
}

/**
 * The values that are freed right after operation `index`: the operands that it reads for the last time, and
 * its own value if nothing reads it.
 */
export function expiringAt(op: Op, index: ValueId, last: Int32Array): ValueId[] {
  const expiring = new Set(operandsOf(op).filter((value) => last[value] === index))
  if (last[index] === index) expiring.add(index)
  return [...expiring]
}

/** The largest number of values that are alive at once, when each is freed right after its last use. */
export const peakLiveValues = (circuit: Body): number => peakWeight(circuit, () => 1)

/**
 * The largest sum of ciphertext bytes that are alive at once. Keys and constants are not counted.
 *
 * @param residueBytes bytes of a residue in the engine's memory
 */
export function peakLiveBytes(circuit: Body & Pick<Circuit, 'parameters'>, residueBytes = 8): number {
  const bytesPerResiduePolynomial = circuit.parameters.ring * residueBytes
  const polynomials = polynomialCounts(circuit.ops)
  return peakWeight(circuit, (op, id) => polynomials[id] * (op.level + 1) * bytesPerResiduePolynomial)
}

function peakWeight(circuit: Body, weigh: (op: Op, id: ValueId) => number): number {
  const last = lastUses(circuit)
  let live = 0
  let peak = 0
  circuit.ops.forEach((op, index) => {
    live += weigh(op, index)
    peak = Math.max(peak, live)
    for (const value of expiringAt(op, index, last)) live -= weigh(circuit.ops[value], value)
  })
  return peak
}
