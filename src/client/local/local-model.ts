import { answerPeriod } from '../../circuit/answer.ts'
import { checkManifest, type Manifest } from '../../circuit/manifest/manifest.ts'
import { type CkksParameters, checkParameters } from '../../circuit/parameters/parameters.ts'
import type { ComplexVector } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { canRefresh } from '../../he-ops/client/create.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import {
  decodeFullTensor,
  encodeTensor,
  maskedSpec,
  openFullTensor,
  querySpec,
  refreshedSpec,
  responseSpec,
  TensorWriter,
} from '../../wire/index.ts'
import { listArgument, optionsArgument } from '../arguments.ts'
import { readBatch, roundLogits } from './answer.ts'
import type { ImageInput } from './image-argument.ts'
import { readImages, valuesOf } from './image-tensors.ts'
import { batchSlots, checkShape, imageTensor, listOf, PICTURE_OPTIONS, type PictureOptions } from './input.ts'
import type { KeyRing } from './key-ring.ts'
import { type ByteLimits, DEFAULT_LIMITS, limitsOf, type ModelSizes, modelSizes } from './limits.ts'
import { notHandled } from './picture-kind.ts'

export interface DecryptOptions {
  /**
   * Returns logits unrounded. Do not disclose them: they carry the noise of the decryption, which reveals
   * information about the secret key.
   */
  readonly fullPrecision?: boolean
}

/** The names of `DecryptOptions`. */
export const DECRYPT_OPTIONS = ['fullPrecision'] as const

/**
 * A model on the client: its checked manifest, and the operations that need the secret key. It has no access
 * to the network, so decrypted data cannot be sent from here.
 */
export class LocalModel {
  readonly manifest: Manifest
  readonly parameters: CkksParameters
  readonly sizes: ModelSizes
  readonly #keys: KeyRing

  /**
   * @param data a manifest from anywhere
   * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID when the manifest is not valid
   * @throws TOO_LARGE when it asks for more than the limits
   */
  constructor(data: unknown, keys: KeyRing, limits: ByteLimits = DEFAULT_LIMITS) {
    this.manifest = checkManifest(data)
    this.parameters = checkParameters(this.manifest.parameters)
    requireRefreshable(this.manifest, this.parameters)
    this.sizes = modelSizes(this.manifest, this.parameters, limitsOf(limits))
    this.#keys = keys
  }

