import { PolyVeilError } from '../../../errors/index.ts'
import { expansionParts } from '../../../schedule/constant-storage.ts'
import { log2Exact } from '../../encoding/order.ts'
import type { ConstantStore } from '../constants/constant-store.ts'
import type { SimdContext } from '../context.ts'
import type { ProgramBuilder } from '../program/program.ts'
import type { Value } from '../values/values.ts'
import { Expansion, expansionBytes } from './expand.ts'
import { emitSums } from './sums.ts'
import type { Dot, Summand } from './weighted-sum.ts'

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
