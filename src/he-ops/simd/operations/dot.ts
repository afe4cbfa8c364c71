import { expansionParts } from '../../../circuit/expansion.ts'
import type { ConstantId } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { ConstantStore, EncodedConstant } from '../constants.ts'
import type { SimdContext } from '../context.ts'
import type { Item, ProgramBuilder } from '../program.ts'
import { limbs, type Value } from '../values.ts'
import { Expansion, expansionBytes } from './expand.ts'

/** A weighted sum of values of one level, whose scale is theirs times `constantScale`. */
export interface Dot {
  readonly terms: readonly { readonly value: Value; readonly constant: ConstantId }[]
  readonly constantScale: number
  /** At the summands' level, and extended when a summand is. */
  readonly out: Value
}

/** Inputs of one stretch of residues are to stay in the second-level cache while all outputs read them. */
const CACHE_BYTES = 256 * 1024
const LEAST_STRETCH = 512

/**
 * Weighted sums of ciphertexts. Outputs that read the same inputs should come in one call: stretches of residues are
 * worked through for all of them. Summands stay as they are. One phase, or two for each part of the work that has weights
 * which are kept as integers.
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
    const expansion = new Expansion(builder, context, constants)
    const sums = part.map((dot) => ({ out: dot.out, terms: summandsOf(constants, expansion, dot) }))
    expansion.emit()
    emitSums(builder, context, sums)
    expansion.free()
  }
}

/** A sum or difference of which one side at least is extended. */
export interface MixedSum {
  readonly kind: 'add' | 'subtract'
  readonly left: Value
  readonly right: Value
  /** Extended. */
  readonly out: Value
}

/** Sums and differences of an extended and a normal value, which is lifted: multiplied by P. One phase. */
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

/** One summand of a sum, and where the weight of each limb is. */
interface Summand {
  readonly value: Value
  /** Address of the weights of a limb, by place and index; undefined where the summand has no such limb. */
  weights(place: number, index: number): number | undefined
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
  const summands = terms.map(({ value, constant }) => {
    const form = value.extended ? 'extended' : out.extended ? 'lifted' : 'normal'
    const store = constants.isInteger(constant, constantScale) ? expansion : constants
    const encoded = store.encoded(constant, constantScale, out.primes, form)
    return { summand: constantSummand(value, encoded), isZero: encoded.isZero }
  })
  if (summands.every(({ isZero }) => isZero)) {
    throw new PolyVeilError('CONFIG_INVALID', 'Every weight of a dot rounds to zero')
  }
  return summands.filter(({ isZero }) => !isZero).map(({ summand }) => summand)
}

const constantSummand = (value: Value, { address, count, shift }: EncodedConstant): Summand => ({
  value,
  shift,
  weights: (place) => (value.extended || place < value.primes ? address + 4 * count * place : undefined),
})

function unitSummand(context: SimdContext, value: Value, sign: 1 | -1): Summand {
  const { lifts, ones, negatedLifts, negatedOnes } = context
  const normal = sign === 1 ? lifts : negatedLifts
  const extended = sign === 1 ? ones : negatedOnes
  return {
    value,
    shift: log2Exact(context.ring),
    weights(place, index) {
      if (value.extended) return extended + 4 * index
      return place < value.primes ? normal + 4 * index : undefined
    },
  }
}

function emitSums(builder: ProgramBuilder, context: SimdContext, work: readonly Sum[]): void {
  const tables = work.map((sum) => limbTables(builder, context, sum))
  const inputs = new Set(work.flatMap(({ terms }) => terms.map(({ value }) => value))).size
  const stretch = stretchFor(context.ring, inputs)
  const places = Math.max(...tables.map((table) => table.length))
  const items: Item[] = []
  for (let place = 0; place < places; place++) {
    for (let p = 0; p < 2; p++) {
      for (let from = 0; from < context.ring; from += stretch) {
        for (const table of tables) {
          if (place < table.length) items.push(dotItem(context, table[place][p], from, stretch))
        }
      }
    }
  }
  builder.phase(items)
}

function stretchFor(ring: number, inputs: number): number {
  let stretch = ring
  while (stretch > LEAST_STRETCH && 4 * stretch * inputs > CACHE_BYTES) stretch /= 2
  return stretch
}

interface LimbTable {
  readonly to: number
  readonly index: number
  readonly blocks: number
  readonly blockCount: number
  readonly vectors: number
  readonly vectorCount: number
}

/** For each limb and polynomial of the output the table of its terms. */
function limbTables(builder: ProgramBuilder, context: SimdContext, { out, terms }: Sum): LimbTable[][] {
  return limbs(context, out).map(({ place, index }) => {
    const at = place * context.limbBytes
    const present = terms.flatMap(({ value, shift, weights }) => {
      const address = weights(place, index)
      return address === undefined ? [] : [{ value, shift, address }]
    })
    const block = present.filter(({ shift }) => shift > 0)
    const vector = present.filter(({ shift }) => shift === 0)
    return out.polynomials.map((polynomial, p) => ({
      to: polynomial + at,
      index,
      blocks: builder.table(
        block.flatMap(({ value, shift, address }) => [value.polynomials[p] + at, address, shift]),
      ),
      blockCount: block.length,
      vectors: builder.table(vector.flatMap(({ value, address }) => [value.polynomials[p] + at, address])),
      vectorCount: vector.length,
    }))
  })
}

function dotItem(context: SimdContext, limb: LimbTable, from: number, length: number): Item {
  const { to, index, blocks, blockCount, vectors, vectorCount } = limb
  const { q, inverse, chunk } = context.moduli[index]
  return (call) =>
    call('dot', to, blocks, blockCount, vectors, vectorCount, from, length, q, inverse, chunk, 0)
}
