import { PolyVeilError } from '../errors/index.ts'
import { bicubic } from './bicubic.ts'
import { bilinear } from './bilinear.ts'
import { checkImage, type Image, type Plane, planes } from './planes.ts'
import { resample, type Span } from './resample.ts'
import type { Preprocessing } from './types.ts'

/** A preprocessed image, row-major. */
export interface PreprocessedImage {
  /** [1, H, W] for grey networks, [3, H, W] for the others. */
  readonly shape: readonly [channels: number, height: number, width: number]
  readonly tensor: Float64Array
}

/**
 * Turns a decoded image into the input tensor of a network: planes, resize, centre crop, then (value / 255 -
 * mean) / std. Node and browsers run the same code.
 *
 * A bilinear resize commutes with the normalisation, so both orders of training scripts give the same tensor.
 *
 * @param options `invert` makes black white and white black, once transparent pixels are on white
 * @throws IMAGE_UNREADABLE when the samples do not fill the image
 * @throws CONFIG_INVALID when the crop is larger than the resized image
 */
export function preprocess(
  image: Image,
  spec: Preprocessing,
  { invert = false }: { readonly invert?: boolean } = {},
): PreprocessedImage {
  checkImage(image)
  const { height, width } = spec.resize
  const tensor = new Float64Array(spec.mean.length * height * width)
  let c = 0
  for (const plane of planes(image, spec.channels, invert)) {
    const { data } = fit(plane, spec)
    const start = c * height * width
    for (let i = 0; i < data.length; i++) tensor[start + i] = (data[i] / 255 - spec.mean[c]) / spec.std[c]
    c++
  }
  return { shape: [spec.mean.length, height, width], tensor }
}

/**
 * The three channels that the network itself takes: a grey tensor is repeated, another is returned as it is.
 *
 * @returns [3, H, W]
 */
export function networkInput({ shape: [channels], tensor }: PreprocessedImage): Float64Array {
  if (channels !== 1) return tensor
  const input = new Float64Array(3 * tensor.length)
  for (let c = 0; c < 3; c++) input.set(tensor, c * tensor.length)
  return input
}

function fit(plane: Plane, { resize, interpolation }: Preprocessing): Plane {
  const method = interpolation === 'bicubic' ? bicubic : bilinear
  if (resize.mode === 'squash') return resample(plane, whole(resize.height), whole(resize.width), method)
  const [height, width] = scaledToShortSide(plane, resize.size)
  if (height < resize.height || width < resize.width) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The preprocessing crops ${resize.height}x${resize.width} from an image of ${height}x${width}`,
    )
  }
  return resample(plane, centre(height, resize.height), centre(width, resize.width), method)
}

const whole = (size: number): Span => ({ size, first: 0, count: size })

const centre = (size: number, count: number): Span => ({
  size,
  first: roundHalfEven((size - count) / 2),
  count,
})

/** torchvision's `Resize(size)`: the long side is cut to a whole number. */
function scaledToShortSide({ height, width }: Plane, size: number): [height: number, width: number] {
  if (width <= height) return [Math.trunc((size * height) / width), size]
  return [size, Math.trunc((size * width) / height)]
}

/** Python's `round`, with which torchvision centres its crop. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x)
  return x - floor === 0.5 ? floor + (floor % 2) : Math.round(x)
}
