import { bitLength } from '../../../circuit/parameters/primes.ts'
import { packedBytes } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { NOTES_BYTES } from '../values/load-pair.ts'
import type { Value } from '../values/values.ts'
import { convert } from './convert.ts'

/** A fresh encryption from the client, and the refreshed value that it becomes. */
export interface Ingress {
  /**
   * Written. Before that the memory of its second polynomial holds the packed residues of the first one,
   * prime after prime, which are shorter than residues.
   */
  readonly out: Value
  /** Address of the mask, as in `KeptMask`, which is subtracted from the first polynomial. */
  readonly mask: number
  /** Number of primes of the mask. */
  readonly maskPrimes: number
  /** Address of the second polynomial's seed. */
  readonly seed: number
  /** As in `PairLoad`. */
  readonly notes: number
}

/**
 * Scratch memory of one item.
 * @param maskPrimes as in `Ingress`
 */
export const ingressScratch = ({ kernels, limbBytes }: SimdContext, maskPrimes: number): number =>
  limbBytes * (maskPrimes + 2) + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)

/**
 * Unpacks and checks fresh encryptions, expands their seeds, and subtracts the masks. The client encrypted
 * the integer of least absolute value with the masked residues; the mask likewise stands for the integer of
 * least absolute value with its residues. Modulo the primes that the mask lacks, it is extended exactly. One
 * phase, with one item for each ciphertext.
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
