import type { ComplexVector, ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'
import type { ConstantDraft } from '../builder/constant-pool.ts'
import type { RotationStrategy } from '../strategy.ts'

/** The rotations of every group of the transform. */
export interface TransformRotations {
  /**
   * A chain of single steps, one rotation of the value for each step, or at most two rotations for a step: a
   * multiple of a few steps, then the rest. More keys make fewer decompositions.
   */
  readonly babySteps: 'chain' | 'tree' | 'direct'
  /**
   * Baby steps for each giant step, about; 1 by default. Baby steps of one value share decompositions, giant
   * steps do not.
   */
  readonly babiesForGiant?: 1 | 2
  readonly giantSteps: RotationStrategy['giantSteps']
}

/** The choices of a circuit's restorations, and the levels that they lead to. */
export interface RestorationShape {
  /**
   * Stages of the transform in each group, those of the smallest units first. Their sum is log2 of the slots.
   */
  readonly stages: readonly number[]
  readonly rotations: TransformRotations
  /** Raised coefficients are at most so many times Q, the modulus of the raise level (`circuit/raise.ts`). */
  readonly bound: number
  /**
   * log2 of the modulus of the raise level, at least. Drafts, which have no primes there, take it as such.
   */
  readonly raiseBits: number
  /** log2 of the scale between the transforms. */
  readonly scaleBits: number
  readonly levels: RestorationLevels
}

/** Levels of a chain, by what they are for, from the lowest up. */
export interface RestorationLevels {
  /** Values of this level are raised. */
  readonly raise: number
  /** Values of this level are restored: one prime above the raise level for each group. */
  readonly refresh: number
  /** Level of restored values. */
  readonly network: number
  /** The highest level. */
  readonly top: number
}

/** Primes of a level of slots-to-coefficients. */
const LOW_PRIMES = 1
/** Primes of a level of coefficients-to-slots and of the cosine, whose product is near the scale. */
export const HIGH_PRIMES = 2

/** Double angles after the polynomial. */
export const DOUBLINGS = 3
/** Degree of the polynomial in T_2 that approximates the cosine, and its depth. */
export const DEGREE = 15
const DEGREE_DEPTH = 4
/** Levels of the cosine: T_2, the polynomial in it, and the double angles. */
export const COSINE_DEPTH = 1 + DEGREE_DEPTH + DOUBLINGS

/** Primes above the network's that the groups' transform and the cosine take. */
export const highPrimes = (groups: number): number => HIGH_PRIMES * (groups + COSINE_DEPTH)

/**
 * Bits by which the scale of T_2 is larger than other scales. The cosine changes fast with x^2 where x is
 * near zero, so the noise of T_2 would dominate all other noise.
 */
const SQUARE_BITS = 3

/** log2 of the product of the primes of each level of `highPrimes`, from the highest level down. */
export function highLevelBits(groups: number, scaleBits: number): number[] {
  const bits = new Array<number>(groups + COSINE_DEPTH).fill(scaleBits)
  bits[groups] -= SQUARE_BITS
  bits[groups + 1] += 2 * SQUARE_BITS
  return bits
}

/** Primes between the raise level and the network's that the groups' transform takes. */
export const lowPrimes = (groups: number): number => LOW_PRIMES * groups

/** Q, the modulus of the raise level. */
export const raiseModulus = (builder: CircuitBuilder, { levels, raiseBits }: RestorationShape): number =>
  builder.isDraft ? 2 ** raiseBits : primesBetween(builder, -1, levels.raise)

/** Drops primes by rescaling, down to a level. */
export function rescaledTo(builder: CircuitBuilder, value: ValueId, level: number): ValueId {
  let id = value
  while (builder.type(id).level > level) id = builder.rescale(id)
  return id
}

/** Product of the primes of the levels `above` + 1 .. `level`. */
export function primesBetween({ chain }: CircuitBuilder, above: number, level: number): number {
  let product = 1
  for (let l = level; l > above; l--) product *= Number(chain.primes[l])
  return product
}

/**
 * The product of a value with a number.
 *
 * @param scale that the result has
 * @param angle of `numberDraft`
 */
export const timesNumber = (
  builder: CircuitBuilder,
  value: ValueId,
  factor: number,
  scale: number,
  angle = 0,
): ValueId =>
  builder.dot(
    [{ value: () => value, constant: numberDraft(builder, factor, angle) }],
    scale / builder.type(value).scale,
  )!

/** A value plus a number in all slots. @param angle of `numberDraft` */
export const plusNumber = (builder: CircuitBuilder, value: ValueId, summand: number, angle = 0): ValueId =>
  builder.addPlain(value, numberDraft(builder, summand, angle))

/** A number in all slots. With an angle, it is times exp(i angle) in the second of each two copies. */
function numberDraft({ chain: { slots } }: CircuitBuilder, value: number, angle: number): ConstantDraft {
  const [period, make] =
    angle === 0 ? [1, () => Float64Array.of(value)] : [2 * slots, () => turnedAbove(slots, value, angle)]
  return { period, gain: Math.abs(value), exact: true, make }
}

function turnedAbove(slots: number, value: number, angle: number): ComplexVector {
  const real = new Float64Array(2 * slots).fill(value)
  const imaginary = new Float64Array(2 * slots)
  real.fill(value * Math.cos(angle), slots)
  imaginary.fill(value * Math.sin(angle), slots)
  return { real, imaginary }
}
