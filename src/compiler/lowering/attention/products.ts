import type { ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'

/** Two factors of one level. */
export type Factors = readonly [left: ValueId, right: ValueId]

/**
 * The sum of products, relinearised once and rescaled.
 *
 * @param factors at least one pair; all left ones have one scale, and all right ones
 */
export function sumOfProducts(builder: CircuitBuilder, factors: readonly Factors[]): ValueId {
  const sum = factors
    .map(([left, right]) => builder.multiply(left, right))
    .reduce((all, product) => builder.add(all, product))
  return builder.rescaleToWaterline(builder.relinearise(sum))
}

/** Brings values down to the level of the lowest of them. */
export function atOneLevel(
  builder: CircuitBuilder,
  tensors: readonly (readonly ValueId[])[],
): (readonly ValueId[])[] {
  const level = Math.min(...tensors.flat().map((value) => builder.type(value).level))
  return tensors.map((values) => values.map((value) => builder.dropTo(value, level)))
}
