import type { Op, ValueId } from '../circuit/types.ts'
import type { ExtendedBasis } from './extended-basis.ts'

/** The parts of a circuit, or of a draft of it, that its cost depends on. */
export interface CostedCircuit {
  readonly ops: readonly Op[]
  /** Multiplicity of each operation of a draft; absent where every operation is written out. */
  readonly counts?: readonly number[]
  readonly result: ValueId
  readonly ring: number
  /** Number of special primes. */
  readonly specialPrimes: number
  /** The extended basis, where the caller has it already. It does not depend on the special primes. */
  readonly basis?: ExtendedBasis
  /** Levels below the draft's result that the finished chain will not have. They cost nothing. */
  readonly unusedLevels?: number
}

/** Estimates the seconds of each operation on one core, each counted once. */
export type CostModel = (circuit: CostedCircuit) => Float64Array

/** Estimated seconds of a circuit on one core. */
export const circuitSeconds = (circuit: CostedCircuit, model: CostModel): number =>
  sumSeconds(model(circuit), circuit.counts)

/** The sum over operations. @param counts multiplicity of each; by default 1 */
export const sumSeconds = (seconds: Float64Array, counts?: readonly number[]): number =>
  seconds.reduce((sum, own, id) => sum + own * (counts?.[id] ?? 1), 0)

/** Ring degree that speeds are stated for. */
export const REFERENCE_RING = 16384

/** Time of a transform of N residues, relative to one at the reference ring. */
export const transformGrowth = (ring: number): number =>
  (ring / REFERENCE_RING) * (Math.log2(ring) / Math.log2(REFERENCE_RING))
