import { EPHEMERAL_WEIGHT, ephemeralChain } from '../circuit/parameters/ephemeral.ts'
import { type CkksParameters, digitCount, digitRange, digitSize } from '../circuit/parameters/parameters.ts'

// Standard deviations of the noise that CKKS operations add, in the slots and in units of 1 / scale: divide
// by the value's scale to compare with the message. Every function is pure.
//
// Slots are complex, and deviations are those of each of their real and imaginary parts. Independent errors
// of deviation s on the N coefficients have variance N * s^2 in each slot (every power of the root has
// modulus 1), half of it in each part: s * sqrt(N / 2). Conjugation is a key switch; multiplication by i adds
// no noise.
//
// Sources: Cheon, Kim, Kim and Song, ePrint 2016/421, section 3; Costache, Curtis, Hales, Murphy, Ogilvie and
// Player, "On the precision loss in approximate homomorphic encryption", ePrint 2022/162, for variances
// instead of bounds; SEAL 4.1 for what is sampled and rounded where. `test/he-ops/noise.test.ts` holds them
// against node-seal.

/** SEAL's error: a centred binomial of 21 pairs of bits. */
const ERROR_VARIANCE = 21 / 2
/** Coefficients of a ternary polynomial are -1, 0 and 1 with equal chance. */
const TERNARY_VARIANCE = 2 / 3
/** Rounding to integers. */
const ROUNDING_VARIANCE = 1 / 12

/** Digits that are centred, and digits from 0 on, each divided by its modulus. */
const CENTRED_VARIANCE = 1 / 12
const POSITIVE_VARIANCE = 1 / 3

type Ring = Pick<CkksParameters, 'ring'>

/** The parts of parameters that key switching depends on. */
type SwitchingParameters = Pick<CkksParameters, 'ring' | 'primes' | 'specialPrimes'>

/** Deviation in each part of the slots of a polynomial whose N coefficients have the given deviation. */
export const slotDeviation = ({ ring }: Ring, coefficientDeviation: number): number =>
  coefficientDeviation * Math.sqrt(ring / 2)

/** Inverse of the above: the coefficients' deviation from that of the slots. */
export const coefficientDeviation = ({ ring }: Ring, deviation: number): number =>
  deviation / Math.sqrt(ring / 2)

/** Fresh encryption under the secret key: the error itself. */
export const symmetricEncryptionNoise = (parameters: Ring): number =>
  slotDeviation(parameters, Math.sqrt(ERROR_VARIANCE))

/**
 * Fresh encryption under the public key. SEAL and the kernels encrypt modulo one more prime and divide by it:
 * the errors e * u + e0 + e1 * s become negligible next to the rounding of the division.
 */
export const publicEncryptionNoise = (parameters: Ring): number => roundingNoise(parameters)

/**
 * A refresh: the server adds a public-key encryption of zero, and the client encrypts anew under the secret
 * key. Base extension is exact, and the mask that is subtracted is the one that was added.
 */
export const refreshNoise = (parameters: Ring): number =>
  Math.hypot(publicEncryptionNoise(parameters), symmetricEncryptionNoise(parameters))

/**
 * Rounding of both polynomials in a division by a prime: in rescaling, and in the last step of key switching.
 */
export const roundingNoise = (parameters: Ring): number =>
  slotDeviation(parameters, Math.sqrt(divisionVariance(parameters)))

/** Var(r0 + r1 * s) for rounding errors r0 and r1. */
const divisionVariance = ({ ring }: Ring): number => ROUNDING_VARIANCE * (1 + ring * TERNARY_VARIANCE)

/**
 * Key switching, for rotations, conjugations and relinearisation. SEAL's digits are the residues d_j in 0 ..
 * q_j - 1 as they are, not centred, so that d_j * e_j has a variance of N * (q_j^2 / 3) * Var(e), divided by
 * the special prime's square.
 *
 * This is the root mean square over all slots, which differ: three quarters of the variance come from the
 * digits' mean of q_j / 2, that is from e_j * (q_j / 2) * (1 + X + .. + X^(N-1)), whose value at zeta is 2 /
 * (1 - zeta) times as large. Slots near zeta = 1 (slots 0 and 1, and few others) have up to some fifty times
 * the typical noise, the same at each use of a key. A special prime ten bits larger than the data primes
 * drowns all of it in the rounding. Programs of the SIMD engine centre these digits too, which makes a
 * quarter of this variance, alike in all slots: for them the formula is a bound.
 *
 * With several special primes key switching is hybrid, by the SIMD engine, which centres its digits and
 * extends them exactly: digit d_j is uniform within +-Q_j / 2, Q_j being the product of its primes at this
 * level, so that d_j * e_j has a variance of N * (Q_j^2 / 12) * Var(e), divided by the square of the special
 * primes' product P, alike in all slots. Source: Han and Ki, ePrint 2019/688, section 3.
 *
 * @param level level of the ciphertext, which decides how many digits there are
 */
export function keySwitchingNoise(parameters: SwitchingParameters, level: number): number {
  const digit = digitSize(parameters) === 1 ? POSITIVE_VARIANCE : CENTRED_VARIANCE
  const variance = divisionVariance(parameters) + switchingVariance(parameters, level, digit)
  return slotDeviation(parameters, Math.sqrt(variance))
}

/**
 * The raise of a modulus: a key switch to the ephemeral secret, with centred digits of one prime and one
 * special prime, and one back at the highest level. The rounding after the first is multiplied by the
 * ephemeral secret, which has few coefficients. Digits of the second switch are no larger than the modulus of
 * the raise level, so that the formula is a bound where their own moduli are larger.
 *
 * @param level from which values are raised
 */
export function raisingNoise(parameters: SwitchingParameters, level: number): number {
  const { ring, primes } = parameters
  const down =
    ROUNDING_VARIANCE * (1 + EPHEMERAL_WEIGHT) +
    switchingVariance({ ring, ...ephemeralChain(parameters, level) }, level, CENTRED_VARIANCE)
  const up = keySwitchingNoise(parameters, primes.length - 1)
  return Math.hypot(slotDeviation(parameters, Math.sqrt(down)), up)
}

/**
 * Variance of the sum of digits times errors, divided by P.
 * @param digit variance of a digit divided by its modulus
 */
function switchingVariance(parameters: SwitchingParameters, level: number, digit: number): number {
  const { ring, primes, specialPrimes } = parameters
  const special = product(specialPrimes)
  let variance = 0
  for (let j = 0; j < digitCount(parameters, level); j++) {
    const { start, end } = digitRange(parameters, j, level)
    const ratio = product(primes.slice(start, end)) / special
    variance += ring * digit * ratio ** 2 * ERROR_VARIANCE
  }
  return variance
}

const product = (primes: readonly bigint[]): number => primes.reduce((all, prime) => all * Number(prime), 1)

/**
 * Rounding of an encoded real vector of the given period, in units of 1 / the scale it is encoded at. Such a
 * polynomial has 2p - 1 coefficients that are not zero, in pairs of opposite numbers, so all of their error
 * is real.
 *
 * A complex weight on a complex value also makes about this error in each part of the product, for a value
 * whose parts have the size of a real one: both parts of the weight's error enter each part of the product.
 */
export const encodingNoise = (period: number): number => Math.sqrt(ROUNDING_VARIANCE * (2 * period - 1))

/**
 * Rounding of an encoded complex vector of the given period, in each part. Its polynomial has 2p coefficients
 * with independent errors, so half of their variance is real and half of it imaginary.
 */
export const complexEncodingNoise = (period: number): number => Math.sqrt(ROUNDING_VARIANCE * period)
