import { interleaveImages } from '../../circuit/image-batch.ts'
import { pack, spaceToDepth } from '../../circuit/layout.ts'
import { LEAST_INPUT_BOUND } from '../../circuit/manifest/bounds.ts'
import type { Circuit, InputSpec, SlotVector } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type Image, type PreprocessedImage, preprocess } from '../../preprocessing/index.ts'
import { optionsArgument } from '../arguments.ts'
import {
  type Bitmap,
  type CheckedImage,
  checkAxes,
  explainOutlier,
  type ImageInput,
  imageArgument,
} from './image-argument.ts'

/**
 * Checks the form of an image and, for a tensor, its values. A connection calls this before it asks the
 * server for anything, so that the server cannot choose which image is refused. `LEAST_INPUT_BOUND` is below
 * the bound of every manifest, so nothing checks the values again. Pictures need no check of values:
 * `checkManifest` refuses a manifest whose preprocessing can exceed its bound.
 *
 * @throws CONFIG_INVALID when the argument is not an image in any form, or a tensor has another number of
 *   values than its shape
 * @throws TENSOR_OUT_OF_RANGE when a value is NaN or larger than `LEAST_INPUT_BOUND`
 */
export function sendableImage(image: ImageInput): CheckedImage {
  const given = imageArgument(image)
  if (!('tensor' in given)) return given
  const { shape, tensor } = given
  const values = shape.reduce((product, size) => product * size, 1)
  if (tensor.length !== values) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `${tensor.length} values do not fill a tensor [${shape.join(', ')}]`,
    )
  }
  requireWithin(given, LEAST_INPUT_BOUND)
  return given
}

/** One image as a list of one. */
export const listOf = (images: ImageInput | readonly ImageInput[]): readonly ImageInput[] =>
  isList(images) ? images : [images]

export const isList = (images: ImageInput | readonly ImageInput[]): images is readonly ImageInput[] =>
  Array.isArray(images)

/** Changes to a picture before it is preprocessed. */
export interface PictureOptions {
  /**
   * Inverts the picture: a dark digit on white paper becomes a light one on black, for networks that were
   * trained on light digits.
   */
  readonly invert?: boolean
}

/** The names of `PictureOptions`. */
export const PICTURE_OPTIONS = ['invert'] as const

/**
 * The tensor of an image.
 *
 * @returns the shape of `spec.image`, [C, H, W], row-major; every value within `spec.bound`
 * @throws IMAGE_UNREADABLE when the file is not an image
 * @throws CONFIG_INVALID when the argument is not an image in any form, a tensor has another shape or is to
 *   be inverted, or the model takes no pictures
 * @throws TENSOR_OUT_OF_RANGE when a value is NaN or larger than the bound; never for a picture and the spec
 *   of a checked manifest
 */
export async function imageTensor(
  input: ImageInput,
  spec: InputSpec,
  options: PictureOptions = {},
): Promise<PreprocessedImage> {
  optionsArgument(options, PICTURE_OPTIONS)
  const image = await tensorOf(imageArgument(input), spec, options)
  requireWithin(image, spec.bound)
  return image
}

/**
 * The tensor of an image whose values need no check: one that `sendableImage` has let through, for the spec
 * of a checked manifest.
 *
 * @returns the shape of `spec.image`, [C, H, W], row-major
 * @throws IMAGE_UNREADABLE, CONFIG_INVALID as `imageTensor`
 */
export async function tensorOf(
  given: CheckedImage,
  spec: InputSpec,
  options: PictureOptions = {},
): Promise<PreprocessedImage> {
  const image = 'tensor' in given ? asItIs(given, options) : await preprocessed(given, spec, options)
  if ('tensor' in given) checkAxes(given, spec)
  checkShape(image, spec)
  return image
}

function asItIs(tensor: PreprocessedImage, { invert = false }: PictureOptions): PreprocessedImage {
  if (!invert) return tensor
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'A tensor is already preprocessed and cannot be inverted: give the picture, or invert it before preprocessing',
  )
}

