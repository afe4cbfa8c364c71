import fc from 'fast-check'
import { isPrime } from '../../../src/circuit/parameters/primes.ts'
import { createKernelMemory, instantiateKernels } from '../../../src/he-ops/kernels/kernels.ts'
import { Heap } from '../../../src/he-ops/simd/memory/heap.ts'

const memory = createKernelMemory()

/** One memory with the kernels, for all tests of a file. */
export const kernels = await instantiateKernels(memory)
export const heap = new Heap(memory)

/** Guard bytes before and after each buffer, which no kernel may write. */
const GUARD_BYTES = 64
const GUARD = 0xa5

/** Words in kernel memory. */
export interface Buffer32 {
  readonly address: number
  /** A copy of the current words. */
  read(): Uint32Array
}

/** Makes buffers that live until the test's body ends. */
export interface Memory {
  /** A buffer of these words, or of this many arbitrary words. */
  words(content: ArrayLike<number> | number): Buffer32
  /** A buffer of bytes, `misalignment` bytes after a multiple of a cache line. */
  bytes(content: Uint8Array, misalignment?: number): { readonly address: number; read(): Uint8Array }
  /** A buffer of doubles. */
  doubles(content: Float64Array): number
}

/**
 * Runs a body with kernel memory, and frees the memory afterwards.
 *
 * @throws when a guard byte was written
 */
export function withMemory<T>(body: (memory: Memory) => T): T {
  const made: { readonly start: number; readonly bytes: number; readonly misalignment: number }[] = []
  const allocate = (bytes: number, misalignment = 0): number => {
    const start = heap.allocate(bytes + misalignment + 2 * GUARD_BYTES)
    heap.bytes(start, bytes + misalignment + 2 * GUARD_BYTES).fill(GUARD)
    made.push({ start, bytes, misalignment })
    return start + GUARD_BYTES + misalignment
  }
  try {
    const result = body({
      words(content) {
        const length = typeof content === 'number' ? content : content.length
        const address = allocate(4 * length)
        if (typeof content !== 'number') heap.words(address, length).set(content)
        return { address, read: () => heap.words(address, length).slice() }
      },
      bytes(content, misalignment = 0) {
        const address = allocate(content.length, misalignment)
        heap.bytes(address, content.length).set(content)
        return { address, read: () => heap.bytes(address, content.length).slice() }
      },
      doubles(content) {
        const address = allocate(8 * content.length)
        new Float64Array(memory.buffer, address, content.length).set(content)
        return address
      },
    })
    for (const { start, bytes, misalignment } of made) {
      const front = heap.bytes(start, GUARD_BYTES + misalignment)
      const back = heap.bytes(start + GUARD_BYTES + misalignment + bytes, GUARD_BYTES)
      if (![...front, ...back].every((byte) => byte === GUARD))
        throw new Error('A byte beside a buffer changed')
    }
    return result
  } finally {
    for (const { start } of made) heap.free(start)
  }
}

/** Compares two arrays of words; tap's deep comparison would take minutes. */
export const equal = (a: Uint32Array, b: Uint32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))

/** @throws with the first difference when `found` is not `expected` */
export function requireEqual(found: Uint32Array, expected: Uint32Array, what: string): void {
  if (equal(found, expected)) return
  const at = found.findIndex((word, i) => word !== expected[i])
  throw new Error(`${what}: ${found[at]} at ${at} should be ${expected[at]} (${found.length} words)`)
}

/**
 * Primes 1 modulo 2 N and below 2^30: the smallest that parameters may have, the largest, and any of 20 to 30
 * bits.
 */
export function primes(ring: number): fc.Arbitrary<bigint> {
  return fc.oneof(
    { weight: 1, arbitrary: fc.constant(smallestPrime(ring)) },
    { weight: 2, arbitrary: fc.constant(largestPrime(ring)) },
    {
      weight: 5,
      arbitrary: fc
        .tuple(fc.integer({ min: 20, max: 30 }), fc.nat())
        .map(([bits, choice]) => primeOfBits(ring, bits, choice)),
    },
  )
}

/** The smallest prime with five digits. */
export const smallestPrime = (ring: number): bigint => walk(ring, 10_000n, 1n)

/** The largest prime that a lane holds. */
export const largestPrime = (ring: number): bigint => walk(ring, 2n ** 30n - 1n, -1n)

/** A prime of exactly this many bits, or of fewer if there is none. `choice` is the start of the search. */
export function primeOfBits(ring: number, bits: number, choice = 0): bigint {
  const least = 1n << BigInt(bits - 1)
  const candidates = least / BigInt(2 * ring)
  const start = least + (candidates === 0n ? 0n : BigInt(choice) % candidates) * BigInt(2 * ring)
  const above = walk(ring, start, 1n)
  return above < 2n * least ? above : walk(ring, 2n * least - 1n, -1n)
}

function walk(ring: number, start: bigint, direction: 1n | -1n): bigint {
  const step = BigInt(2 * ring)
  const below = ((start - 1n) / step) * step + 1n
  let candidate = direction === 1n && below < start ? below + step : below
  while (!isPrime(candidate)) candidate += direction * step
  return candidate
}

/** Distributions of residues; lazy reductions would overflow at the extremes. */
export type Pattern = 'random' | 'zero' | 'largest' | 'extremes'
export const patterns = fc.constantFrom<Pattern>('random', 'zero', 'largest', 'extremes')

/** Uniform numbers in 0 .. below - 1, for data that is too large for fast-check to shrink. */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Residues below q. */
export function residues(length: number, q: number, pattern: Pattern, seed: number): Uint32Array {
  const random = generator(seed)
  const extremes = [0, 1, q - 1, q - 2, Math.floor(q / 2)]
  return Uint32Array.from({ length }, () => {
    switch (pattern) {
      case 'zero':
        return 0
      case 'largest':
        return q - 1
      case 'extremes':
        return extremes[random(extremes.length)]
      case 'random':
        return random(q)
    }
  })
}

/** x mod q in 0 .. q - 1. */
export const reduce = (x: bigint, q: bigint): number => Number(((x % q) + q) % q)
