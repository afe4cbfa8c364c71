import type { ValueType } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder.ts'
import type { Packed } from './packed.ts'

/** Below this many bits a factor that must be an integer would be rounded too coarsely to be worth a rescale. */
const MIN_FACTOR_BITS = 20
/** A weighted layer may come out this many bits below its natural scale if that saves a multiplication. */
const SLACK_BITS = 2

/** Where a fixed summand and a weighted layer, whose weights have no scale yet, can be added. */
export interface Meeting extends ValueType {
  /** Integer that the fixed summand is multiplied by; 1 is no multiplication. */
  readonly factor: number
  /** Whether the fixed summand is rescaled once after the multiplication. */
  readonly rescale: boolean
}

/**
 * Chooses level and scale of a sum so that no level is spent on agreeing: the weights of the layer take whatever scale
 * leads to the other summand, which is multiplied by an integer constant where its scale is too small, or where levels
 * it would lose anyway can bring it down to the layer's scale.
 *
 * @param fixed level and scale of the finished summand
 * @param source level and scale of the weighted layer's input
 * @param naturalBits the scale its weights would have on their own
 */
export function meetingPoint(
  builder: CircuitBuilder,
  fixed: ValueType,
  source: ValueType,
  naturalBits: number,
): Meeting {
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
export function bringTo(builder: CircuitBuilder, packed: Packed, meeting: Meeting): Packed {
  const one = { period: 1, gain: 1, make: () => Float64Array.of(1) }
  const values = packed.values.map((value) => {
    let id = value
    if (meeting.factor !== 1) id = builder.dot([{ value: () => value, constant: one }], meeting.factor)!
    if (meeting.rescale) id = builder.rescale(id)
    return builder.dropTo(id, meeting.level)
  })
  return { ...packed, values }
}

/** All values at a lower level, same scale. */
export const dropPacked = (builder: CircuitBuilder, packed: Packed, level: number): Packed => ({
  ...packed,
  values: packed.values.map((value) => builder.dropTo(value, level)),
})

/** All values rescaled as often as the waterline allows. */
export const settlePacked = (builder: CircuitBuilder, packed: Packed): Packed => ({
  ...packed,
  values: packed.values.map((value) => builder.settle(value)),
})
