import { bitLength } from '../../../circuit/primes.ts'
import { packedBytes } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program.ts'
import { aligned } from '../ranges.ts'
import type { Value } from '../values.ts'
import { IntegerSums, type Integers } from './integers.ts'
import { NOTES_BYTES } from './load-pair.ts'

/** A fresh encryption that the client gave back, and where it goes. */
export interface Return {
  /**
   * Written. Where its second polynomial goes, the packed residues of the first one lie before, prime after prime: they take
   * less room than residues.
   */
  readonly out: Value
  /** Taken off the first polynomial. */
  readonly mask: Integers
  /** Address of the second polynomial's seed. */
  readonly seed: number
  /** As those of `PairLoad`. */
  readonly notes: number
}

/** Scratch memory that an item takes. */
export const returnScratch = ({ kernels, limbBytes }: SimdContext): number =>
  limbBytes + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)

/** Unpacks and checks ciphertexts, expands their seeds, and takes the masks off. One phase, an item for each ciphertext. */
export function emitReturns(builder: ProgramBuilder, context: SimdContext, work: readonly Return[]): void {
  const sums = new IntegerSums(builder, context)
  builder.phase(work.map((back) => returnItem(context, sums, back)))
}

function returnItem(context: SimdContext, sums: IntegerSums, { out, mask, seed, notes }: Return): Item {
  const { kernels, limbBytes, moduli, ring } = context
  const [c0, c1] = out.polynomials
  const chunks = (8 * ring) / kernels.CHUNK_BYTES.value
  const indices = Array.from({ length: out.primes }, (_, i) => i)
  return (call, scratch) => {
    let packed = c1
    for (const i of indices) {
      const { prime, q, forward, quotients } = moduli[i]
      const limb = c0 + i * limbBytes
      call('unpackNoted', limb, packed, bitLength(prime), ring, q, notes + NOTES_BYTES * i)
      packed += packedBytes(ring, bitLength(prime))
      sums.emit(call, i, [{ integers: mask, factor: 1n }], scratch)
      call('nttForward', scratch, forward, quotients, ring, q)
      call('subtract', limb, limb, scratch, ring, q)
    }
    call('clear', scratch, limbBytes)
    const stream = scratch + limbBytes
    for (const i of indices) {
      const note = notes + NOTES_BYTES * i + 4
      call('uniformNoted', c1 + i * limbBytes, seed, i * chunks, ring, moduli[i].q, stream, note)
    }
  }
}
