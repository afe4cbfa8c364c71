/// <reference lib="esnext.disposable" preserve="true" />

import * as z from 'zod'
import { boundedList, MAX_HEADER_BYTES, MAX_LABELS } from '../circuit/manifest/bounds.ts'
import type { Manifest } from '../circuit/manifest/manifest.ts'
import { PolyVeilError, printable } from '../errors/index.ts'
import type { PreprocessedImage } from '../preprocessing/index.ts'
import { pathOf, ROUTES } from '../wire/protocol/index.ts'
import { frameArgument, listArgument, modelArgument, optionsArgument } from './arguments.ts'
import { beginningAgain, type Rule } from './begin-again.ts'
import { watchExecution } from './execution-watch.ts'
import { KeyLife } from './key-life.ts'
import { KeySets, type UploadedKeys } from './key-sets.ts'
import type { KeyStore } from './keys/key-store.ts'
import { isAnsweredLater, laterAnswer } from './later-answer.ts'
import type { Classification } from './local/answer.ts'
import type { ImageInput } from './local/image-argument.ts'
import { readImages, valuesOf } from './local/image-tensors.ts'
import {
  isList,
  listOf,
  PICTURE_OPTIONS,
  type PictureOptions,
  sendableImage,
  tensorOf,
} from './local/input.ts'
import { KeyRing } from './local/key-ring.ts'
import { type ClientLimits, DEFAULT_LIMITS } from './local/limits.ts'
import { DECRYPT_OPTIONS, type DecryptOptions, LocalModel } from './local/local-model.ts'
import { isLost, LostInference, restartingLost } from './lost-inference.ts'
import { CLASSIFY_OPTIONS, type ClassifyOptions, classifyMany, type OpenModel } from './many.ts'
import type { Pins } from './pins/pins.ts'
import {
  CALL_OPTIONS,
  type CallOptions,
  INFER_OPTIONS,
  type InferOptions,
  reportingWait,
} from './progress.ts'
import { expectedAfter, newInferenceId, runRounds } from './round-exchange.ts'
import { isOtherManifest, restartingStale, StaleManifest } from './stale-manifest.ts'
import { TimeLimit } from './time-limit.ts'
import { inferenceRequest } from './transport/binary-body.ts'
import { type Request, type Transport, unintelligible } from './transport/transport.ts'
import { until } from './until.ts'
import { waiting } from './waiting.ts'

const MAX_MODELS = 10_000
const modelsSchema = z.looseObject({
  models: boundedList(
    z.object({ name: z.string(), labels: boundedList(z.string(), MAX_LABELS) }),
    MAX_MODELS,
  ),
})

/** The request for a manifest or a list of models, which are long where there are many labels. */
const listRequest = (path: string, signal: AbortSignal | undefined): Request => ({
  method: 'GET',
  path,
  signal,
  maxBytes: MAX_HEADER_BYTES,
})

/** A model that the server offers. Control characters are left out. */
export interface OfferedModel {
  readonly name: string
  readonly labels: readonly string[]
}

/** Parts of a connection besides its transport and its key store. */
export interface Connection {
  readonly pins: Pins
  readonly limits?: ClientLimits
}

/**
 * A connection to one server. Decrypted data goes only to the caller: no request depends on it.
 *
 * Every method rejects with a `PolyVeilError`, or with the signal's reason when it is aborted.
 */
export class PolyVeil {
  /** Lists, rotates and deletes the keys that this client has on the server. */
  readonly keySets: KeyLife
  readonly #transport: Transport
  readonly #ring: KeyRing
  readonly #keySets: KeySets
  readonly #limits: ClientLimits
  readonly #pins: Pins
  readonly #models = new Map<string, Promise<LocalModel>>()

  constructor(transport: Transport, keys: KeyStore, { pins, limits }: Connection) {
    this.#transport = transport
    this.#ring = new KeyRing(keys)
    this.#limits = limits ?? DEFAULT_LIMITS
    this.#keySets = new KeySets(transport, keys, this.#limits.maxKeysSeconds)
    this.keySets = new KeyLife(transport, keys, {
      ring: this.#ring,
      keySets: this.#keySets,
      model: (model, signal) => this.#modelToUse(model, signal),
      maxSeconds: this.#limits.maxKeysSeconds,
    })
    this.#pins = pins
  }

