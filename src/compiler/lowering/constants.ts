import { mapParts } from '../../circuit/constants/slot-vector.ts'
import { lanesIn } from '../../circuit/layout.ts'
import type { Constant, Layout, SlotVector } from '../../circuit/types.ts'
import { positionOf, wrap } from '../packing/taps.ts'

/** The real (0) or the imaginary (1) part of a number. */
export type Part = 0 | 1

const PARTS: readonly Part[] = [0, 1]

/** A vector of numbers, given by their parts; real where all imaginary parts are zero, undefined at zero. */
function slotVector(
  length: number,
  fill: (values: Float64Array, part: Part) => void,
): SlotVector | undefined {
  const [real, imaginary] = PARTS.map((part) => {
    const values = new Float64Array(length)
    fill(values, part)
    return values
  })
  if (imaginary.some((v) => v !== 0)) return { real, imaginary }
  return real.some((v) => v !== 0) ? real : undefined
}

/**
 * A full-size constant with a number for each slot with elements, and zeros in all other slots; undefined
 * when all numbers are zero.
 *
 * @param valueAt returns a part of the number at a lane and a position
 */
export function fullConstant(
  slots: number,
  layout: Layout,
  ciphertext: number,
  valueAt: (lane: number, part: Part, y: number, x: number) => number,
): SlotVector | undefined {
  const lanes = lanesIn(layout, ciphertext)
  const { interleave, height, width } = layout
  return slotVector(slots, (values, part) => {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const first = positionOf(layout, y, x) * interleave
        for (let lane = 0; lane < lanes; lane++) values[first + lane] = valueAt(lane, part, y, x)
      }
    }
  })
}

/**
 * A full-size constant that is the product of a factor for each lane and a factor for each position. It is
 * rotated back by the whole positions by which `coarse` is shifted: the c' with rotate(c' * x, steps) = c *
 * rotate(x, steps).
 *
 * @param coarse factors of the positions, from `positionFactors`; the constants of all ciphertexts should
 *   share it, because it is stored once
 * @param fineAt returns a part of the factor of a lane
 * @returns undefined when all slots are zero
 */
export function outerConstant(
  layout: Layout,
  ciphertext: number,
  coarse: Float64Array | undefined,
  fineAt: (lane: number, part: Part) => number,
): Constant | undefined {
  const lanes = lanesIn(layout, ciphertext)
  const fine = slotVector(layout.interleave, (values, part) => {
    for (let lane = 0; lane < lanes; lane++) values[lane] = fineAt(lane, part)
  })
  return coarse !== undefined && fine !== undefined ? { fine, coarse } : undefined
}

/** Whether the numbers of all lanes of a ciphertext are zero. */
export function isZeroInLanes(
  layout: Layout,
  ciphertext: number,
  valueAt: (lane: number, part: Part) => number,
): boolean {
  const lanes = lanesIn(layout, ciphertext)
  for (let lane = 0; lane < lanes; lane++) {
    if (valueAt(lane, 0) !== 0 || valueAt(lane, 1) !== 0) return false
  }
  return true
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

/** A periodic constant with one number for each slot of a period; undefined when all numbers are zero. */
export const periodicConstant = (
  period: number,
  valueAt: (slot: number, part: Part) => number,
): Constant | undefined =>
  slotVector(period, (values, part) => {
    for (let slot = 0; slot < period; slot++) values[slot] = valueAt(slot, part)
  })

/** The constant c' with rotate(c' * x, steps) = c * rotate(x, steps); undefined where c is. */
export const rotatedBack = (constant: SlotVector | undefined, steps: number): SlotVector | undefined =>
  constant && mapParts(constant, (part) => part.map((_, slot) => part[wrap(slot - steps, part.length)]))
