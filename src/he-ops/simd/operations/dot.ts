import { PolyVeilError } from '../../../errors/index.ts'
import { expansionParts } from '../../../schedule/constant-storage.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { ConstantStore } from '../constants/constant-store.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { limbsOf, type Value } from '../values/values.ts'
import { Expansion, expansionBytes } from './expand.ts'
import { byInputs } from './shared-inputs.ts'
import type { TermTable } from './terms.ts'
import type { Dot } from './weighted-sum.ts'

/**
 * Sums that share inputs are computed range by range of residues: a range's inputs of all these sums should
 * fit the second-level cache.
 */
const CACHE_BYTES = 256 * 1024
/** Residues of the shortest range. `POLYNOMIAL_GAP_BYTES` is made for it. */
const LEAST_RANGE = 256

/**
 * Weighted sums of ciphertexts. Pass outputs that read the same inputs in one call: they are computed range
 * by range of residues, all outputs for each range. Summands are unchanged. Takes one phase, or two for each
 * part of the work that has weights kept as integers.
 *
 * @throws CONFIG_INVALID when every weight of a sum rounds to zero: the result would hide nothing
 */
export function emitDots(
  builder: ProgramBuilder,
  context: SimdContext,
  constants: ConstantStore,
  work: readonly Dot[],
): void {
  const bytesOf = (dot: Dot): number => expansionBytes(context, constants, dot)
  for (const part of expansionParts(work, bytesOf)) {
    const bytes = part.reduce((sum, dot) => sum + bytesOf(dot), 0)
    const expansion = new Expansion(builder, context, constants, bytes)
    const sums = part.map((dot) => ({ out: dot.out, terms: summandsOf(constants, expansion, dot) }))
    expansion.emit()
    emitSums(builder, context, sums)
    expansion.free()
  }
}

/** A sum or difference with an extended value on at least one side. */
export interface MixedSum {
  readonly kind: 'add' | 'subtract'
  readonly left: Value
  readonly right: Value
  /** Extended. */
  readonly out: Value
}

/** Sums and differences of an extended and a normal value, which is multiplied by P. One phase. */
export function emitMixedSums(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly MixedSum[],
): void {
  emitSums(
    builder,
    context,
    work.map(({ kind, left, right, out }) => ({
      out,
      terms: [unitSummand(context, left, 1), unitSummand(context, right, kind === 'add' ? 1 : -1)],
    })),
  )
}

/** One summand of a sum, and the address of its weights. */
interface Summand {
  readonly value: Value
  /** Address of the weights of the first limb; those of the other limbs follow, N >> shift words each. */
  readonly weights: number
  /**
   * As `weights`, for limbs modulo special primes: also an address counted from the first limb. Used where
   * the value has limbs modulo special primes.
   */
  readonly specialWeights: number
  /** As in `EncodedConstant`. */
  readonly shift: number
}

interface Sum {
  readonly out: Value
  readonly terms: readonly Summand[]
}

function summandsOf(
  constants: ConstantStore,
  expansion: Expansion,
  { terms, constantScale, out }: Dot,
): Summand[] {
  const summands: Summand[] = []
  for (const { value, constant } of terms) {
    const form = value.extended ? 'extended' : out.extended ? 'timesP' : 'normal'
    const store = constants.isExpanded(constant, constantScale, 'weight') ? expansion : constants
    const { address, shift, isZero } = store.encoded(constant, constantScale, out.primes, form)
    if (!isZero) summands.push({ value, weights: address, specialWeights: address, shift })
  }
  if (summands.length === 0) {
    throw new PolyVeilError('CONFIG_INVALID', 'Every weight of a dot rounds to zero')
  }
  return summands
}

/**
 * A value or its negative, with one weight for each limb. A normal value is multiplied by P where the sum is
 * extended.
 */
function unitSummand(context: SimdContext, value: Value, sign: 1 | -1): Summand {
  const { timesP, ones, negatedTimesP, negatedOnes } = context
  const normal = sign === 1 ? timesP : negatedTimesP
  const extended = sign === 1 ? ones : negatedOnes
  // Weights are ordered by the index of the modulus. A value's limbs modulo special primes follow directly
  // those modulo its data primes.
  const skipped = context.parameters.primes.length - value.primes
  return {
    value,
    shift: log2Exact(context.ring),
    weights: value.extended ? extended : normal,
    specialWeights: extended + 4 * skipped,
  }
}

function emitSums(builder: ProgramBuilder, context: SimdContext, work: readonly Sum[]): void {
  const groups = byInputs(work, ({ terms }) => terms.map(({ value }) => value))
  builder.phase(groups.flatMap((sums) => sumItems(builder, context, sums)))
}

/** Items of sums that read the same inputs: range by range of residues, all sums for each range. */
function sumItems(builder: ProgramBuilder, context: SimdContext, work: readonly Sum[]): Item[] {
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
