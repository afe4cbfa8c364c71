import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { invert } from '../../circuit/parameters/primes.ts'
import type { ComplexVector } from '../../circuit/types.ts'
import { powersOfFive } from './embedding.ts'
import { createNtt, inverseNtt, minimalRoot, type Ntt } from './ntt.ts'

/**
 * Decodes the part of a plaintext that repeats after `period` slots.
 *
 * That part consists of the 2p coefficients of X^(N / 2p) and its powers, where p is the period. In SEAL's
 * order the residues with the same value of X^(N / 2p) are a block of N / 2p neighbours; their mean is the
 * residue of that part. The transform of size 2p is then inverted. All other coefficients, however large,
 * cancel in the means.
 *
 * @param residues N for each of q_0 .. q_level in turn, in NTT form in SEAL's order
 * @param scale of the message
 * @param period a power of two, at most N / 2
 * @returns the first `period` slots, exact up to the rounding of doubles
 */
export function decodePeriodic(
  { ring, primes }: Pick<CkksParameters, 'ring' | 'primes'>,
  residues: BigUint64Array,
  level: number,
  scale: number,
  period: number,
): ComplexVector {
  const size = 2 * period
  const used = primes.slice(0, level + 1)
  const limbs = used.map((prime, i) => {
    const values = blockMeans(residues.subarray(i * ring, (i + 1) * ring), size, prime)
    inverseNtt(smallTransform(ring, size, prime), values)
    return values
  })
  return evaluateAtSlots(centredIntegers(limbs, used), scale)
}

function blockMeans(residues: BigUint64Array, count: number, prime: bigint): bigint[] {
  const block = residues.length / count
  const share = invert(BigInt(block), prime)
  return Array.from({ length: count }, (_, b) => {
    let sum = 0n
    for (let j = b * block; j < (b + 1) * block; j++) sum += residues[j]
    return ((sum % prime) * share) % prime
  })
}

function smallTransform(ring: number, size: number, prime: bigint): Ntt {
  let root = minimalRoot(ring, prime)
  for (let n = size; n < ring; n *= 2) root = (root * root) % prime
  return createNtt(size, invert(root, prime), prime)
}

/** The integers of least absolute value with the given residues. */
function centredIntegers(limbs: readonly (readonly bigint[])[], primes: readonly bigint[]): Float64Array {
  const modulus = primes.reduce((product, prime) => product * prime, 1n)
  const units = primes.map((prime) => (modulus / prime) * invert(modulus / prime, prime))
  return Float64Array.from(limbs[0], (_, k) => {
    const value = units.reduce((sum, unit, i) => sum + unit * limbs[i][k], 0n) % modulus
    return Number(value > modulus / 2n ? value - modulus : value)
  })
}

/** Slot i is the value at w^(5^i), w = exp(i * pi / 2p), as in `embedding.ts`. */
function evaluateAtSlots(coefficients: Float64Array, scale: number): ComplexVector {
  const period = coefficients.length / 2
  const order = 4 * period
  const cosines = Float64Array.from({ length: order }, (_, k) => Math.cos((2 * Math.PI * k) / order))
  const exponents = powersOfFive(period, order)
  const real = new Float64Array(period)
  const imaginary = new Float64Array(period)
  exponents.forEach((exponent, i) => {
    for (let k = 0; k < coefficients.length; k++) {
      const angle = (k * exponent) % order
      real[i] += coefficients[k] * cosines[angle]
      // The sine is the cosine a quarter of the circle earlier.
      imaginary[i] += coefficients[k] * cosines[(angle + 3 * period) % order]
    }
    real[i] /= scale
    imaginary[i] /= scale
  })
  return { real, imaginary }
}

/** The part of slots that repeats after `period` slots: the mean of each slot's copies. */
export function periodicPart({ real, imaginary }: ComplexVector, period: number): ComplexVector {
  return { real: meansOfCopies(real, period), imaginary: meansOfCopies(imaginary, period) }
}

function meansOfCopies(values: Float64Array, period: number): Float64Array {
  const means = new Float64Array(period)
  values.forEach((value, s) => {
    means[s % period] += (value * period) / values.length
  })
  return means
}
