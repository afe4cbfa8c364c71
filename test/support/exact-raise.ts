import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import { invert } from '../../src/circuit/parameters/primes.ts'
import { centred, mod, transforms } from '../he-ops/seal/exact.ts'

// Ciphertexts in exact integer arithmetic, for tests.

const productOf = (primes: readonly bigint[]): bigint => primes.reduce((all, prime) => all * prime, 1n)

/**
 * The integer polynomial c0 + c1 s modulo the first data primes, of least absolute value.
 *
 * @param residues of both polynomials, in NTT form, prime after prime
 * @param secrets residues of s modulo the i-th prime, in NTT form
 * @param primes number of primes
 */
export function phaseOf(
  { ring, primes: all }: CkksParameters,
  [c0, c1]: readonly Uint32Array[],
  secrets: (i: number) => readonly bigint[],
  primes: number,
): bigint[] {
  const rows = Array.from({ length: primes }, (_, i) =>
    secrets(i).map((s, b) => mod(BigInt(c0[i * ring + b]) + BigInt(c1[i * ring + b]) * s, all[i])),
  )
  return coefficientsOf(ring, all.slice(0, primes), rows)
}

/** Coefficients of least absolute value, from residues in NTT form modulo each of some primes. */
export function coefficientsOf(
  ring: number,
  primes: readonly bigint[],
  rows: readonly (readonly bigint[])[],
): bigint[] {
  const product = productOf(primes)
  const terms = rows.map((row, i) => {
    const rest = product / primes[i]
    const factor = rest * invert(rest % primes[i], primes[i])
    return transforms(ring, primes[i])
      .inverse([...row])
      .map((value) => value * factor)
  })
  return terms[0].map((_, k) =>
    centred(
      terms.reduce((sum, term) => sum + term[k], 0n),
      product,
    ),
  )
}

/** A raised phase, taken apart: phase = message + noise + multiple * modulus. */
export interface ExactRaise {
  readonly multiples: readonly number[]
  readonly noise: readonly number[]
}

/**
 * Compares a phase before and after its modulus was raised.
 *
 * @param modulus of the raise level
 */
export function takeApart(before: readonly bigint[], after: readonly bigint[], modulus: bigint): ExactRaise {
  const noise = after.map((value, k) => centred(value - before[k], modulus))
  return {
    noise: noise.map(Number),
    multiples: after.map((value, k) => Number((value - before[k] - noise[k]) / modulus)),
  }
}
