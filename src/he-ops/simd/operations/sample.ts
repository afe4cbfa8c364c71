import { MASK_DIGIT_BITS } from '../../../circuit/refresh.ts'
import type { SimdContext } from '../context.ts'
import type { Call } from '../program.ts'
import type { Integers } from './integers.ts'

// Polynomials of random integers, drawn on the thread that uses them from the platform's cryptographic generator.

/** Bytes of memory for the random bytes of a small polynomial; they are overwritten when they have served. */
export const sampleScratch = ({ kernels, ring }: SimdContext): number =>
  Math.max(ring + kernels.TERNARY_RESERVE.value, ring * kernels.BINOMIAL_BYTES.value)

/**
 * Coefficients uniform among -1, 0 and 1.
 *
 * @param address where they go, N words
 * @param scratch `sampleScratch` bytes
 */
export function ternary(call: Call, context: SimdContext, address: number, scratch: number): Integers {
  const { kernels, ring } = context
  drawn(call, scratch, ring + kernels.TERNARY_RESERVE.value, () => call('ternary', address, scratch, ring))
  return { address, digits: 1, offset: 1n }
}

/** SEAL's error: centred binomial coefficients. Parameters as for `ternary`. */
export function binomial(call: Call, context: SimdContext, address: number, scratch: number): Integers {
  const { kernels, ring } = context
  drawn(call, scratch, ring * kernels.BINOMIAL_BYTES.value, () => call('binomial', address, scratch, ring))
  return { address, digits: 1, offset: BigInt(kernels.BINOMIAL_BOUND.value) }
}

function drawn(call: Call, scratch: number, bytes: number, use: () => void): void {
  call('random', scratch, bytes)
  use()
  call('clear', scratch, bytes)
}

/** Integers of which each is uniform among the 2^bits from -2^(bits - 1) on. @param address of `uniformBytes` bytes */
export const uniformIntegers = (address: number, bits: number): Integers => ({
  address,
  digits: Math.ceil(bits / MASK_DIGIT_BITS),
  offset: 1n << BigInt(bits - 1),
})

/** Bytes that such integers take. */
export const uniformBytes = ({ limbBytes }: SimdContext, bits: number): number =>
  limbBytes * Math.ceil(bits / MASK_DIGIT_BITS)

/** Draws them: a power of two of integers, so that cutting bits off leaves the rest uniform. */
export function drawUniform(
  call: Call,
  context: SimdContext,
  { address, digits }: Integers,
  bits: number,
): void {
  const { limbBytes, ring } = context
  const top = digits - 1
  call('random', address, limbBytes * digits)
  if (top > 0) call('keepBits', address, MASK_DIGIT_BITS, ring * top)
  call('keepBits', address + limbBytes * top, bits - MASK_DIGIT_BITS * top, ring)
}
