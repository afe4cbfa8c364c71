import { bitLength } from '../../../circuit/parameters/primes.ts'
import { type PackedLimb, packedBytes } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'

// Packed residues in kernel memory, prime after prime, as frames have them.

/** Copies a packed polynomial into kernel memory. */
export function writePacked({ heap }: SimdContext, to: number, limbs: readonly PackedLimb[]): void {
  let at = to
  for (const { bytes } of limbs) {
    heap.bytes(at, bytes.length).set(bytes)
    at += bytes.length
  }
}

/**
 * A packed polynomial in kernel memory.
 *
 * @param primes number of data primes, level + 1
 * @returns views, valid until the memory is written
 */
export function packedAt({ heap, moduli, ring }: SimdContext, from: number, primes: number): PackedLimb[] {
  let at = from
  return moduli.slice(0, primes).map(({ prime }) => {
    const bits = bitLength(prime)
    const bytes = heap.bytes(at, packedBytes(ring, bits))
    at += bytes.length
    return { prime, bits, bytes }
  })
}

/** As `packedAt`, but copies the polynomial. */
export const readPacked = (context: SimdContext, from: number, primes: number): PackedLimb[] =>
  packedAt(context, from, primes).map((limb) => ({ ...limb, bytes: limb.bytes.slice() }))
