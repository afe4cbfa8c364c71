import { channelsIn, slotOf } from '../../circuit/layout.ts'
import type { Constant, Layout } from '../../circuit/types.ts'
import { positionOf, wrap } from '../packing/taps.ts'

/**
 * A full-size constant with one value for each element of a ciphertext, and zeros in all other slots;
 * undefined when all values are zero.
 */
export function fullConstant(
  slots: number,
  layout: Layout,
  ciphertext: number,
  valueAt: (c: number, y: number, x: number) => number,
): Float64Array | undefined {
  const values = new Float64Array(slots)
  const first = ciphertext * layout.channelsPerCiphertext
  for (let c = first; c < first + channelsIn(layout, ciphertext); c++) {
    for (let y = 0; y < layout.height; y++) {
      for (let x = 0; x < layout.width; x++) values[slotOf(layout, c, y, x)] = valueAt(c, y, x)
    }
  }
  return values.some((v) => v !== 0) ? values : undefined
}

/**
 * A full-size constant that is the product of a factor for each channel and a factor for each position. It is
 * rotated back by the whole positions by which `coarse` is shifted: the c' with rotate(c' * x, steps) = c *
 * rotate(x, steps).
 *
 * @param coarse factors of the positions, from `positionFactors`; the constants of all ciphertexts should
 *   share it, because it is stored once
 * @param fineAt factor of a channel, by its index within the ciphertext
 * @returns undefined when all slots are zero
 */
export function outerConstant(
  layout: Layout,
  ciphertext: number,
  coarse: Float64Array | undefined,
  fineAt: (local: number) => number,
): Constant | undefined {
  const held = channelsIn(layout, ciphertext)
  const fine = Float64Array.from({ length: layout.interleave }, (_, i) => (i < held ? fineAt(i) : 0))
  return coarse !== undefined && fine.some((v) => v !== 0) ? { fine, coarse } : undefined
}

/**
 * One factor for each position of a ciphertext, shifted to the right by `shift` positions; undefined when all
 * factors are zero.
 */
export function positionFactors(
  slots: number,
  layout: Layout,
  shift: number,
  valueAt: (y: number, x: number) => number,
): Float64Array | undefined {
  const positions = slots / layout.interleave
  const values = new Float64Array(positions)
  for (let y = 0; y < layout.height; y++) {
    for (let x = 0; x < layout.width; x++) {
      values[wrap(positionOf(layout, y, x) + shift, positions)] = valueAt(y, x)
    }
  }
  return values.some((v) => v !== 0) ? values : undefined
}

/** A periodic constant with one value for each slot of a period; undefined when all values are zero. */
export function periodicConstant(period: number, valueAt: (slot: number) => number): Constant | undefined {
  const values = Float64Array.from({ length: period }, (_, slot) => valueAt(slot))
  return values.some((v) => v !== 0) ? values : undefined
}

/** The constant c' with rotate(c' * x, steps) = c * rotate(x, steps); undefined where c is. */
export function rotatedBack(constant: Float64Array | undefined, steps: number): Float64Array | undefined {
  if (constant === undefined) return undefined
  return Float64Array.from(constant, (_, slot) => constant[wrap(slot - steps, constant.length)])
}