  /** The models that the server offers. */
  async models(options: CallOptions = {}): Promise<readonly OfferedModel[]> {
    const { signal } = optionsArgument(options, CALL_OPTIONS)
    const answer = await this.#transport.json(listRequest(ROUTES.models, signal))
    const parsed = modelsSchema.safeParse(answer)
    if (!parsed.success) throw unintelligible(this.#transport.base.origin)
    return parsed.data.models.map(({ name, labels }) => ({
      name: printable(name),
      labels: labels.map(printable),
    }))
  }

  /**
   * The model's manifest, checked.
   *
   * @throws MODEL_UNKNOWN; PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID when the manifest is not
   *   valid; PARAMETERS_MISMATCH when it is not the pinned one and `pins` is `refuse`; TOO_LARGE when it asks
   *   for more than the limits
   */
  async manifest(model: string, options: CallOptions = {}): Promise<Manifest> {
    const { signal } = optionsArgument(options, CALL_OPTIONS)
    return (await this.#model(model, signal)).manifest
  }

  /**
   * Makes sure that the server has the model's key set: makes the secret key once, and uploads a key set if
   * the server does not have one.
   */
  async keys(model: string, options: CallOptions = {}): Promise<UploadedKeys> {
    optionsArgument(options, CALL_OPTIONS)
    const local = await this.#modelToUse(model, options.signal)
    await this.#ring.requireCurrent(local.parameters)
    return this.#keySets.ensure(local, options)
  }

  /**
   * Encrypts one image, or up to `batch` images of the manifest, for the model. Fetches the manifest unless
   * the connection has it, and sends nothing else. Tensors are checked before that, so that the server cannot
   * choose which ones are refused.
   *
   * @returns a frame whose length does not depend on the number of images
   * @throws IMAGE_UNREADABLE, CONFIG_INVALID, TENSOR_OUT_OF_RANGE when an image does not fit the model's
   *   input, or there are too many
   */
  async encrypt(
    model: string,
    images: ImageInput | readonly ImageInput[],
    options: CallOptions & PictureOptions = {},
  ): Promise<Uint8Array> {
    optionsArgument(options, [...CALL_OPTIONS, ...PICTURE_OPTIONS])
    options.signal?.throwIfAborted()
    const checked = Array.from(listOf(images), sendableImage)
    const read = async ({ input }: Manifest): Promise<PreprocessedImage[]> =>
      valuesOf(await readImages(checked, (image) => tensorOf(image, input, options)))
    const local = await this.#modelToUse(model, options.signal)
    await this.#ring.requireCurrent(local.parameters)
    return this.#encrypt(local, read, options)
  }

  /** @param read gives tensors whose values have been checked */
  async #encrypt(
    local: LocalModel,
    read: (manifest: Manifest) => Promise<readonly PreprocessedImage[]>,
    options: CallOptions,
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    const bytesTotal = local.sizes.query
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: 0, bytesTotal })
    const frame = await local.encryptTensors(await read(local.manifest))
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: bytesTotal, bytesTotal, secondsLeft: 0 })
    return frame
  }

  /**
   * Asks the server to evaluate the model on encrypted images. Uploads keys first if the server does not have
   * them, and takes part in refresh rounds. An aborted signal also cancels the inference on the server, and
   * so does the limit on an inference's time. A lost inference does not begin again, as in `classify`,
   * because its query would have to be encrypted anew.
   *
   * @param frame from `encrypt`
   * @returns the frame of the encrypted logits
   */
  async infer(model: string, frame: Uint8Array, options: InferOptions = {}): Promise<Uint8Array> {
    optionsArgument(options, INFER_OPTIONS)
    const query = frameArgument(frame, 'The encrypted image')
    const local = await this.#modelToUse(model, options.signal)
    return this.#infer(local, async () => query, options, this.#inferenceTime(), [this.#uploadingLost(local)])
  }

  /** Encrypts and infers. A lost inference begins again with a query that is encrypted anew. */
  #encryptAndInfer(
    local: LocalModel,
    encrypt: () => Promise<Uint8Array>,
    options: InferOptions,
  ): Promise<Uint8Array> {
    const time = this.#inferenceTime()
    const wait = (seconds: number): Promise<void> =>
      time.within(options.signal, (signal) => this.#transport.pause(seconds * 1000, { signal }))
    const lost = restartingLost(options, local.sizes.query, wait)
    return this.#infer(local, encrypt, options, time, [this.#uploadingLost(local), lost])
  }

  /**
   * @param queryOf gives the query of each try
   * @param time of all tries together
   * @param rules for further tries
   */
  #infer(
    local: LocalModel,
    queryOf: () => Promise<Uint8Array>,
    options: InferOptions,
    time: TimeLimit,
    rules: readonly Rule[],
  ): Promise<Uint8Array> {
    const attempt = async (): Promise<Uint8Array> => {
      const query = await queryOf()
      const keys = await this.#keySets.ensure(local, options)
      return time.within(options.signal, (signal) => this.#query(local, keys, query, { ...options, signal }))
    }
    return beginningAgain(attempt, rules)
  }

  #inferenceTime(): TimeLimit {
    return new TimeLimit('an inference', this.#limits.maxInferenceSeconds, this.#transport.base.origin)
  }

  /** The rule that an inference begins again with new keys when the server does not have its key set. */
  #uploadingLost(local: LocalModel): Rule {
    return {
      covers: ({ code }) => code === 'KEYS_EXPIRED',
      times: 1,
      prepare: () => this.#keySets.forget(local),
    }
  }

  /**
   * The client's part in a refresh round, which `infer` calls itself. Sends nothing.
   *
   * @param round from 0 on
   * @param frame the masked tensor
   * @returns the frame of the reply, of the same form whatever the values are
   * @throws CONFIG_INVALID when the model has no such round
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the frame is not this round's of this model
   */
  async refresh(
    model: string,
    round: number,
    frame: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    optionsArgument(options, CALL_OPTIONS)
    options.signal?.throwIfAborted()
    const masked = frameArgument(frame, 'The masked tensor')
    return (await this.#model(model, options.signal)).refresh(round, masked)
  }

  /**
   * Decrypts the encrypted logits of one image. Fetches the manifest before unless the connection has it, and
   * sends nothing else. Logits are rounded to the plan's precision unless `fullPrecision` is set: unrounded
   * ones carry noise that reveals information about the secret key, so do not disclose them.
   *
   * @returns one logit for each class
   * @throws as `decryptBatch`
   */
  async decrypt(
    model: string,
    frame: Uint8Array,
    options: CallOptions & DecryptOptions = {},
  ): Promise<Float64Array> {
    return (await this.decryptBatch(model, frame, options))[0]
  }

  /**
   * Decrypts the encrypted logits of all images of a batch, rounded as those of `decrypt`; nothing is sent.
   *
   * @returns one logit for each class, for every place of the batch; images that were encrypted have the
   *   first places
   * @throws TENSOR_OUT_OF_RANGE when the answer for any image is not an honest result. Do not disclose this:
   *   a server that learns which of its answers decrypt badly may learn the secret key.
   */
  async decryptBatch(
    model: string,
    frame: Uint8Array,
    options: CallOptions & DecryptOptions = {},
  ): Promise<Float64Array[]> {
    optionsArgument(options, [...CALL_OPTIONS, ...DECRYPT_OPTIONS])
    options.signal?.throwIfAborted()
    return this.#decrypt(await this.#model(model, options.signal), frame, options)
  }

  async #decrypt(
    local: LocalModel,
    frame: Uint8Array,
    options: CallOptions & DecryptOptions,
  ): Promise<Float64Array[]> {
    options.signal?.throwIfAborted()
    const bytesTotal = local.sizes.response
    options.onProgress?.({ stage: 'decrypt', round: 0, bytesDone: 0, bytesTotal })
    const { fullPrecision } = options
    const logits = await local.decryptBatch(frameArgument(frame, 'The encrypted answer'), { fullPrecision })
    options.onProgress?.({ stage: 'decrypt', round: 0, bytesDone: bytesTotal, bytesTotal, secondsLeft: 0 })
    return logits
  }

  /**
   * Classifies an image without showing it to the server: uploads keys, encrypts, infers, decrypts. An
   * inference that the server or the network loses begins again, twice at most, with the image encrypted
   * anew; `onProgress` tells so in the stage `restart`. Scores are computed from logits rounded to the plan's
   * precision, unless `fullPrecision` is set.
   *
   * The encryption hides queries from everybody who sees only encrypted data (IND-CPA). It does not protect
   * decrypted numbers that others get to know (it is not IND-CPA-D): their last bits are noise that depends
   * on the secret key, and enough of them reveal the key. So tell nobody logits of full precision. Tell the
   * server neither logits, nor scores, nor whether an answer was honest, and let no request depend on a
   * result.
   *
   * @param image an encoded file, a decoded image, or a preprocessed tensor of values up to
   *   `LEAST_INPUT_BOUND`, 6
   * @returns the best `topK` classes, best first
   */
  classify(model: string, image: ImageInput, options?: ClassifyOptions): Promise<Classification[]>
  /**
   * Classifies many images in batches of the model's size. All are encrypted and sent before any answer is
   * decrypted, so that no request depends on a decryption.
   *
   * @returns the best `topK` classes of each image, best first
   */
  classify(
    model: string,
    images: readonly ImageInput[],
    options?: ClassifyOptions,
  ): Promise<Classification[][]>
  async classify(
    model: string,
    input: ImageInput | readonly ImageInput[],
    options: ClassifyOptions = {},
  ): Promise<Classification[] | Classification[][]> {
    optionsArgument(options, CLASSIFY_OPTIONS)
    const rows = valuesOf(await this.#classify(model, listOf(input), options, 'all'))
    return isList(input) ? rows : rows[0]
  }

  /**
   * Classifies many images as `classify` does, with a result for each as of `Promise.allSettled`. An image
   * that cannot be read does not affect the others; one on which the network diverges affects those of its
   * batch. Images that cannot be read are found before anything is sent and are left out. All others are sent
   * before any answer is decrypted. An inference that is lost begins again by itself. When it fails after
   * others succeeded, it is the last: its images and those after it are rejected with that error.
   *
   * @returns for each image the best `topK` classes, best first, or a `PolyVeilError`
   * @throws errors that concern all images: an unknown model, missing keys, a server that fails before the
   *   first answer
   */
  async classifySettled(
    model: string,
    images: readonly ImageInput[],
    options: ClassifyOptions = {},
  ): Promise<PromiseSettledResult<Classification[]>[]> {
    optionsArgument(options, CLASSIFY_OPTIONS)
    const list = listArgument(
      'The images of classifySettled',
      images,
      'For one image give [image], or call classify.',
    )
    return this.#classify(model, list, options, 'readable')
  }

  /**
   * Classifies images, and once more from the beginning when the server has replaced the circuit meanwhile:
   * all steps of a try use one manifest, and no answer has been decrypted before the second one.
   */
  async #classify(
    model: string,
    images: readonly ImageInput[],
    options: ClassifyOptions,
    required: 'all' | 'readable',
  ): Promise<PromiseSettledResult<Classification[]>[]> {
    const attempt = () => classifyMany(this.#opener(model, options), images, options, required)
    return beginningAgain(attempt, [restartingStale])
  }

  /**
   * Frees the memory of keys. For a temporary store, such as `memoryKeyStore`, it also deletes the key sets
   * that this connection uploaded, in one short try each; otherwise they expire on the server. The connection
   * can be used again.
   */
  async close(): Promise<void> {
    this.#ring.close()
    await this.#keySets.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Calls `close` and does not wait for the server. */
  [Symbol.dispose](): void {
    this.close().catch(() => {})
  }

  async #query(
    local: LocalModel,
    { id }: UploadedKeys,
    frame: Uint8Array,
    options: InferOptions,
  ): Promise<Uint8Array> {
    const { manifest } = local
    const { bytes: answerBytes } = expectedAfter(local, 0)
    const inference = newInferenceId()
    const request = inferenceRequest({
      inference,
      model: manifest.model,
      keySet: id,
      manifestDigest: manifest.digest,
      frame,
      answerBytes,
      isAnsweredLater: isAnsweredLater(manifest),
    })
    const onWait = reportingWait(options, 'inference', frame.length + answerBytes)
    const sent = this.#transport.send({ ...request, signal: options.signal, onWait }).catch((error) => {
      throw isOtherManifest(error) && error.code !== 'KEYS_EXPIRED' ? new StaleManifest(error) : error
    })
    const later = { inference, keySet: id, manifest, bytes: answerBytes }
    const first = isAnsweredLater(manifest) ? laterAnswer(this.#transport, sent, later, options) : sent
    const answer = waiting(first, local, answerBytes, options)
    const ended = new AbortController()
    const bytesTotal = frame.length + answerBytes
    watchExecution(this.#transport, later, bytesTotal, options, ended.signal).catch(() => {})
    try {
      return await runRounds(this.#transport, local, { inference, keySet: id, answer }, options)
    } catch (error) {
      // The server now has another circuit of that name; the next call fetches its manifest.
      if (isOtherManifest(error)) await this.#forget(local)
      if (!isLost(error)) throw error
      // A caller's reason may look like a loss, and a loss may come after an abort.
      this.#transport.throwIfAborted(options)
      throw new LostInference(error)
    } finally {
      ended.abort()
    }
  }

  /** Forgets a model, unless another call has fetched its manifest anew. */
  async #forget(local: LocalModel): Promise<void> {
    const { model: name } = local.manifest
    const cached = this.#models.get(name)
    const current = await cached?.catch(() => undefined)
    if (current === local && this.#models.get(name) === cached) this.#models.delete(name)
  }

  #opener(name: string, { signal }: CallOptions): () => Promise<OpenModel> {
    return async () => {
      const local = await this.#model(name, signal)
      // Before all batches: answers under one key cannot be decrypted with another.
      await this.#ring.requireCurrent(local.parameters)
      return {
        manifest: local.manifest,
        infer: async (tensors, options) => {
          await this.#pins.remember(local.manifest)
          const encrypt = () => this.#encrypt(local, async () => tensors, options)
          return this.#encryptAndInfer(local, encrypt, options)
        },
        decryptBatch: (frame, options) => this.#decrypt(local, frame, options),
        releaseKeys: () => this.#keySets.release(),
      }
    }
  }

  /** A model for use with keys: its manifest is pinned. */
  async #modelToUse(name: string, signal: AbortSignal | undefined): Promise<LocalModel> {
    const model = await this.#model(name, signal)
    await this.#pins.remember(model.manifest)
    return model
  }

  #model(name: string, signal: AbortSignal | undefined): Promise<LocalModel> {
    const present = this.#models.get(modelArgument(name))
    if (present) return until(present, signal)
    const model = this.#fetchModel(name, signal)
    this.#models.set(name, model)
    model.catch(() => this.#models.delete(name))
    return model
  }

  async #fetchModel(name: string, signal: AbortSignal | undefined): Promise<LocalModel> {
    const path = pathOf(ROUTES.manifest, { model: name })
    const data = await this.#transport.json(listRequest(path, signal))
    const model = new LocalModel(data, this.#ring, this.#limits)
    if (model.manifest.model === name) {
      await this.#pins.check(model.manifest)
      return model
    }
    throw new PolyVeilError('PARAMETERS_MISMATCH', `The server answered with the manifest of another model`, {
      asked: name,
      answered: printable(model.manifest.model),
    })
  }
}
