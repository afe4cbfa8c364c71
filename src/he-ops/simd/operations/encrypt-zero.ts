import { bitLength } from '../../../circuit/parameters/primes.ts'
import { packedBytes, SEED_BYTES } from '../../../wire/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { sumArguments } from '../tables/modulus.ts'
import { binomial, sampleScratch } from './sample.ts'
import { reduceSmall } from './small-polynomial.ts'

/** Addresses of an encryption of zero modulo all primes, to whose first polynomial another one is added. */
export interface ZeroEncryption {
  /** Address of the seed of the second polynomial; drawn here. */
  readonly seed: number
  /** Address of one word for each prime: the number of words of the seed's stream that were rejected. */
  readonly rejected: number
  /** Address of the coefficients of the error, which the caller overwrites. */
  readonly errors: number
  /** Address of the packed first polynomial, prime after prime. */
  readonly to: number
  /** For each prime the address of residues to add, in NTT form, if any. */
  readonly addends: readonly (number | undefined)[]
}

/**
 * Adds two phases that encrypt as `SymmetricEncryptor`: one with an item for each encryption draws seed and
 * error, and one has an item for each encryption and prime.
 *
 * @param negated address of -s modulo all primes, in Montgomery form
 */
export function emitZeroEncryptions(
  builder: ProgramBuilder,
  context: SimdContext,
  negated: number,
  encryptions: readonly ZeroEncryption[],
): void {
  builder.phase(
    encryptions.map(({ seed, errors }) => (call, scratch) => {
      call('random', { address: seed, bytes: SEED_BYTES })
      binomial(call, context, errors, scratch)
    }),
  )
  builder.phase(
    encryptions.flatMap((one) => {
      let to = one.to
      return context.moduli.map(({ prime }, i) => {
        const at = to
        to += packedBytes(context.ring, bitLength(prime))
        return residuesItem(builder, context, negated, one, i, at)
      })
    }),
  )
}

/** c0 = addend - (a s + e) modulo one prime, packed. */
function residuesItem(
  builder: ProgramBuilder,
  context: SimdContext,
  negated: number,
  { seed, rejected, errors, addends }: ZeroEncryption,
  i: number,
  to: number,
): Item {
  const { kernels, limbBytes, moduli, negatedOnes, ones, ring } = context
  const { prime, q } = moduli[i]
  const shift = log2Exact(ring)
  return (call, scratch) => {
    const { uniform, work, stream } = workspace(context, scratch)
    const firstChunk = (i * 8 * ring) / kernels.CHUNK_BYTES.value
    call('uniformNoted', {
      out: uniform,
      seed,
      firstChunk,
      size: ring,
      q,
      scratch: stream,
      rejected: rejected + 4 * i,
    })
    reduceSmall(call, context, i, errors, kernels.BINOMIAL_BOUND.value, work)
    const addend = addends[i]
    const added = addend === undefined ? [] : [addend, ones + 4 * i, shift]
    const blocks = [work, negatedOnes + 4 * i, shift, ...added]
    call('dot', {
      out: work,
      blockTerms: builder.table(blocks),
      blockCount: blocks.length / 3,
      vectorTerms: builder.table([uniform, negated + i * limbBytes]),
      vectorCount: 1,
      ...sumArguments(moduli[i], ring),
    })
    call('pack', { out: to, source: work, bits: bitLength(prime), size: ring })
  }
}

/** Scratch memory of one item. */
export const zeroEncryptionScratch = (context: SimdContext): number =>
  Math.max(aligned(sampleScratch(context)), workspace(context, 0).end)

function workspace({ kernels, limbBytes }: SimdContext, start: number) {
  const uniform = start
  const work = uniform + limbBytes
  const stream = work + limbBytes
  return {
    uniform,
    work,
    stream,
    end: stream + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value),
  }
}
