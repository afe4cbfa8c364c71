import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { PolyVeilError } from '../errors/index.ts'
import type { PreprocessedImage, Preprocessing } from '../preprocessing/index.ts'
import { type Classification, rank } from './local/answer.ts'
import type { CheckedImage, ImageInput } from './local/image-argument.ts'
import { readImages, settled, valuesOf } from './local/image-tensors.ts'
import { PICTURE_OPTIONS, type PictureOptions, sendableImage, tensorOf } from './local/input.ts'
import { DECRYPT_OPTIONS, type DecryptOptions } from './local/local-model.ts'
import { brightness } from './local/picture-kind.ts'
import { type CallOptions, INFER_OPTIONS, type InferOptions, inInference } from './progress.ts'

export interface ClassifyOptions extends InferOptions, DecryptOptions, PictureOptions {
  /** Number of classes to return, best first; all when absent. */
  readonly topK?: number
  /**
   * Deletes the key sets that a temporary store has on the server as soon as all answers are there, before
   * any is decrypted. `close` deletes them too, but at a time that can depend on the work after a decryption.
   */
  readonly releaseKeys?: boolean
}

export const CLASSIFY_OPTIONS = [
  'topK',
  'releaseKeys',
  ...DECRYPT_OPTIONS,
  ...PICTURE_OPTIONS,
  ...INFER_OPTIONS,
] as const

/**
 * A model under one manifest. All steps of a call use the same one: what one manifest's preprocessing yields
 * may lie beyond another's bound, and then a missing query would tell the server about the picture.
 */
export interface OpenModel {
  readonly manifest: Manifest
  /**
   * Encrypts images and has the server evaluate the model on them.
   *
   * @param tensors of the model's shape; their values have been checked
   */
  infer(tensors: readonly PreprocessedImage[], options: InferOptions): Promise<Uint8Array>
  decryptBatch(frame: Uint8Array, options: CallOptions & DecryptOptions): Promise<Float64Array[]>
  /** Deletes the key sets that a temporary store has on the server. */
  releaseKeys(): Promise<void>
}

/** An image to send. */
interface Sent {
  /** Place in the caller's list. */
  readonly place: number
  readonly image: PreprocessedImage
}

/** Images that share an inference, and its encrypted answer or its error. */
interface Batch {
  readonly images: readonly Sent[]
  readonly options: InferOptions
  readonly answer: PromiseSettledResult<Uint8Array>
}

/**
 * Classifies images in batches of the model's size. All images are read before a batch is sent, and all
 * batches are sent before an answer is decrypted. So no request depends on a decryption.
 *
 * @param open called when the form of the images has been checked
 * @param required `all` sends nothing unless every image can be read, and rejects with the first failure of
 *   an inference; `readable` leaves out images that cannot be read, and keeps the answers before a failed
 *   inference
 */
export async function classifyMany(
  open: () => Promise<OpenModel>,
  images: readonly ImageInput[],
  { topK, fullPrecision, invert, releaseKeys = false, ...options }: ClassifyOptions,
  required: 'all' | 'readable',
): Promise<PromiseSettledResult<Classification[]>[]> {
  // Images are checked before the server is asked, so that the server cannot choose which ones are refused.
  const checked = await sendableImages(images, required)
  const model = await open()
  const { labels, input, output, batch } = model.manifest
  // Images are read before keys are uploaded, so that an unreadable image does not cost an upload.
  const { signal } = options
  const read = async (image: CheckedResult): Promise<PreprocessedImage> => {
    if (image.status === 'rejected') throw image.reason
    return tensorOf(image.value, input, { invert })
  }
  const tensors = await readImages(checked, read, signal)
  if (required === 'all') valuesOf(tensors)
  const batches = await sendAll(model, groupsOf(sentOf(tensors), batch), options, required)
  if (releaseKeys) await model.releaseKeys()
  const results: PromiseSettledResult<Classification[]>[] = []
  for (const [place, tensor] of tensors.entries()) if (tensor.status === 'rejected') results[place] = tensor
  for (const sent of batches) {
    // Brightness and ranks are computed whatever the answer is, so that a caller's next request comes no
    // later after an honest answer than after another one.
    const means = sent.images.map(({ image }) => meanBrightness(image, input.preprocessing))
    const rows = await logitsOf(model, sent, fullPrecision)
    for (const [k, { place }] of sent.images.entries()) {
      const logits = rows.status === 'fulfilled' ? rows.value[k] : new Float64Array(output.classes)
      const value = rank(logits, labels, topK ?? output.classes)
      results[place] =
        rows.status === 'fulfilled'
          ? { status: 'fulfilled', value }
          : { status: 'rejected', reason: withBrightness(rows.reason, means[k]) }
    }
  }
  return results
}

type CheckedResult = PromiseSettledResult<CheckedImage>

/**
 * Checks the form of each image, and the values of tensors. @throws the first error where all are required
 */
async function sendableImages(
  images: readonly ImageInput[],
  required: 'all' | 'readable',
): Promise<CheckedResult[]> {
  const results: CheckedResult[] = []
  for (const image of images) {
    const result = await settled(async () => sendableImage(image))
    if (required === 'all' && result.status === 'rejected') throw result.reason
    results.push(result)
  }
  return results
}

const sentOf = (tensors: readonly PromiseSettledResult<PreprocessedImage>[]): Sent[] =>
  tensors.flatMap((result, place) => (result.status === 'fulfilled' ? [{ place, image: result.value }] : []))

async function sendAll(
  model: OpenModel,
  groups: readonly (readonly Sent[])[],
  options: InferOptions,
  required: 'all' | 'readable',
): Promise<Batch[]> {
  const batches: Batch[] = []
  let failure: PromiseRejectedResult | undefined
  for (const [index, images] of groups.entries()) {
    const places = images.map(({ place }) => place)
    const own = { ...options, onProgress: inInference(options, index, groups.length, places) }
    const tensors = images.map(({ image }) => image)
    const answer = failure ?? (await settled(() => model.infer(tensors, own)))
    if (answer.status === 'rejected') {
      if (required === 'all' || index === 0) throw answer.reason
      failure = answer
    }
    batches.push({ images, options: own, answer })
  }
  return batches
}

async function logitsOf(
  model: OpenModel,
  { answer, options }: Batch,
  fullPrecision: boolean | undefined,
): Promise<PromiseSettledResult<Float64Array[]>> {
  if (answer.status === 'rejected') return answer
  return settled(() => model.decryptBatch(answer.value, { ...options, fullPrecision }))
}

const meanBrightness = (image: PreprocessedImage, preprocessing: Preprocessing | null): number | undefined =>
  preprocessing === null ? undefined : brightness(image, preprocessing)

/**
 * Adds the picture's brightness to the error of a dishonest answer, for comparison with the network's.
 */
function withBrightness(error: PolyVeilError, mean: number | undefined): PolyVeilError {
  if (error.code !== 'TENSOR_OUT_OF_RANGE' || mean === undefined) return error
  return error.restated(`${error.message}. This picture has ${mean.toFixed(2)}`, { brightness: mean })
}

/** Splits items in order into groups of at most `size`. */
const groupsOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
