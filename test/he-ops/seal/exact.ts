import type { SecretKey } from 'node-seal'
import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import type { SealContext } from '../../../src/he-ops/seal/context.ts'
import { withHeap } from '../../../src/he-ops/seal/runtime.ts'
import {
  ciphertextFromSeal,
  ciphertextToSeal,
  keyLevel,
  plaintextFromSeal,
} from '../../../src/he-ops/seal/serialization/serialization.ts'
import type { Polynomial, Rlwe } from '../../../src/wire/index.ts'

// Keys in exact integer arithmetic, for tests.

const word = (halves: Uint32Array): BigUint64Array => new BigUint64Array(halves.slice().buffer)

export const mod = (value: bigint, modulus: bigint): bigint => ((value % modulus) + modulus) % modulus

/** The representative nearest to 0. */
export function centred(value: bigint, modulus: bigint): bigint {
  const least = mod(value, modulus)
  return least > modulus / 2n ? least - modulus : least
}

/** A negacyclic transform modulo one prime, and its inverse. */
export function transforms(ring: number, prime: bigint) {
  const ntt = createNtt(ring, minimalRoot(ring, prime), prime)
  // Inverts each butterfly. It shares only the table with the forward transform.
  const inverses = ntt.roots.map((root) => powMod(root, prime - 2n, prime))
  const half = (prime + 1n) / 2n
  return {
    forward: (coefficients: readonly bigint[]): bigint[] => {
      const values = coefficients.map((coefficient) => mod(coefficient, prime))
      forwardNtt(ntt, values)
      return values
    },
    /** Coefficients, centred. */
    inverse(values: bigint[]): bigint[] {
      for (let groups = ring / 2, width = 1; groups >= 1; groups /= 2, width *= 2) {
        for (let group = 0; group < groups; group++) {
          for (let j = 2 * width * group; j < 2 * width * group + width; j++) {
            const [a, b] = [values[j], values[j + width]]
            values[j] = mod((a + b) * half, prime)
            values[j + width] = mod((((a - b) * half) % prime) * inverses[groups + group], prime)
          }
        }
      }
      return values.map((value) => centred(value, prime))
    },
  }
}

/** Both polynomials of a pair; node-seal expands the seed. */
export function expanded(ctx: SealContext, pair: Rlwe): { c0: BigUint64Array; c1: BigUint64Array } {
  return withHeap((own) => {
    const key = own(new ctx.seal.PublicKey())
    key.loadFromArray(ctx.context, ciphertextToSeal(keyLevel(ctx), pair, 1))
    const bytes = key.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array
    const { c0, c1 } = ciphertextFromSeal(keyLevel(ctx), bytes)
    return { c0: word(c0), c1: word(c1) }
  })
}

/** The secret key's residues modulo the i-th of all primes, in NTT form. */
export function secretResidues(ctx: SealContext, secretKey: SecretKey): (i: number) => bigint[] {
  const bytes = secretKey.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array
  return residuesOf(ctx.parameters, plaintextFromSeal(keyLevel(ctx), bytes))
}

/** A secret polynomial's residues modulo the i-th of all primes, in NTT form. */
export function residuesOf({ ring }: CkksParameters, secret: Polynomial): (i: number) => bigint[] {
  const residues = word(secret)
  return (i) => Array.from(residues.subarray(i * ring, (i + 1) * ring))
}

/** s(X^g) from the coefficients of s. */
export function automorphism(coefficients: readonly bigint[], element: number): bigint[] {
  const ring = coefficients.length
  const result = coefficients.map(() => 0n)
  coefficients.forEach((coefficient, i) => {
    const power = (i * element) % (2 * ring)
    result[power % ring] = power < ring ? coefficient : -coefficient
  })
  return result
}
