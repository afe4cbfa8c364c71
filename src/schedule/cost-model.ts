import type { Op, ValueId } from '../circuit/types.ts'
import type { ExtendedBasis } from './extended-basis.ts'

/** What the cost of a circuit depends on; a draft's will do. */
export interface CostedCircuit {
  readonly ops: readonly Op[]
  /** How many equal operations each one of a draft stands for; absent when they are written out. */
  readonly counts?: readonly number[]
  readonly result: ValueId
  readonly ring: number
  /** Number of special primes. */
  readonly specialPrimes: number
  /** The circuit's extended basis where it is known, which does not depend on the special primes. */
  readonly basis?: ExtendedBasis
  /** Levels of a draft's chain below its result that the finished chain will not have; they cost nothing. */
  readonly unusedLevels?: number
}

/** Estimated seconds of each operation on one core, once. */
export type CostModel = (circuit: CostedCircuit) => Float64Array

/** Estimated seconds of a circuit on one core. */
export const circuitSeconds = (circuit: CostedCircuit, model: CostModel): number =>
  sumSeconds(model(circuit), circuit.counts)

/** The sum over operations. @param counts how often each is there; by default once */
export const sumSeconds = (seconds: Float64Array, counts?: readonly number[]): number =>
  seconds.reduce((sum, own, id) => sum + own * (counts?.[id] ?? 1), 0)

/** The ring that speeds are stated for. */
export const REFERENCE_RING = 16384

/** How a transform of N residues grows with N. */
export const transformGrowth = (ring: number): number =>
  (ring / REFERENCE_RING) * (Math.log2(ring) / Math.log2(REFERENCE_RING))
