import { PolyVeilError } from '../errors/index.ts'

/**
 * Most pixels of an image that is decoded: enough for any camera, and a bound for files that unpack to
 * gigabytes.
 */
export const MAX_PIXELS = 64 * 2 ** 20
/** Most pixels along a side, also of an image that is already decoded. */
export const MAX_SIDE = 2 ** 15

/**
 * Checked before the pixels are decoded, wherever the decoder tells the size first.
 *
 * @throws IMAGE_UNREADABLE above `MAX_PIXELS` pixels, or above `MAX_SIDE` of them along a side
 */
export function requirePixels(width: number, height: number): void {
  requireSides(width, height)
  const pixels = width * height
  if (pixels <= MAX_PIXELS) return
  throw tooLarge(
    `The image has too many pixels: ${width} x ${height} are ${pixels}, and the limit is ${MAX_PIXELS}`,
    {
      width,
      height,
      limit: MAX_PIXELS,
    },
  )
}

/** @throws IMAGE_UNREADABLE above `MAX_SIDE` pixels along a side */
export function requireSides(width: number, height: number): void {
  if (Math.max(width, height) <= MAX_SIDE) return
  throw tooLarge(
    `The image has too many pixels along a side: it is ${width} x ${height}, and the limit is ${MAX_SIDE}`,
    {
      width,
      height,
      limit: MAX_SIDE,
    },
  )
}

const tooLarge = (message: string, facts: { width: number; height: number; limit: number }): PolyVeilError =>
  new PolyVeilError('IMAGE_UNREADABLE', `${message}. Make it smaller first`, facts)