function requireWithin({ tensor }: PreprocessedImage, bound: number): void {
  const outlier = tensor.findIndex((value) => !(Math.abs(value) <= bound))
  if (outlier < 0) return
  explainOutlier(tensor, bound)
  throw new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `Value ${outlier} of the preprocessed image is ${tensor[outlier]}; up to ${bound} is taken`,
    { bound },
  )
}

/** The slot vectors of a tensor in the slots of one image, one for each ciphertext of the query. */
export const imageSlots = (tensor: ArrayLike<number>, spec: InputSpec, slots: number): SlotVector[] =>
  pack(spec.layout, spaceToDepth(tensor, spec.image, spec.patch), slots)

/**
 * The slot vectors of a query, one for each ciphertext; the images of a batch are interleaved. Free places
 * are filled with the same images again, so that they cannot leave the range unless an image does.
 *
 * @param tensors at least one, at most as many as the batch has places
 * @param slots of a ciphertext
 */
export function batchSlots(
  tensors: readonly ArrayLike<number>[],
  { input, batch }: Pick<Circuit, 'input' | 'batch'>,
  slots: number,
): SlotVector[] {
  if (tensors.length < 1 || tensors.length > batch) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The model takes 1 to ${batch} images at once, not ${tensors.length}`,
      {
        images: tensors.length,
        batch,
      },
    )
  }
  const images = tensors.map((tensor) => imageSlots(tensor, input, slots / batch))
  const places = Array.from({ length: batch }, (_, place) => images[place % images.length])
  return images[0].map((_, ciphertext) => interleaveImages(places.map((vectors) => vectors[ciphertext])))
}

async function preprocessed(
  picture: Uint8Array | Blob | Bitmap | Image,
  { preprocessing, image: [channels, height, width] }: InputSpec,
  options: PictureOptions,
): Promise<PreprocessedImage> {
  if (preprocessing !== null) return preprocess(await decoded(picture), preprocessing, options)
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `The model was compiled without preprocessing and takes tensors [${channels}, ${height}, ${width}], not pictures`,
    {},
    {
      remedy:
        'Give it tensors that are prepared as in its training; or have its owner compile it with "preprocessing" in the config, or ' +
        '--preprocessing.',
    },
  )
}

async function decoded(input: Uint8Array | Blob | Bitmap | Image): Promise<Image> {
  if (isBitmap(input)) return (await import('../../preprocessing/decode-browser.ts')).readBitmap(input)
  if (!(input instanceof Uint8Array) && !(input instanceof Blob)) return input
  // Each platform loads only its own decoder.
  if (typeof createImageBitmap === 'function' && drawsInTwoDimensions()) {
    const { decodeImage } = await import('../../preprocessing/decode-browser.ts')
    return decodeImage(input instanceof Blob ? input : new Blob([Uint8Array.from(input)]))
  }
  const { decodeImage } = await import('../../preprocessing/decode-node.ts')
  return decodeImage(input instanceof Blob ? new Uint8Array(await input.arrayBuffer()) : input)
}

/** Deno has the functions of browsers, but its canvas draws for a GPU alone. It decodes as Node does. */
const drawsInTwoDimensions = (): boolean =>
  typeof OffscreenCanvas !== 'function' || new OffscreenCanvas(1, 1).getContext('2d') !== null

const isBitmap = (input: object): input is ImageBitmap =>
  typeof ImageBitmap === 'function' && input instanceof ImageBitmap

/** @throws CONFIG_INVALID unless the tensor has the shape, and the number of values, that the spec says */
export function checkShape({ shape, tensor }: PreprocessedImage, { image }: InputSpec): void {
  const [c, h, w] = image
  if (tensor.length === c * h * w && image.every((size, axis) => size === shape[axis])) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `The model takes a tensor [${image.join(', ')}], not ${tensor.length} values as [${shape.join(', ')}]`,
  )
}
