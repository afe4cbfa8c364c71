import type { SimdContext } from '../context.ts'
import type { Call } from '../program/program.ts'
import type { Integers } from './integers.ts'

// Polynomials of random integers. The thread that uses them draws them from the platform's cryptographic
// generator.

/** Bytes of scratch memory for the random bytes of a polynomial, which are overwritten after use. */
export const sampleScratch = (context: SimdContext): number => {
  const { kernels, ring } = context
  const ofTernary = ring + kernels.TERNARY_RESERVE.value
  return Math.max(ofTernary, ring * kernels.BINOMIAL_BYTES.value, residueBytes(context))
}

/**
 * Draws coefficients uniform among -1, 0 and 1.
 *
 * @param address of N words, which are written
 * @param scratch `sampleScratch` bytes
 */
export function ternary(call: Call, context: SimdContext, address: number, scratch: number): Integers {
  const { kernels, ring } = context
  drawn(call, scratch, ring + kernels.TERNARY_RESERVE.value, () =>
    call('ternary', { out: address, source: scratch, size: ring }),
  )
  return { address, offset: 1n }
}

/** Draws SEAL's error: centred binomial coefficients. Parameters as for `ternary`. */
export function binomial(call: Call, context: SimdContext, address: number, scratch: number): Integers {
  const { kernels, ring } = context
  drawn(call, scratch, ring * kernels.BINOMIAL_BYTES.value, () =>
    call('binomial', { out: address, source: scratch, size: ring }),
  )
  return { address, offset: BigInt(kernels.BINOMIAL_BOUND.value) }
}

function drawn(call: Call, scratch: number, bytes: number, use: () => void): void {
  call('random', { address: scratch, bytes })
  use()
  call('clear', { start: scratch, bytes })
}

/**
 * Draws uniform residues modulo one prime, as coefficients.
 *
 * @param index of the modulus
 * @param address of N words, which are written
 * @param scratch `sampleScratch` bytes
 */
export function uniformResidues(
  call: Call,
  context: SimdContext,
  index: number,
  address: number,
  scratch: number,
): void {
  const { moduli, ring } = context
  const size = ring / RESIDUE_PARTS
  for (let k = 0; k < ring; k += size) {
    const at = address + 4 * k
    drawn(call, scratch, residueBytes(context), () =>
      call('residues', { out: at, source: scratch, size, q: moduli[index].q }),
    )
  }
}

/** Residues are drawn in this many parts, so that they take no more scratch memory than other polynomials. */
const RESIDUE_PARTS = 2

const residueBytes = ({ kernels, ring }: SimdContext): number =>
  (ring / RESIDUE_PARTS) * kernels.RESIDUE_BYTES.value + kernels.RESIDUE_RESERVE.value
