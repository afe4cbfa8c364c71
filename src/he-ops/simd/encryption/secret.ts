import { invert } from '../../../circuit/parameters/primes.ts'
import type { Polynomial } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { montgomery, shoup, sumArguments } from '../tables/modulus.ts'

/**
 * Writes a secret key s to kernel memory: -s modulo all primes, in NTT form and Montgomery form.
 *
 * @param secret residues of s modulo all primes
 * @returns the address
 */
export function negatedSecret(context: SimdContext, secret: Polynomial): number {
  const { heap, call, limbBytes, moduli, ring } = context
  const negated = heap.allocate(moduli.length * limbBytes)
  moduli.forEach(({ prime, q }, i) => {
    const at = negated + i * limbBytes
    const words = heap.words(at, ring)
    for (let b = 0; b < ring; b++) words[b] = secret[2 * (i * ring + b)]
    const minus = shoup(BigInt(montgomery(-1n, prime)), prime)
    call('scale', { out: at, a: at, bias: 0, ...minus, size: ring, q })
  })
  return negated
}

/**
 * The secrets that key switching keys encrypt: addresses of polynomials modulo the data primes, in NTT form.
 */
export interface ScaledSecrets {
  /** P * s, P being the product of the special primes. */
  readonly secret: number
  /** P * s^2. */
  readonly square: number
}

/** @param negated address of -s, from `negatedSecret` */
export function scaledSecrets(context: SimdContext, negated: number): ScaledSecrets {
  const { heap, call, limbBytes, moduli, parameters, ring } = context
  const secret = heap.allocate(parameters.primes.length * limbBytes)
  const square = heap.allocate(parameters.primes.length * limbBytes)
  const terms = heap.allocate(8)
  writeScaled(context, negated, secret)
  parameters.primes.forEach((_, i) => {
    const { prime, q } = moduli[i]
    const at = i * limbBytes
    heap.words(terms, 2).set([secret + at, negated + at])
    call('dot', {
      out: square + at,
      blockTerms: 0,
      blockCount: 0,
      vectorTerms: terms,
      vectorCount: 1,
      ...sumArguments(moduli[i], ring),
    })
    // The product is P * s * -s: its sign is changed. `dot` has divided by 2^32.
    const sign = shoup(-1n, prime)
    call('scale', { out: square + at, a: square + at, bias: 0, ...sign, size: ring, q })
  })
  heap.free(terms)
  return { secret, square }
}

/**
 * Writes P * s modulo the data primes of a context, in NTT form, P being the product of its special primes.
 *
 * @param negated address of -s modulo these data primes, in Montgomery form
 */
export function writeScaled(context: SimdContext, negated: number, to: number): void {
  const { call, limbBytes, moduli, parameters, ring } = context
  const special = parameters.specialPrimes.reduce((product, prime) => product * prime, 1n)
  parameters.primes.forEach((_, i) => {
    const { prime, q } = moduli[i]
    const at = i * limbBytes
    // The factor also removes the Montgomery form.
    const factor = shoup(-special * invert(2n ** 32n, prime), prime)
    call('scale', { out: to + at, a: negated + at, bias: 0, ...factor, size: ring, q })
  })
}
