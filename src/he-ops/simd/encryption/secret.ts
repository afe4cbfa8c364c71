import type { Polynomial } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { montgomery, shoup } from '../modulus.ts'

/** What keys need of the secret key s, in kernel memory: addresses of polynomials in NTT form, prime after prime. */
export interface SecretTables {
  /** -s modulo all primes, in Montgomery form. */
  readonly negated: number
  /** P * s modulo the data primes, P being the product of the special primes. */
  readonly scaled: number
  /** P * s^2 modulo the data primes. */
  readonly square: number
}

/** @param secret residues of s modulo all primes */
export function secretTables(context: SimdContext, secret: Polynomial): SecretTables {
  const { heap, kernels, limbBytes, moduli, parameters, ring } = context
  const special = parameters.specialPrimes.reduce((product, prime) => product * prime, 1n)
  const data = parameters.primes.length
  const negated = heap.allocate(moduli.length * limbBytes)
  const scaled = heap.allocate(data * limbBytes)
  const square = heap.allocate(data * limbBytes)
  const plain = heap.allocate(limbBytes)
  const terms = heap.allocate(8)
  moduli.forEach(({ prime, q, inverse, chunk }, i) => {
    const at = i * limbBytes
    const words = heap.words(plain, ring)
    for (let b = 0; b < ring; b++) words[b] = secret[2 * (i * ring + b)]
    const minus = shoup(BigInt(montgomery(-1n, prime)), prime)
    kernels.scale(negated + at, plain, 0, minus.w, minus.quotient, ring, q)
    if (i >= data) return
    const factor = shoup(special, prime)
    kernels.scale(scaled + at, plain, 0, factor.w, factor.quotient, ring, q)
    heap.words(terms, 2).set([scaled + at, negated + at])
    kernels.dot(square + at, 0, 0, terms, 1, 0, ring, q, inverse, chunk, 0)
    // The product with -s, times -1.
    const sign = shoup(-1n, prime)
    kernels.scale(square + at, square + at, 0, sign.w, sign.quotient, ring, q)
  })
  return { negated, scaled, square }
}
