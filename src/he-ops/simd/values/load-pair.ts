import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import type { Call, Item, ProgramBuilder } from '../program/program.ts'

/** A pair of a key, as its frame has it, in kernel memory, and the addresses of the loaded polynomials. */
export interface PairLoad {
  /**
   * The first polynomial's packed residues modulo each prime that is loaded: the prime's index in the
   * context, address, and bits of a residue.
   */
  readonly limbs: readonly { readonly index: number; readonly address: number; readonly bits: number }[]
  /** Address of the second polynomial's seed. */
  readonly seed: number
  /** Addresses of the polynomials, prime after prime. */
  readonly polynomials: readonly [c0: number, c1: number]
  /** Address of the permutation that is applied to both polynomials, if any. */
  readonly table: number | undefined
  /**
   * Address of two words for each limb, which are written: 1 when all residues of c0 are below the prime;
   * and the number of rejected words of the seed's stream. If that is not zero, c1 must be expanded again.
   */
  readonly notes: number
}

/** Bytes of `PairLoad.notes` for each limb. */
export const NOTES_BYTES = 8

/** Scratch memory of the items. */
export const pairLoadScratch = ({ kernels, limbBytes }: SimdContext): number =>
  aligned(limbBytes) + aligned(kernels.SCRATCH_BYTES.value + kernels.CHUNK_BYTES.value)

/** Unpacks and expands pairs, converts them to Montgomery form, and permutes them, as programs read keys. */
export function emitPairLoads(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly PairLoad[],
): void {
  builder.phase(work.flatMap((load) => load.limbs.map((_, place) => limbItem(context, load, place))))
}

function limbItem(context: SimdContext, load: PairLoad, place: number): Item {
  const { kernels, limbBytes, moduli, ring } = context
  const { index, address, bits } = load.limbs[place]
  const { q } = moduli[index]
  const [c0, c1] = load.polynomials.map((polynomial) => polynomial + place * limbBytes)
  const notes = load.notes + NOTES_BYTES * place
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
 * Converts residues to Montgomery form, and permutes them.
 *
 * @param from address of residues; overwritten where there is a permutation
 * @param to address of the result; equal to `from` where there is no permutation
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
