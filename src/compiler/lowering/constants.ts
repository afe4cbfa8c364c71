import { channelsIn, slotOf } from '../../circuit/layout.ts'
import type { Constant, Layout } from '../../circuit/types.ts'
import { wrap } from '../packing/taps.ts'

/** A full-size constant from one value per element of a ciphertext; undefined when all are zero. */
export function fullConstant(
  slots: number,
  layout: Layout,
  ciphertext: number,
  valueAt: (c: number, y: number, x: number) => number,
): Constant | undefined {
  const values = new Float64Array(slots)
  const first = ciphertext * layout.channelsPerCiphertext
  for (let c = first; c < first + channelsIn(layout, ciphertext); c++) {
    for (let y = 0; y < layout.height; y++) {
      for (let x = 0; x < layout.width; x++) values[slotOf(layout, c, y, x)] = valueAt(c, y, x)
    }
  }
  return values.some((v) => v !== 0) ? values : undefined
}

/** A constant of period `period` from one value per slot of a period; undefined when all are zero. */
export function periodicConstant(period: number, valueAt: (slot: number) => number): Constant | undefined {
  const values = Float64Array.from({ length: period }, (_, slot) => valueAt(slot))
  return values.some((v) => v !== 0) ? values : undefined
}

/** The constant c' with rotate(c' * x, steps) = c * rotate(x, steps). */
export function rotatedBack(constant: Constant | undefined, steps: number): Constant | undefined {
  if (constant === undefined) return undefined
  return Float64Array.from(constant, (_, slot) => constant[wrap(slot - steps, constant.length)])
}
