import { powMod } from '../../circuit/parameters/primes.ts'
import { bitReverse, log2Exact } from './order.ts'

/**
 * The smallest primitive 2N-th root of unity modulo a prime q = 1 mod 2N: the root that SEAL's transforms
 * use. Takes N modular products.
 */
export function minimalRoot(ring: number, prime: bigint): bigint {
  const order = BigInt(2 * ring)
  const root = anyPrimitiveRoot(order, prime)
  const square = (root * root) % prime
  let smallest = root
  let candidate = root
  for (let i = 1; i < ring; i++) {
    candidate = (candidate * square) % prime
    if (candidate < smallest) smallest = candidate
  }
  return smallest
}

function anyPrimitiveRoot(order: bigint, prime: bigint): bigint {
  for (let base = 2n; ; base++) {
    const root = powMod(base, (prime - 1n) / order, prime)
    // The order divides a power of two, so it is `order` exactly when the half power is -1.
    if (powMod(root, order / 2n, prime) === prime - 1n) return root
  }
}

/** Tables of a negacyclic transform of one size modulo one prime. */
export interface Ntt {
  readonly prime: bigint
  /** root^bitReverse(i) for i below the size. */
  readonly roots: readonly bigint[]
}

/** Tables for polynomials modulo Y^size + 1, `root` being a primitive (2 * size)-th root of unity. */
export function createNtt(size: number, root: bigint, prime: bigint): Ntt {
  const bits = log2Exact(size)
  const powers = [1n]
  for (let i = 1; i < size; i++) powers.push((powers[i - 1] * root) % prime)
  return { prime, roots: powers.map((_, i) => powers[bitReverse(i, bits)]) }
}

/**
 * Negacyclic number-theoretic transform in place. Afterwards entry b is the polynomial's value at
 * root^(2 * bitReverse(b) + 1), which is SEAL's order.
 *
 * Source: Longa and Naehrig, "Speeding up the Number Theoretic Transform", ePrint 2016/504, algorithm 1.
 *
 * @param values coefficients, least first, each in 0 .. prime - 1; overwritten
 */
export function forwardNtt({ prime, roots }: Ntt, values: bigint[]): void {
  const size = values.length
  for (let groups = 1, half = size / 2; groups < size; groups *= 2, half /= 2) {
    for (let group = 0; group < groups; group++) {
      const start = 2 * half * group
      butterflies(values, start, half, roots[groups + group], prime)
    }
  }
}

/**
 * Inverse of `forwardNtt`, in place.
 *
 * Source: Longa and Naehrig, ePrint 2016/504, algorithm 2.
 *
 * @param inverse tables made with the inverse of the root
 * @param values as `forwardNtt` leaves them; overwritten with coefficients in 0 .. prime - 1
 */
export function inverseNtt({ prime, roots }: Ntt, values: bigint[]): void {
  const size = values.length
  for (let groups = size / 2, half = 1; groups >= 1; groups /= 2, half *= 2) {
    for (let group = 0; group < groups; group++) {
      const start = 2 * half * group
      const root = roots[groups + group]
      for (let j = start; j < start + half; j++) {
        const [a, b] = [values[j], values[j + half]]
        values[j] = (a + b) % prime
        values[j + half] = ((a - b + prime) * root) % prime
      }
    }
  }
  const share = powMod(BigInt(size), prime - 2n, prime)
  for (let k = 0; k < size; k++) values[k] = (values[k] * share) % prime
}

function butterflies(values: bigint[], start: number, half: number, root: bigint, prime: bigint): void {
  for (let j = start; j < start + half; j++) {
    const product = (values[j + half] * root) % prime
    const sum = values[j] + product
    const difference = values[j] - product
    values[j] = sum >= prime ? sum - prime : sum
    values[j + half] = difference < 0n ? difference + prime : difference
  }
}
