import type { KeySwitchingChain } from '../../../circuit/parameters/parameters.ts'
import { raiseBound } from '../../../circuit/raise.ts'
import { encodedWords } from '../../../schedule/constant-storage.ts'
import { RESIDUE_BYTES } from '../../../schedule/limits.ts'
import { Restorer } from '../../lowering/restoration/restore.ts'
import {
  highLevelBits,
  highPrimes,
  lowPrimes,
  type RestorationLevels,
  type RestorationShape,
} from '../../lowering/restoration/shape.ts'
import type { FixedPrimes, PrimeSizes } from '../modulus/chain.ts'
import { primePairs } from '../modulus/prime-products.ts'
import { PrimePool } from '../modulus/primes.ts'

/** The choices of a plan's restorations. */
export interface RestorationPlan
  extends Pick<RestorationShape, 'stages' | 'rotations' | 'raiseBits' | 'scaleBits'> {
  /** Size of the primes that slots-to-coefficients takes. */
  readonly lowBits: number
}

/** Most raised values of an inference, for which the bound of raised coefficients is chosen. */
const MOST_RAISED = 1024

/** Bits of modulus that restorations take, beside the network's levels and the special primes. */
export const restorationBits = ({ stages, scaleBits, lowBits, raiseBits }: RestorationPlan): number =>
  highLevelBits(stages.length, scaleBits).reduce((sum, bits) => sum + bits, 0) +
  stages.length * lowBits +
  raiseBits

/** The levels of a chain. @param raise the raise level @param network levels of the network */
export function restorationLevels(
  { stages }: RestorationPlan,
  raise: number,
  network: number,
): RestorationLevels {
  const refresh = raise + lowPrimes(stages.length)
  return { raise, refresh, network: refresh + network, top: refresh + network + highPrimes(stages.length) }
}

/**
 * Stages of the transform in groups of nearly equal size. The last group, which has half as many diagonals
 * for its stages as the others, has the most.
 */
export function groupsOfStages(slots: number, groups: number): number[] {
  const stages = Math.log2(slots)
  return Array.from({ length: groups }, (_, i) => Math.floor((stages + i) / groups))
}

/**
 * Bytes of the transforms' constants, which the engine keeps for all restorations. Nearly all of them belong
 * to the last group, whose diagonals have no short period: it is computed at the highest level and at the
 * lowest ones.
 */
export function transformBytes(
  { stages }: RestorationPlan,
  ring: number,
  copies: number,
  { primes, specialPrimes }: KeySwitchingChain,
): number {
  const limbs = primes.length + lowPrimes(stages.length) + 2 * specialPrimes.length
  return 2 ** stages.at(-1)! * encodedWords(ring / 2 / copies, ring) * RESIDUE_BYTES * limbs
}

/** Restores values by a plan in a chain of these levels. */
export const restorerOf = (plan: RestorationPlan, ring: number, levels: RestorationLevels): Restorer =>
  new Restorer({ ...plan, bound: restorationBound(ring), levels })

/** The bound of raised coefficients, in multiples of the raise level's modulus. */
export const restorationBound = (ring: number): number => raiseBound(ring, MOST_RAISED)

/**
 * The primes of a chain that restorations need.
 *
 * @param raise the raise level
 * @returns undefined when the ring has too few primes
 */
export function restorationPrimes(
  ring: number,
  { stages, scaleBits, lowBits, raiseBits }: RestorationPlan,
  raise: number,
  sizes: PrimeSizes,
): FixedPrimes | undefined {
  const pairs = primePairs(ring, [...highLevelBits(stages.length, scaleBits), raiseBits], sizes)
  if (pairs === undefined) return undefined
  const base = pairs.at(-1)!
  const high = pairs.slice(0, -1).reverse().flat()
  const pool = new PrimePool(ring, new Set([...high, ...base]))
  const low = stages.map(() => pool.take(lowBits))
  if (low.some((prime) => prime === undefined)) return undefined
  return { high, low: low as bigint[], lowFrom: raise + 1, base }
}

/**
 * The lowest level that holds the logits: the raise level, or one of slots-to-coefficients above it. The
 * raise level has no primes to spare, because the constants of coefficients-to-slots are less precise for a
 * larger modulus.
 *
 * @param primes of the chain; those of the raise level and below are not read
 * @param bits that the logits need
 */
export function outputLevel(
  { raiseBits }: RestorationPlan,
  { raise, refresh }: RestorationLevels,
  primes: readonly bigint[],
  bits: number,
): number {
  let level = raise
  for (let have = raiseBits; have < bits && level < refresh; have += Math.log2(Number(primes[level]))) level++
  return level
}
