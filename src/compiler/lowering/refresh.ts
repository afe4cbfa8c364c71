import type { ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { mapValues, type Packed } from './packed.ts'
import { imaginaryPart, realPart } from './product.ts'
import type { Restorer } from './restoration/restore.ts'
import { ONE } from './scale-alignment.ts'

/** Relative excess of a scale over the waterline that is not worth a level. */
const SCALE_SLACK = 1

/**
 * Restores all values at the server. Ciphertexts of real slots go two in one.
 *
 * @param rms root mean square of the tensor's elements
 */
export const restorePacked = (
  builder: CircuitBuilder,
  packed: Packed,
  restorer: Restorer,
  rms: number,
): Packed => {
  const { levels } = restorer.shape
  const sent = (value: ValueId): ValueId => builder.dropTo(value, levels.refresh)
  return renewed(builder, packed, sent, (value) => restorer.restore(builder, value, rms))
}

/**
 * Refreshes all values to the highest level. They are sent to the client at the least scale that the
 * waterline allows, because the modulus of the refresh level grows with the scale. Ciphertexts of real slots
 * go two in one.
 *
 * @param level the refresh level; values whose scale can be lowered are above it
 * @param roundOf returns the round of the next ciphertext; called once for each
 */
export function refreshPacked(
  builder: CircuitBuilder,
  packed: Packed,
  level: number,
  roundOf: () => number,
): Packed {
  const sent = (value: ValueId): ValueId => builder.dropTo(lowestScale(builder, value, level), level)
  return renewed(builder, packed, sent, (value) => builder.refresh(value, roundOf()))
}

/** @param sent brings a value to the level from which `renew` takes it */
function renewed(
  builder: CircuitBuilder,
  packed: Packed,
  sent: (value: ValueId) => ValueId,
  renew: (value: ValueId) => ValueId,
): Packed {
  const { layout, values } = packed
  if (layout.parts === 1 && values.length > 1) return renewPairs(builder, packed, sent, renew)
  return mapValues(builder, packed, (value) => renew(sent(value)))
}

/** Renews the values of each two ciphertexts as the real and the imaginary part of one. */
function renewPairs(
  builder: CircuitBuilder,
  packed: Packed,
  sent: (value: ValueId) => ValueId,
  renew: (value: ValueId) => ValueId,
): Packed {
  const { layout, values } = packed
  const count = Math.ceil(values.length / 2)
  const firsts = values.filter((_, index) => index % 2 === 0)
  const seconds = Array.from({ length: count }, (_, pair) => values.at(2 * pair + 1))
  const pairs = { ...layout, ciphertexts: count, channels: count * layout.channelsPerCiphertext }
  const refreshed = eachCiphertext(builder, pairs, [firsts, seconds], (pair) => {
    const [first, second] = [firsts[pair], seconds[pair]]
    const joined = second === undefined ? sent(first) : builder.add(sent(first), builder.timesI(sent(second)))
    return renew(joined)
  })
  const partsOf = (part: typeof realPart): ValueId[] =>
    eachCiphertext(builder, pairs, [refreshed], (pair) => part(builder, refreshed[pair]))
  const [real, imaginary] = [partsOf(realPart), partsOf(imaginaryPart)]
  return { ...packed, values: values.map((_, index) => (index % 2 === 0 ? real : imaginary)[index >> 1]) }
}

/** Brings a value's scale close to the waterline by a multiplication and one rescale. */
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
