import { bitLength } from '../../../circuit/parameters/primes.ts'
import { packedBytes } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { NOTES_BYTES } from '../values/load-pair.ts'
import type { Value } from '../values/values.ts'
import { convert } from './convert.ts'

/** A fresh encryption that the client gave back, and where it goes. */
export interface Return {
  /**
   * Written. Where its second polynomial goes, the packed residues of the first one lie before, prime after
   * prime: they take less room than residues.
   */
  readonly out: Value
  /** Taken off the first polynomial: the address of a mask as `KeptMask` has it. */
  readonly mask: number
  /** Primes that the mask has residues for. */
  readonly maskPrimes: number
  /** Address of the second polynomial's seed. */
  readonly seed: number
  /** As those of `PairLoad`. */
  readonly notes: number
}

/** Scratch memory that an item takes. @param maskPrimes as those of `Return` */
export const returnScratch = ({ kernels, limbBytes }: SimdContext, maskPrimes: number): number =>
  limbBytes * (maskPrimes + 2) + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)

/**
 * Unpacks and checks ciphertexts, expands their seeds, and takes the masks off. A mask stands for the integer
 * of least absolute value with its residues, as what the client encrypted stands for that of the masked
 * value: modulo the primes that the mask has no residues for it is extended exactly. One phase, an item for
 * each ciphertext.
 */
export function emitIngresses(builder: ProgramBuilder, context: SimdContext, work: readonly Return[]): void {
  builder.phase(work.map((back) => returnItem(builder, context, back)))
}

function returnItem(
  builder: ProgramBuilder,
  context: SimdContext,
  { out, mask, maskPrimes, seed, notes }: Return,
): Item {
  const { kernels, limbBytes, moduli, ring } = context
  const [c0, c1] = out.polynomials
  const conversion = context.conversion(
    Array.from({ length: maskPrimes }, (_, i) => i),
    true,
  )
  const chunks = (8 * ring) / kernels.CHUNK_BYTES.value
  const indices = Array.from({ length: out.primes }, (_, i) => i)
  return (call, scratch) => {
    const lift = scratch + limbBytes
    const stream = lift + limbBytes * (maskPrimes + 1)
    for (let i = 0; i < maskPrimes; i++) {
      convert.coefficients(call, context, conversion, i, mask + i * limbBytes, lift + i * limbBytes)
    }
    if (conversion.needsQuotients) convert.exactQuotients(call, context, conversion, lift)
    const write = convert.targetWriter(builder, context, conversion, lift)
    let packed = c1
    for (const i of indices) {
      const { prime, q, forward, quotients } = moduli[i]
      const limb = c0 + i * limbBytes
      call('unpackNoted', limb, packed, bitLength(prime), ring, q, notes + NOTES_BYTES * i)
      packed += packedBytes(ring, bitLength(prime))
      if (i < maskPrimes) {
        call('copy', scratch, mask + i * limbBytes, ring)
        call('nttForward', scratch, forward, quotients, ring, q)
      } else {
        write(call, i, scratch)
      }
      call('subtract', limb, limb, scratch, ring, q)
    }
    call('clear', scratch, stream - scratch)
    for (const i of indices) {
      const note = notes + NOTES_BYTES * i + 4
      call('uniformNoted', c1 + i * limbBytes, seed, i * chunks, ring, moduli[i].q, stream, note)
    }
  }
}
