import { PolyVeilError } from '../errors/index.ts'
import { requireSides } from './limits.ts'

/**
 * A decoded image: 8-bit samples, row by row, channels interleaved (grey, RGB, or RGBA not premultiplied).
 */
export interface Image {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3 | 4
  readonly data: Uint8Array
}

/** One channel of an image, row-major, values 0 to 255. */
export interface Plane {
  readonly width: number
  readonly height: number
  /** Bytes as decoded; float64 once resized, since bilinear values are fractional. */
  readonly data: Uint8Array | Float64Array
}

/**
 * @throws IMAGE_UNREADABLE when sizes are no positive whole numbers, too large, or the samples do not fill
 *   them
 */
export function checkImage({ width, height, channels, data }: Image): void {
  const side = (size: number): boolean => Number.isInteger(size) && size > 0
  if (!side(width) || !side(height) || ![1, 3, 4].includes(channels)) {
    throw new PolyVeilError('IMAGE_UNREADABLE', `No image of ${width} x ${height} with ${channels} channels`)
  }
  requireSides(width, height)
  if (data.length !== width * height * channels) {
    throw new PolyVeilError(
      'IMAGE_UNREADABLE',
      `${data.length} samples do not fill ${width} x ${height} with ${channels} channels`,
    )
  }
}

/**
 * Separates an image into the planes that a network takes, made one at a time since an image may be large.
 * Transparent pixels are laid on white, what a viewer shows; a grey image has three equal colours; a colour
 * image is made grey by its luma.
 *
 * @param invert whether black becomes white and white black, as the last of these steps
 */
export function* planes(image: Image, channels: 'rgb' | 'grey', invert: boolean): Generator<Plane, void> {
  if (channels === 'grey') yield plane(image, invert, (i) => luma(image, i))
  else for (const c of [0, 1, 2]) yield plane(image, invert, (i) => sample(image, i, c))
}

function plane({ width, height }: Image, invert: boolean, value: (pixel: number) => number): Plane {
  const data = new Uint8Array(width * height)
  const flip = invert ? 255 : 0
  for (let i = 0; i < data.length; i++) data[i] = value(i) ^ flip
  return { width, height, data }
}

/** Colour c of a pixel. */
function sample({ channels, data }: Image, pixel: number, c: number): number {
  if (channels === 1) return data[pixel]
  const value = data[pixel * channels + c]
  return channels === 4 ? onWhite(value, data[pixel * channels + 3]) : value
}

const onWhite = (value: number, alpha: number): number =>
  Math.round((value * alpha + 255 * (255 - alpha)) / 255)

/**
 * ITU-R 601 luma in 16-bit fixed point, as PIL's mode "L". The weights add up to 2^16, so that grey pixels
 * keep their value.
 */
const luma = (image: Image, pixel: number): number =>
  (sample(image, pixel, 0) * 19595 +
    sample(image, pixel, 1) * 38470 +
    sample(image, pixel, 2) * 7471 +
    0x8000) >>
  16
