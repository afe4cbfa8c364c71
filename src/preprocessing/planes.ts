import { PolyVeilError } from '../errors/index.ts'

/** A decoded image: 8-bit samples, row by row, channels interleaved (grey, RGB, or RGBA not premultiplied). */
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
  readonly data: Float64Array
}

const MAX_SIDE = 2 ** 15

/** @throws IMAGE_UNREADABLE when sizes are no positive whole numbers or the samples do not fill them */
export function checkImage({ width, height, channels, data }: Image): void {
  const side = (size: number): boolean => Number.isInteger(size) && size > 0 && size <= MAX_SIDE
  if (!side(width) || !side(height) || ![1, 3, 4].includes(channels)) {
    throw new PolyVeilError('IMAGE_UNREADABLE', `No image of ${width} x ${height} with ${channels} channels`)
  }
  if (data.length !== width * height * channels) {
    throw new PolyVeilError(
      'IMAGE_UNREADABLE',
      `${data.length} samples do not fill ${width} x ${height} with ${channels} channels`,
    )
  }
}

/**
 * Separates an image into the planes that a network takes. Transparent pixels are laid on white, what a viewer shows;
 * a grey image has three equal colours; a colour image is made grey by its luma.
 */
export function toPlanes(image: Image, channels: 'rgb' | 'grey'): Plane[] {
  const colours = image.channels === 1 ? [plane(image, 0)] : [0, 1, 2].map((c) => plane(image, c))
  if (channels === 'grey') return [colours.length === 1 ? colours[0] : luma(colours)]
  return colours.length === 1 ? [colours[0], colours[0], colours[0]] : colours
}

function plane({ width, height, channels, data }: Image, channel: number): Plane {
  const samples = new Float64Array(width * height)
  for (let i = 0; i < samples.length; i++) {
    const value = data[i * channels + channel]
    samples[i] = channels === 4 ? onWhite(value, data[i * channels + 3]) : value
  }
  return { width, height, data: samples }
}

const onWhite = (value: number, alpha: number): number =>
  Math.round((value * alpha + 255 * (255 - alpha)) / 255)

/** ITU-R 601 luma in 16-bit fixed point, as PIL's mode "L". */
function luma([red, green, blue]: readonly Plane[]): Plane {
  const data = red.data.map(
    (r, i) => (r * 19595 + green.data[i] * 38470 + blue.data[i] * 7471 + 0x8000) >> 16,
  )
  return { ...red, data }
}

/** The part of a plane that begins at (top, left). */
export function crop(source: Plane, top: number, left: number, height: number, width: number): Plane {
  const data = new Float64Array(height * width)
  for (let y = 0; y < height; y++) {
    const start = (top + y) * source.width + left
    data.set(source.data.subarray(start, start + width), y * width)
  }
  return { width, height, data }
}
