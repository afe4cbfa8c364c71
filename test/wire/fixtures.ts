import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { PolynomialShape, SeededRlwe } from '../../src/wire/index.ts'
import { SEED_BYTES } from '../../src/wire/index.ts'

const literal = (bits: readonly number[]) => {
  const primes = nttPrimes(8192, bits).map(String)
  return { ring: 8192, primes: primes.slice(0, -1), specialPrimes: primes.slice(-1) }
}

/** Primes of unlike sizes, above and below 32 bits; 8192 slots of ring. */
export const parameters = checkParameters(literal([45, 29, 33, 47]))
/** The same ring and sizes, another chain. */
export const otherParameters = checkParameters(literal([45, 29, 31, 47]))

/** A polynomial with distinct residues, all below their primes, the largest possible among them. */
export function distinctPolynomial({ ring, primes }: PolynomialShape, salt: number): Uint32Array {
  const words = new BigUint64Array(ring * primes.length)
  primes.forEach((prime, index) => {
    for (let i = 0; i < ring; i++) {
      words[index * ring + i] = (BigInt(i + salt) * 0x9e3779b97f4a7c15n) % prime
    }
    words[index * ring + salt] = prime - 1n
  })
  return new Uint32Array(words.buffer)
}

export const distinctPair = (shape: PolynomialShape, salt: number): SeededRlwe => ({
  c0: distinctPolynomial(shape, salt),
  seed: Uint8Array.from({ length: SEED_BYTES }, (_, i) => (i * 7 + salt) % 256),
})

/** Sets bits of one packed residue to one, so that it exceeds every prime of its size. */
export function saturate(bytes: Uint8Array, bit: number, bits: number): void {
  for (let i = bit; i < bit + bits; i++) bytes[i >>> 3] |= 1 << (i & 7)
}

/** All chunks, joined. */
export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return Uint8Array.from(Buffer.concat(parts))
}
