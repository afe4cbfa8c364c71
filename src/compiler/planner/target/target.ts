import { type CkksParameters, LARGEST_RING } from '../../../circuit/parameters/parameters.ts'
import { SIMD_SPEEDS, type SimdSpeeds, simdCosts } from '../../../schedule/cost.ts'
import type { CostModel } from '../../../schedule/cost-model.ts'
import {
  type EngineName,
  engineNameFor,
  LARGEST_SEAL_RING,
  SIMD_PRIME_BITS,
} from '../../../schedule/engine-name.ts'
import type { PlacedBytes } from '../../../schedule/far-storage.ts'
import { engineMemory } from '../../../schedule/memory.ts'
import type { CircuitBody } from '../../lowered-circuit.ts'
import type { PrimeSizes } from '../modulus/chain.ts'
import { sealCosts } from './seal-cost.ts'
import { sealMemory } from './seal-memory.ts'

/** The engine that a plan is made for. */
export type TargetName = EngineName

/** The default engine of plans. */
export const DEFAULT_TARGET: TargetName = 'simd'

/** Abilities and costs of an engine. */
export interface Target {
  readonly name: TargetName
  readonly largestRing: number
  /** Sizes of the primes that the engine's arithmetic supports and that are worth using. */
  readonly primeSizes: PrimeSizes
  /** Largest number of special primes that the engine's key switching supports. */
  readonly mostSpecialPrimes: number
  readonly costs: CostModel
  /** The engine's memory for a circuit and the keys of one client. */
  memory(circuit: CircuitBody): PlacedBytes
}

const seal: Target = Object.freeze({
  name: 'seal',
  largestRing: LARGEST_SEAL_RING,
  primeSizes: { least: 30, most: 60 },
  mostSpecialPrimes: 1,
  costs: sealCosts(),
  memory: (circuit: CircuitBody) => ({ near: sealMemory(circuit), far: 0 }),
})

/** @param speeds of the SIMD engine's kernels */
export const targetNamed = (name: TargetName, speeds: SimdSpeeds = SIMD_SPEEDS): Target =>
  name === 'seal'
    ? seal
    : {
        name: 'simd',
        largestRing: LARGEST_RING,
        primeSizes: { least: 20, most: SIMD_PRIME_BITS },
        mostSpecialPrimes: 8,
        costs: simdCosts(speeds),
        memory: engineMemory,
      }

/** The engine that executes circuits under these parameters. */
export const targetOf = (parameters: CkksParameters, speeds?: SimdSpeeds): Target =>
  targetNamed(engineNameFor(parameters), speeds)
