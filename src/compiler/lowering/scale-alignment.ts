import type { ValueId, ValueType } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext } from './ciphertexts.ts'
import type { Packed } from './packed.ts'

/**
 * Below this many bits a factor that must be an integer would be rounded too coarsely to be worth a rescale.
 */
const MIN_FACTOR_BITS = 20
/** A weighted layer may come out this many bits below its natural scale if that saves a multiplication. */
const SLACK_BITS = 2

/** Times an integer scale it is an integer, which no encoding rounds. */
const ONE: ConstantDraft = { period: 1, gain: 1, exact: true, make: () => Float64Array.of(1) }
/** A scale this much above the waterline is not worth a level. */
const SCALE_SLACK = 1

/** Where a fixed summand and a weighted layer, whose weights have no scale yet, can be added. */
export interface ScaleAlignment extends ValueType {
  /** Integer that the fixed summand is multiplied by; 1 is no multiplication. */
  readonly factor: number
  /** Whether the fixed summand is rescaled once after the multiplication. */
  readonly rescale: boolean
}

/**
 * Chooses level and scale of a sum so that no level is spent on agreeing: the weights of the layer take
 * whatever scale leads to the other summand, which is multiplied by an integer constant where its scale is
 * too small, or where levels it would lose anyway can bring it down to the layer's scale.
 *
 * @param fixed level and scale of the finished summand
 * @param source level and scale of the weighted layer's input
 * @param naturalBits the scale its weights would have on their own
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

/** Brings the fixed summand to the meeting point. */
export function bringTo(builder: CircuitBuilder, packed: Packed, meeting: ScaleAlignment): Packed {
  return eachValue(builder, packed, (value) => {
    let id = value
    if (meeting.factor !== 1) id = builder.dot([{ value: () => value, constant: ONE }], meeting.factor)!
    if (meeting.rescale) id = builder.rescale(id)
    return builder.dropTo(id, meeting.level)
  })
}

/** All values at a lower level, same scale. */
export const dropPacked = (builder: CircuitBuilder, packed: Packed, level: number): Packed =>
  eachValue(builder, packed, (value) => builder.dropTo(value, level))

/**
 * All values at the highest level again. They go to the client at the least scale that the waterline allows,
 * since the masks that hide them have to be as much larger as their scale is.
 *
 * @param level the refresh level; where the scale is to be lowered, values have a level more
 * @param roundOf called once for each value, gives the round that it goes in
 */
export function refreshPacked(
  builder: CircuitBuilder,
  packed: Packed,
  level: number,
  roundOf: () => number,
): Packed {
  return eachValue(builder, packed, (value) => {
    const low = builder.dropTo(lowestScale(builder, value, level), level)
    return builder.refresh(low, roundOf())
  })
}

/** Brings a value close to the waterline by one rescale, after a multiplication that makes it land there. */
function lowestScale(builder: CircuitBuilder, value: ValueId, level: number): ValueId {
  const type = builder.type(value)
  const waterline = 2 ** builder.policy.waterline
  if (type.level === level || type.scale <= waterline * (1 + SCALE_SLACK)) return value
  builder.chain.choose?.(type.level, Infinity)
  const prime = Number(builder.chain.primes[type.level])
  const factor = Math.max(1, Math.round((waterline * prime) / type.scale))
  const scaled = factor === 1 ? value : builder.dot([{ value: () => value, constant: ONE }], factor)!
  return builder.rescale(scaled)
}

/** All values rescaled as often as the waterline allows. */
export const rescalePacked = (builder: CircuitBuilder, packed: Packed): Packed =>
  eachValue(builder, packed, (value) => builder.rescaleToWaterline(value))

function eachValue(builder: CircuitBuilder, packed: Packed, lower: (value: ValueId) => ValueId): Packed {
  const { layout, values } = packed
  return { ...packed, values: eachCiphertext(builder, layout, [values], (index) => lower(values[index])) }
}
