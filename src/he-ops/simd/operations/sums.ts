import { byInputs } from '../../../schedule/shared-inputs.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { limbsOf } from '../values/values.ts'
import { sharedSumItems } from './shared-sums.ts'
import type { TermTable } from './terms.ts'
import type { Sum, Summand } from './weighted-sum.ts'

/**
 * Sums that share inputs are computed range by range of residues: a range's inputs of all these sums should
 * fit the second-level cache.
 */
const CACHE_BYTES = 256 * 1024
/** Residues of the shortest range. `POLYNOMIAL_GAP_BYTES` is made for it. */
const LEAST_RANGE = 256

/**
 * Computes sums. Sums that read the same inputs are computed together, range by range of residues. Takes one
 * phase.
 */
export function emitSums(builder: ProgramBuilder, context: SimdContext, work: readonly Sum[]): void {
  const groups = byInputs(work, ({ terms }) => terms.map(({ value }) => value))
  builder.phase(
    groups.flatMap((sums) => sharedSumItems(builder, context, sums) ?? separateItems(builder, context, sums)),
  )
}

/** Items of one sum each: range by range of residues, all sums for each range. */
function separateItems(builder: ProgramBuilder, context: SimdContext, work: readonly Sum[]): Item[] {
  const sums = work.map((sum) => sumTables(builder, context, sum))
  const inputs = new Set(work.flatMap(({ terms }) => terms.map(({ value }) => value))).size
  // A single sum reads each input once, so that a cache is of no use.
  const range = work.length === 1 ? context.ring : rangeFor(context.ring, inputs)
  const places = sums.reduce((most, { limbs }) => Math.max(most, limbs.length), 0)
  const items: Item[] = []
  for (let place = 0; place < places; place++) {
    for (let p = 0; p < 2; p++) {
      for (let from = 0; from < context.ring; from += range) {
        for (const { limbs, polynomials } of sums) {
          if (place >= limbs.length) continue
          const { index, tables } = limbs[place]
          items.push(dotItem(context, polynomials[p], tables[p], index, place * context.ring + from, range))
        }
      }
    }
  }
  return items
}

function rangeFor(ring: number, inputs: number): number {
  let range = ring
  while (range > LEAST_RANGE && 4 * range * inputs > CACHE_BYTES) range /= 2
  return range
}

interface SumTables {
  readonly polynomials: readonly number[]
  /** By place: the index of the modulus, and for each polynomial its terms. */
  readonly limbs: readonly { readonly index: number; readonly tables: readonly TermTable[] }[]
}

/**
 * One table of terms serves all limbs modulo data primes, and one all limbs modulo special primes: limbs of
 * values and weights are contiguous, so that `from` selects a limb by its distance from the first one.
 */
function sumTables(builder: ProgramBuilder, context: SimdContext, { out, terms }: Sum): SumTables {
  const { polynomials, primes, extended } = out
  const data = polynomials.map((_, p) => termTable(builder, terms, p, false))
  const extendedTerms = terms.filter(({ value }) => value.extended)
  const isSame =
    extendedTerms.length === terms.length &&
    terms.every(({ weights, specialWeights }) => weights === specialWeights)
  const special =
    extended && !isSame ? polynomials.map((_, p) => termTable(builder, extendedTerms, p, true)) : data
  const limbs = limbsOf(context, primes, extended).map((index, place) => ({
    index,
    tables: place < primes ? data : special,
  }))
  return { polynomials, limbs }
}

function termTable(
  builder: ProgramBuilder,
  terms: readonly Summand[],
  p: number,
  isSpecial: boolean,
): TermTable {
  const blocks: number[] = []
  const vectors: number[] = []
  for (const { value, weights, specialWeights, shift } of terms) {
    const address = isSpecial ? specialWeights : weights
    if (shift > 0) blocks.push(value.polynomials[p], address, shift)
    else vectors.push(value.polynomials[p], address)
  }
  return {
    blockTerms: builder.table(blocks),
    blockCount: blocks.length / 3,
    vectorTerms: builder.table(vectors),
    vectorCount: vectors.length / 2,
  }
}

/** @param from first residue, counted from the first residue of the first limb */
function dotItem(
  { moduli }: SimdContext,
  to: number,
  terms: TermTable,
  index: number,
  from: number,
  length: number,
): Item {
  const { q, inverse, chunk } = moduli[index]
  return (call) => call('dot', { out: to, ...terms, from, length, q, inverse, chunk, bias: 0 })
}
