import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Call, Item, ProgramBuilder } from '../program/program.ts'

/** A pair of a key as it travels, in kernel memory, and where it goes. */
export interface PairLoad {
  /**
   * The first polynomial's residues modulo each prime of the context: where they lie packed, and bits of
   * each.
   */
  readonly limbs: readonly { readonly address: number; readonly bits: number }[]
  /** Address of the second polynomial's seed. */
  readonly seed: number
  /** Addresses of the polynomials, prime after prime. */
  readonly polynomials: readonly [c0: number, c1: number]
  /** Address of the permutation that both go through, if any. */
  readonly table: number | undefined
  /**
   * Address of two words for each prime that are written: 1 when all of c0's residues are below it; how many
   * words of the seed's stream were not taken for residues, so that c1 has to be expanded anew.
   */
  readonly notes: number
}

/** Bytes of `PairLoad.notes` for each prime. */
export const NOTES_BYTES = 8

/** Scratch memory that the items take. */
export const pairLoadScratch = ({ kernels, limbBytes }: SimdContext): number =>
  aligned(limbBytes) + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)

/** Unpacks and expands pairs, to Montgomery form and permuted: the form in which keys are used. */
export function emitPairLoads(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly PairLoad[],
): void {
  builder.phase(work.flatMap((load) => load.limbs.map((_, index) => limbItem(context, load, index))))
}

function limbItem(context: SimdContext, load: PairLoad, index: number): Item {
  const { kernels, limbBytes, moduli, ring } = context
  const { q } = moduli[index]
  const { address, bits } = load.limbs[index]
  const [c0, c1] = load.polynomials.map((polynomial) => polynomial + index * limbBytes)
  const notes = load.notes + NOTES_BYTES * index
  const firstChunk = index * ((8 * ring) / kernels.CHUNK_BYTES.value)
  return (call, scratch) => {
    const raw = load.table === undefined ? undefined : scratch
    call('unpackNoted', { out: raw ?? c0, source: address, bits, size: ring, q, sound: notes })
    prepare(call, context, index, raw ?? c0, c0, load.table)
    const stream = scratch + aligned(limbBytes)
    call('uniformNoted', {
      out: raw ?? c1,
      seed: load.seed,
      firstChunk,
      size: ring,
      q,
      scratch: stream,
      rejected: notes + 4,
    })
    prepare(call, context, index, raw ?? c1, c1, load.table)
  }
}

/**
 * Residues to Montgomery form, and permuted.
 *
 * @param from address of residues, overwritten where there is a permutation
 * @param to where they go; `from` where there is none
 */
export function prepare(
  call: Call,
  { galois, moduli, ring }: SimdContext,
  index: number,
  from: number,
  to: number,
  table: number | undefined,
): void {
  const { q, montgomery } = moduli[index]
  call('scale', { out: from, a: from, bias: 0, ...montgomery, size: ring, q })
  if (table === undefined) return
  call('permute', { out: to, a: from, table, patterns: galois.patterns, size: ring })
}
