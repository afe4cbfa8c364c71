import { PolyVeilError } from '../../errors/index.ts'

/** `base ** exponent mod modulus` for non-negative integers. */
export function powMod(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let factor = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * factor) % modulus
    factor = (factor * factor) % modulus
  }
  return result
}

/** value^-1 mod prime, for an integer that is not a multiple of the prime. */
export const invert = (value: bigint, prime: bigint): bigint =>
  powMod(((value % prime) + prime) % prime, prime - 2n, prime)

// The first twelve primes are witnesses enough for every n below 3.3e24 (Sorenson and Webster 2015).
const WITNESSES = [2n, 3n, 5n, 7n, 11n, 13n, 17n, 19n, 23n, 29n, 31n, 37n]

/** Deterministic Miller-Rabin test for integers below 2^64. */
export function isPrime(n: bigint): boolean {
  if (n < 2n) return false
  for (const p of WITNESSES) if (n % p === 0n) return n === p
  let odd = n - 1n
  let twos = 0
  while ((odd & 1n) === 0n) {
    odd >>= 1n
    twos++
  }
  return WITNESSES.every((witness) => passesRound(n, witness, odd, twos))
}

function passesRound(n: bigint, witness: bigint, odd: bigint, twos: number): boolean {
  let x = powMod(witness, odd, n)
  if (x === 1n || x === n - 1n) return true
  for (let i = 1; i < twos; i++) {
    x = (x * x) % n
    if (x === n - 1n) return true
  }
  return false
}

/** Number of bits of a non-negative integer. */
export const bitLength = (n: bigint): number => (n === 0n ? 0 : n.toString(2).length)

/**
 * Distinct primes congruent to 1 modulo 2 * ring, one for each entry of `bits`, the largest of each size
 * first. The set is that of SEAL's `CoeffModulus::Create`, whose order within a size is the reverse.
 *
 * @param ring polynomial modulus degree N, a power of two
 * @param bits size of each prime, 18 to 60
 * @throws CONFIG_INVALID when there are not enough primes of a size
 */
export function nttPrimes(ring: number, bits: readonly number[]): bigint[] {
  const step = BigInt(2 * ring)
  const next = new Map<number, bigint>()
  return bits.map((size) => {
    let candidate = next.get(size) ?? (((1n << BigInt(size)) - 1n) / step) * step + 1n
    while (candidate >> BigInt(size - 1) === 1n && !isPrime(candidate)) candidate -= step
    if (bitLength(candidate) !== size) {
      throw new PolyVeilError('CONFIG_INVALID', `There are not enough ${size}-bit primes for ring ${ring}`, {
        ring,
        bits: size,
      })
    }
    next.set(size, candidate - step)
    return candidate
  })
}
