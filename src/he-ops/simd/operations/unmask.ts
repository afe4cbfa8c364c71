import { bitLength } from '../../../circuit/parameters/primes.ts'
import { packedBytes } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { NOTES_BYTES } from '../values/load-pair.ts'
import type { Value } from '../values/values.ts'
import { convert } from './convert.ts'

/** A fresh encryption that the client gave back, and where it goes. */
export interface Ingress {
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

/** Scratch memory that an item takes. @param maskPrimes as those of `Ingress` */
export const ingressScratch = ({ kernels, limbBytes }: SimdContext, maskPrimes: number): number =>
  limbBytes * (maskPrimes + 2) + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)

/**
 * Unpacks and checks ciphertexts, expands their seeds, and takes the masks off. A mask stands for the integer
 * of least absolute value with its residues, as what the client encrypted stands for that of the masked
 * value: modulo the primes that the mask has no residues for it is extended exactly. One phase, an item for
 * each ciphertext.
 */
export function emitIngresses(builder: ProgramBuilder, context: SimdContext, work: readonly Ingress[]): void {
  builder.phase(work.map((ingress) => ingressItem(builder, context, ingress)))
}

function ingressItem(
  builder: ProgramBuilder,
  context: SimdContext,
  { out, mask, maskPrimes, seed, notes }: Ingress,
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
    const sources = scratch + limbBytes
    const stream = sources + limbBytes * (maskPrimes + 1)
    for (let i = 0; i < maskPrimes; i++) {
      convert.coefficients(call, context, conversion, i, mask + i * limbBytes, sources + i * limbBytes)
    }
    if (conversion.needsQuotients) convert.exactQuotients(call, context, conversion, sources)
    const write = convert.targetWriter(builder, context, conversion, sources)
    let packed = c1
    for (const i of indices) {
      const { prime, q, forward, quotients } = moduli[i]
      const limb = c0 + i * limbBytes
      call('unpackNoted', {
        out: limb,
        source: packed,
        bits: bitLength(prime),
        size: ring,
        q,
        sound: notes + NOTES_BYTES * i,
      })
      packed += packedBytes(ring, bitLength(prime))
      if (i < maskPrimes) {
        call('copy', { out: scratch, a: mask + i * limbBytes, size: ring })
        call('nttForward', { values: scratch, table: forward, quotients, size: ring, q })
      } else {
        write(call, i, scratch)
      }
      call('subtract', { out: limb, a: limb, b: scratch, size: ring, q })
    }
    call('clear', { start: scratch, bytes: stream - scratch })
    for (const i of indices) {
      call('uniformNoted', {
        out: c1 + i * limbBytes,
        seed,
        firstChunk: i * chunks,
        size: ring,
        q: moduli[i].q,
        scratch: stream,
        rejected: notes + NOTES_BYTES * i + 4,
      })
    }
  }
}
