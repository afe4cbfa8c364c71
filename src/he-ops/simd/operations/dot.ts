import type { ConstantId } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { expansionParts, type PassingBytes } from '../../../schedule/constant-storage.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { ConstantForm, ConstantStore, EncodedConstant } from '../constants/constant-store.ts'
import type { SimdContext } from '../context.ts'
import type { ProgramBuilder } from '../program/program.ts'
import { limbsOf, type Value } from '../values/values.ts'
import { Expansion, passingBytesOf } from './expand.ts'
import { FarCopies } from './far-copies.ts'
import { emitSums } from './sums.ts'
import type { Dot, Summand } from './weighted-sum.ts'

/**
 * Weighted sums of ciphertexts. Pass outputs that read the same inputs in one call: they are computed range
 * by range of residues, all outputs for each range. Summands are unchanged. Takes one phase for each part of
 * the work, and one more each where weights are copied from far memory and where they are kept as integers.
 *
 * @throws CONFIG_INVALID when every weight of a sum rounds to zero: the result would hide nothing
 */
export function emitDots(
  builder: ProgramBuilder,
  context: SimdContext,
  constants: ConstantStore,
  work: readonly Dot[],
): void {
  const bytesOf = (dot: Dot): PassingBytes => passingBytesOf(context, constants, dot)
  for (const part of expansionParts(work, (dot) => totalOf(bytesOf(dot)))) {
    const bytes = part.map(bytesOf)
    const copies = new FarCopies(builder, sumOf(bytes, 'copied'))
    const expansion = new Expansion(builder, context, constants, copies, sumOf(bytes, 'expanded'))
    const weights = { constants, copies, expansion }
    const sums = part.map((dot) => ({ out: dot.out, terms: summandsOf(context, weights, dot) }))
    copies.emit()
    expansion.emit()
    emitSums(builder, context, sums)
    expansion.free()
    copies.free()
  }
}

const totalOf = ({ copied, expanded }: PassingBytes): number => copied + expanded

const sumOf = (bytes: readonly PassingBytes[], kind: keyof PassingBytes): number =>
  bytes.reduce((sum, own) => sum + own[kind], 0)

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

/** The weights of some sums: those in kernel memory, and those that are copied or expanded for the sums. */
interface Weights {
  readonly constants: ConstantStore
  readonly copies: FarCopies
  readonly expansion: Expansion
}

function summandsOf(context: SimdContext, weights: Weights, { terms, constantScale, out }: Dot): Summand[] {
  const summands: Summand[] = []
  for (const { value, constant } of terms) {
    const form = value.extended ? 'extended' : out.extended ? 'timesP' : 'normal'
    const { address, shift, isZero } = encodedWeight(
      context,
      weights,
      constant,
      constantScale,
      out.primes,
      form,
    )
    if (!isZero) summands.push({ value, weights: address, specialWeights: address, shift })
  }
  if (summands.length === 0) {
    throw new PolyVeilError('CONFIG_INVALID', 'Every weight of a dot rounds to zero')
  }
  return summands
}

/** A weight in kernel memory. */
function encodedWeight(
  context: SimdContext,
  { constants, copies, expansion }: Weights,
  id: ConstantId,
  scale: number,
  primes: number,
  form: ConstantForm,
): EncodedConstant {
  if (constants.isExpanded(id, scale, 'weight')) return expansion.encoded(id, scale, primes, form)
  const encoded = constants.encoded(id, scale, primes, form)
  if (!constants.isFarWeight(id)) return encoded
  const limbs = limbsOf(context, primes, form === 'extended').length
  return { ...encoded, address: copies.near(encoded.address, 4 * encoded.count * limbs) }
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