  /** The fingerprint of the secret key of this model's frames. The key is made if it does not exist. */
  async keyFingerprint(): Promise<string> {
    return (await this.#keys.unlock(this.parameters)).fingerprint
  }

  /**
   * A fresh key set for the model's circuit: a frame of `sizes.keys` bytes in chunks, each made when it is
   * asked for.
   */
  async *keySet(): AsyncGenerator<Uint8Array, void, undefined> {
    const key = await this.#keys.unlockCurrent(this.parameters)
    yield* key.keySet(this.manifest.galoisElements)
  }

  /**
   * Encrypts one image, or up to `manifest.batch` images. The frame does not reveal how many.
   *
   * @param options `invert` for pictures that are dark where the network's are light
   * @returns a frame of `sizes.query` bytes
   * @throws IMAGE_UNREADABLE, CONFIG_INVALID, TENSOR_OUT_OF_RANGE as `imageTensor`; CONFIG_INVALID for too
   *   many images
   */
  async encrypt(
    images: ImageInput | readonly ImageInput[],
    options: PictureOptions = {},
  ): Promise<Uint8Array> {
    optionsArgument(options, PICTURE_OPTIONS)
    const { input } = this.manifest
    const tensors = await readImages(listOf(images), (image) => imageTensor(image, input, options))
    return this.encryptTensors(valuesOf(tensors))
  }

  /**
   * Encrypts tensors for a connection, which has checked their values by `sendableImage` or `imageTensor`:
   * they are not checked here.
   *
   * @returns a frame of `sizes.query` bytes
   * @throws CONFIG_INVALID when a tensor has another shape than the model's input, or they are too many
   */
  async encryptTensors(images: readonly PreprocessedImage[]): Promise<Uint8Array> {
    listArgument('The tensors of a query', images, 'For one tensor give [tensor].')
    for (const image of images) checkShape(image, this.manifest.input)
    const tensors = images.map(({ tensor }) => tensor)
    const vectors = batchSlots(tensors, this.manifest, this.parameters.slots)
    const key = await this.#keys.unlock(this.parameters)
    const spec = querySpec(this.manifest)
    return encodeTensor(this.parameters, spec, await key.encryptSlots(vectors, spec.level, spec.scale))
  }

  /**
   * The client's part in a refresh round: decrypts the masked tensor exactly, to integers, and encrypts these
   * integers again. The result has the same form whatever the values are.
   *
   * @param round from 0 on
   * @param frame of `sizes.rounds[round].down` bytes
   * @returns a frame of `sizes.rounds[round].up` bytes
   * @throws CONFIG_INVALID when the model has no such round
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the frame is not this round's of this model
   * @throws KEYS_MISSING when there is no secret key
   */
  async refresh(round: number, frame: Uint8Array): Promise<Uint8Array> {
    const { parameters, manifest } = this
    if (!(Number.isInteger(round) && round >= 0 && round < manifest.rounds)) {
      throw new PolyVeilError(
        'CONFIG_INVALID',
        `Model ${manifest.model} has ${manifest.rounds} refresh rounds, and ${round} is none of them`,
        { rounds: manifest.rounds },
      )
    }
    const masked = openFullTensor(parameters, maskedSpec(manifest, round), frame)
    const { level } = manifest.refresh!
    const key = await this.#keys.unlockExisting(parameters)
    const spec = refreshedSpec(manifest, round)
    const writer = new TensorWriter(parameters, spec)
    await key.refresh(masked, level, spec.level, (index, fresh) => writer.put(index, fresh))
    return writer.finish()
  }

  /**
   * Decrypts an answer and checks it.
   *
   * @returns one logit for each class, of the first image
   * @throws as `decryptBatch`
   */
  async decrypt(frame: Uint8Array, options: DecryptOptions = {}): Promise<Float64Array> {
    return (await this.decryptBatch(frame, options))[0]
  }

  /**
   * Decrypts an answer and checks it for every image of the batch; one image out of range fails all. Logits
   * are rounded to `manifest.output.precision` unless `fullPrecision` is set.
   *
   * @returns one logit for each class, for every place of the batch; images that were encrypted have the
   *   first places
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the frame is not the answer of this model
   * @throws KEYS_MISSING when there is no secret key
   * @throws TENSOR_OUT_OF_RANGE when the answer is not an honest result. Do not disclose this, least of all
   *   to the server.
   */
  async decryptBatch(frame: Uint8Array, options: DecryptOptions = {}): Promise<Float64Array[]> {
    const { fullPrecision = false } = optionsArgument(options, DECRYPT_OPTIONS)
    const spec = responseSpec(this.manifest)
    const [pair] = decodeFullTensor(this.parameters, spec, frame)
    const key = await this.#keys.unlockExisting(this.parameters)
    const answer = await key.decryptPeriodic(pair, spec.level, spec.scale, answerPeriod(this.manifest))
    const logits = this.#logits(answer)
    return fullPrecision ? logits : logits.map((row) => roundLogits(row, this.manifest.output))
  }

  /** @throws TENSOR_OUT_OF_RANGE with the kind of pictures that the network expects */
  #logits(answer: ComplexVector): Float64Array[] {
    const { input, batch } = this.manifest
    try {
      return readBatch(answer, this.manifest)
    } catch (error) {
      if (!(error instanceof PolyVeilError)) throw error
      throw notHandled(error, input.preprocessing, batch)
    }
  }
}

function requireRefreshable({ rounds, model }: Manifest, parameters: CkksParameters): void {
  if (rounds === 0 || canRefresh(parameters)) return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `Model ${model} has refresh rounds under primes of more than 30 bits; rounds take smaller ones`,
    { rounds },
  )
}
