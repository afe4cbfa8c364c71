import type { ValueType } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { mapValues, type Packed } from './packed.ts'

/** Least size of an integer factor that comes before a rescale: a smaller one is rounded too coarsely. */
const MIN_FACTOR_BITS = 20
/** A weighted layer may have a scale this far below its natural scale if that saves a multiplication. */
const SLACK_BITS = 2

/** The constant 1. At an integer scale it is encoded without rounding. */
export const ONE: ConstantDraft = { period: 1, gain: 1, exact: true, make: () => Float64Array.of(1) }
/** Level and scale at which a fixed summand and a weighted layer are added. */
export interface ScaleAlignment extends ValueType {
  /** Integer factor of the fixed summand; 1 stands for no multiplication. */
  readonly factor: number
  /** Whether the fixed summand is rescaled once after the multiplication. */
  readonly rescale: boolean
}

/**
 * Chooses the level and scale of a sum so that the alignment takes no level. The weights of the layer take
 * the scale that makes the layer's output match the fixed summand. The fixed summand is multiplied by an
 * integer constant where its scale is too small. It is rescaled after a multiplication where it has a level
 * to spare.
 *
 * @param fixed level and scale of the lowered summand
 * @param source level and scale of the weighted layer's input
 * @param naturalBits log2 of the scale that the layer's weights need for their precision
 */
export function alignedScale(
  builder: CircuitBuilder,
  fixed: ValueType,
  source: ValueType,
  naturalBits: number,
): ScaleAlignment {
  const level = Math.min(fixed.level, source.level)
  const natural = source.scale * 2 ** naturalBits
  if (fixed.level > level) {
    const prime = Number(builder.chain.primes[fixed.level])
    const factor = Math.round((natural * prime) / fixed.scale)
    if (factor >= 2 ** MIN_FACTOR_BITS) {
      return { level, scale: (fixed.scale * factor) / prime, factor, rescale: true }
    }
  }
  if (fixed.scale >= natural * 2 ** -SLACK_BITS)
    return { level, scale: fixed.scale, factor: 1, rescale: false }
  const factor = Math.ceil(natural / fixed.scale)
  return { level, scale: fixed.scale * factor, factor, rescale: false }
}

/** Brings the fixed summand to the level and scale of the sum. */
export function alignPacked(builder: CircuitBuilder, packed: Packed, alignment: ScaleAlignment): Packed {
  return mapValues(builder, packed, (value) => {
    let id = value
    if (alignment.factor !== 1) id = builder.dot([{ value: () => value, constant: ONE }], alignment.factor)!
    if (alignment.rescale) id = builder.rescale(id)
    return builder.dropTo(id, alignment.level)
  })
}

/** Drops all values to a lower level. */
export const dropPacked = (builder: CircuitBuilder, packed: Packed, level: number): Packed =>
  mapValues(builder, packed, (value) => builder.dropTo(value, level))

/** Rescales all values as often as the waterline allows. */
export const rescalePacked = (builder: CircuitBuilder, packed: Packed): Packed =>
  mapValues(builder, packed, (value) => builder.rescaleToWaterline(value))
