import type { InputSpec } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { Image, PreprocessedImage } from '../../preprocessing/index.ts'

/** A tensor that is already preprocessed, of either precision. */
export interface TensorInput {
  /** [C, H, W]. */
  readonly shape: readonly [channels: number, height: number, width: number]
  /** Row-major; normalised, so (value / 255 - mean) / std. */
  readonly tensor: Float32Array | Float64Array
}

/** Pixels as a canvas gives them (`ImageData`): RGBA, 0 to 255. */
export interface CanvasPixels {
  readonly width: number
  readonly height: number
  readonly data: Uint8ClampedArray
}

/** An image whose form `imageArgument` has checked; tensors are in double precision. */
export type CheckedImage = Uint8Array | Blob | Bitmap | Image | PreprocessedImage

/** A tensor whose maximum exceeds the bound by this factor is taken for pixels that were not normalised. */
const PIXEL_LIKE = 4

const FORMS =
  'Give the bytes of a file (Uint8Array, ArrayBuffer or Blob), a decoded image { width, height, channels, data }, or a ' +
  'preprocessed tensor { shape: [C, H, W], tensor }.'

/**
 * Checks the form of an image from any caller, with or without types. An `ArrayBuffer` is the bytes of a
 * file.
 *
 * @throws CONFIG_INVALID when the argument is not an image in any form; the message names the likely mistake
 */
export function imageArgument(input: ImageInput): CheckedImage {
  const given: unknown = input
  if (given instanceof Uint8Array && !isClamped(given)) return given
  if (given instanceof Blob) return given
  if (given instanceof ArrayBuffer) return new Uint8Array(given)
  if (given instanceof DataView) return new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
  if (typeof given !== 'object' || given === null || ArrayBuffer.isView(given)) throw misuse(given)
  if ('tensor' in given) return tensorArgument(given as Record<string, unknown>)
  if ('data' in given) return decodedArgument(given as Record<string, unknown>)
  if ('width' in given && 'height' in given && 'close' in given) return given as Bitmap
  throw misuse(given)
}

/**
 * Refuses a tensor in the order height, width, channels.
 *
 * @throws CONFIG_INVALID
 */
export function checkAxes({ shape }: PreprocessedImage, { image }: InputSpec): void {
  const [c, h, w] = image
  if (shape.join() === [h, w, c].join() && shape.join() !== image.join()) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `The tensor is [${shape.join(', ')}], height, width, channels; the model takes channels first: [${image.join(', ')}]`,
      {},
      {
        remedy:
          'Transpose it, in torch by permute(2, 0, 1), or give a decoded image, which is preprocessed here.',
      },
    )
  }
}

/**
 * Names a known mistake behind a value out of range: NaN, or pixels of 0 to 255 that were not normalised.
 *
 * @param tensor with a value beyond `bound`
 * @throws TENSOR_OUT_OF_RANGE when it is a known mistake; returns otherwise
 */
export function explainOutlier(tensor: Float64Array, bound: number): void {
  const place = tensor.findIndex((value) => Number.isNaN(value))
  if (place >= 0) {
    throw new PolyVeilError('TENSOR_OUT_OF_RANGE', `Value ${place} of the tensor is no number (NaN)`, {
      bound,
    })
  }
  const largest = tensor.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const least = tensor.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)
  if (least < 0 || largest <= PIXEL_LIKE * bound || largest > 255) return
  throw new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `The tensor's values are from ${least} to ${largest}, like pixels of 0 to 255 that were not normalised; the model takes up to ${bound}`,
    { bound },
    {
      remedy:
        "Normalise it as the manifest's preprocessing says, (value / 255 - mean) / std, or give a decoded image, which is " +
        'preprocessed here.',
    },
  )
}

function tensorArgument({ shape, tensor }: Readonly<Record<string, unknown>>): PreprocessedImage {
  if (!Array.isArray(shape) || shape.length !== 3 || !shape.every((size) => Number.isInteger(size))) {
    throw invalid(
      'The shape of a tensor is [channels, height, width], three whole numbers',
      'Give one image at a time.',
    )
  }
  if (tensor instanceof Float64Array) return { shape: shape as unknown as PreprocessedImage['shape'], tensor }
  if (tensor instanceof Float32Array) {
    return { shape: shape as unknown as PreprocessedImage['shape'], tensor: Float64Array.from(tensor) }
  }
  throw invalid(
    `The values of a tensor are a Float32Array or a Float64Array, not ${described(tensor)}`,
    'Bytes of 0 to 255 are a decoded image: { width, height, channels, data }.',
  )
}

function decodedArgument(image: Readonly<Record<string, unknown>>): Image {
  const { width, height, data } = image
  // A Uint8ClampedArray is from a canvas, whose pixels are always RGBA.
  const channels = image.channels ?? (isClamped(data) ? 4 : undefined)
  const isWhole = [width, height, channels].every((size) => Number.isInteger(size) && Number(size) > 0)
  if (!isWhole) {
    throw invalid('A decoded image has width, height, channels (1, 3 or 4) and data', 'Give all four.')
  }
  if (isClamped(data)) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return { width, height, channels, data: bytes } as Image
  }
  if (data instanceof Uint8Array) return image as unknown as Image
  throw invalid(
    `The data of a decoded image are bytes of 0 to 255, a Uint8Array, not ${described(data)}`,
    'Values that are normalised already are a tensor: { shape: [C, H, W], tensor }.',
  )
}

const isClamped = (data: unknown): data is Uint8ClampedArray => data instanceof Uint8ClampedArray

function misuse(given: unknown): PolyVeilError {
  if (typeof given === 'string' || given instanceof URL) {
    return invalid(
      'A path or an address is no image: the client does not read files',
      'Read the file and give its bytes: await readFile(path) in Node, a File or the blob of a fetch in browsers.',
    )
  }
  if (given instanceof Promise) {
    return invalid('A promise is no image', 'Await it first: await readFile(path).')
  }
  if (ArrayBuffer.isView(given)) {
    return invalid(
      `A ${described(given)} alone has no shape`,
      'Give { shape: [C, H, W], tensor } for a preprocessed tensor, { width, height, channels, data } for pixels.',
    )
  }
  return invalid(`${described(given)} is no image`, FORMS)
}

const invalid = (message: string, remedy: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', message, {}, { remedy })

/** The kind of a value, never the value. */
function described(given: unknown): string {
  if (given === null || given === undefined) return String(given)
  if (typeof given !== 'object') return `a ${typeof given}`
  return (given.constructor as { name?: string } | undefined)?.name ?? 'an object'
}

/**
 * An image to classify: an encoded file (PNG, JPEG, WebP, AVIF, GIF, TIFF), a decoded image, in browsers an
 * `ImageBitmap` or `ImageData`, or a tensor that is already preprocessed.
 */
export type ImageInput =
  | Uint8Array
  | ArrayBuffer
  | Blob
  | Bitmap
  | CanvasPixels
  | Image
  | PreprocessedImage
  | TensorInput

/** A browser's `ImageBitmap`, for programs that compile without browser types. */
export interface Bitmap {
  readonly width: number
  readonly height: number
  close(): void
}
