import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program/program.ts'
import { limbsOf, type Value } from '../values/values.ts'
import type { Sum } from './weighted-sum.ts'

/**
 * Weights that one call gathers. Together with one granule of a hundred inputs and more they fit the
 * first-level cache.
 */
const MOST_WEIGHTS = 4096
/** log2 of the shortest block. To gather a weight takes the time of some products. */
const LEAST_SHIFT = 6
/** Products of a call relative to those of its terms: sums that lack a term multiply it by zero. */
const MOST_PRODUCTS = 4 / 3
/** Residues of one item. */
const RANGE = 1024

/** Sums of the same ciphertexts as one matrix of weights. */
interface Matrix {
  readonly sums: readonly Sum[]
  /** The columns. */
  readonly inputs: readonly Value[]
  /** For each sum the addresses of its weights by input. */
  readonly weights: readonly ReadonlyMap<Value, number>[]
  readonly shift: number
}

/**
 * Items of sums that `dotShared` can compute together: they read nearly the same ciphertexts, and all their
 * weights stand for blocks of one length.
 *
 * @param work sums that share inputs
 * @returns nothing when the sums are of another kind
 */
export function sharedSumItems(
  builder: ProgramBuilder,
  context: SimdContext,
  work: readonly Sum[],
): Item[] | undefined {
  const matrix = matrixOf(context, work)
  if (matrix === undefined) return undefined
  const { primes, extended } = work[0].out
  const calls = partsOf(context, matrix).map((part) => tablesOf(builder, part))
  return limbsOf(context, primes, extended).flatMap((index, place) =>
    calls.flatMap(({ data, special }) =>
      rangeItems(context, place < primes ? data : special, matrix.shift, index, place),
    ),
  )
}

function matrixOf(context: SimdContext, work: readonly Sum[]): Matrix | undefined {
  const summands = work.flatMap(({ terms }) => terms)
  const { shift } = summands[0]
  const { out } = work[0]
  const inputs = [...new Set(summands.map(({ value }) => value))]
  const weights = work.map(({ terms }) => new Map(terms.map((term) => [term.value, term.weights])))
  const fits =
    work.length > 1 &&
    shift >= LEAST_SHIFT &&
    inputs.length <= mostWeights(context) &&
    work.length * inputs.length <= MOST_PRODUCTS * summands.length &&
    summands.every((term) => term.shift === shift && term.weights === term.specialWeights) &&
    work.every((sum) => sum.out.primes === out.primes && sum.out.extended === out.extended) &&
    work.every(({ terms }, i) => terms.length === weights[i].size)
  return fits ? { sums: work, inputs, weights, shift } : undefined
}

/** The scratch memory of a piece has a limb at least. */
const mostWeights = ({ limbBytes }: SimdContext): number => Math.min(MOST_WEIGHTS, limbBytes / 4)

/** Divides the sums into parts whose weights one call can gather. */
function partsOf(context: SimdContext, { sums, inputs, weights, shift }: Matrix): Matrix[] {
  const most = Math.floor(mostWeights(context) / inputs.length)
  const count = Math.ceil(sums.length / most)
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [i, i + 1].map((part) => Math.round((part * sums.length) / count))
    return { sums: sums.slice(from, to), inputs, weights: weights.slice(from, to), shift }
  })
}

/** The tables of one call of `dotShared`. */
interface Tables {
  readonly outs: number
  readonly sums: number
  readonly inputs: number
  readonly terms: number
  readonly weights: number
}

/**
 * The tables for limbs modulo data primes and modulo special primes, where only extended inputs have limbs.
 */
function tablesOf(
  builder: ProgramBuilder,
  matrix: Matrix,
): { readonly data: Tables; readonly special: Tables } {
  const data = tablesFor(builder, matrix, matrix.inputs)
  const extended = matrix.inputs.filter((input) => input.extended)
  const isSame = extended.length === matrix.inputs.length || !matrix.sums[0].out.extended
  return { data, special: isSame ? data : tablesFor(builder, matrix, extended) }
}

function tablesFor(builder: ProgramBuilder, { sums, weights }: Matrix, inputs: readonly Value[]): Tables {
  const polynomials = [0, 1]
  return {
    outs: builder.table(polynomials.flatMap((p) => sums.map(({ out }) => out.polynomials[p]))),
    sums: sums.length,
    inputs: builder.table(polynomials.flatMap((p) => inputs.map((input) => input.polynomials[p]))),
    terms: inputs.length,
    weights: builder.table(weights.flatMap((own) => inputs.map((input) => own.get(input) ?? 0))),
  }
}

function rangeItems(
  { moduli, ring }: SimdContext,
  { outs, sums, inputs, terms, weights }: Tables,
  shift: number,
  index: number,
  place: number,
): Item[] {
  const { q, inverse, chunk } = moduli[index]
  const length = Math.min(ring, RANGE)
  return Array.from({ length: ring / length }, (_, i): Item => {
    const from = place * ring + i * length
    return (call, scratch) =>
      call('dotShared', {
        outs,
        sums,
        inputs,
        terms,
        weights,
        shift,
        from,
        length,
        q,
        inverse,
        chunk,
        scratch,
      })
  })
}
