/// <reference lib="esnext.disposable" preserve="true" />

import { z } from 'zod'
import type { Manifest } from '../circuit/manifest.ts'
import { PolyVeilError } from '../errors/index.ts'
import { frameArgument, modelArgument, topKArgument } from './arguments.ts'
import { KeySets, type UploadedKeys } from './key-sets.ts'
import type { KeyStore } from './keys/key-store.ts'
import { type Classification, rank } from './local/answer.ts'
import { type ImageInput, imageTensor, isList } from './local/input.ts'
import { KeyRing } from './local/key-ring.ts'
import { type ClientLimits, DEFAULT_LIMITS } from './local/limits.ts'
import { LocalModel } from './local/local-model.ts'
import { type CallOptions, inInference } from './progress.ts'
import { expectedAfter, newInferenceId, runRounds } from './rounds.ts'
import { inferenceRequest } from './transport/binary-body.ts'
import { type Transport, unintelligible } from './transport/transport.ts'
import { waiting } from './waiting.ts'

const modelsSchema = z.looseObject({
  models: z.array(z.looseObject({ name: z.string(), labels: z.array(z.string()) })).max(10_000),
})

/** A model that the server offers. */
export interface OfferedModel {
  readonly name: string
  readonly labels: readonly string[]
}

export interface ClassifyOptions extends CallOptions {
  /** Number of classes to return, best first; all when absent. */
  readonly topK?: number
}

/**
 * A connection to one server. What is decrypted stays in this object's caller: no request depends on it.
 *
 * Every method rejects with a `PolyVeilError`, or with the signal's reason when it is aborted.
 */
export class PolyVeil {
  readonly #transport: Transport
  readonly #ring: KeyRing
  readonly #keySets: KeySets
  readonly #limits: ClientLimits
  readonly #models = new Map<string, Promise<LocalModel>>()

  constructor(transport: Transport, keys: KeyStore, limits: Partial<ClientLimits> = {}) {
    this.#transport = transport
    this.#ring = new KeyRing(keys)
    this.#keySets = new KeySets(transport, keys)
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
  }

  /** What the server offers. */
  async models({ signal }: CallOptions = {}): Promise<readonly OfferedModel[]> {
    const answer = await this.#transport.json({ method: 'GET', path: 'v2/models', signal })
    const parsed = modelsSchema.safeParse(answer)
    if (!parsed.success) throw unintelligible(this.#transport.base.origin)
    return parsed.data.models.map(({ name, labels }) => ({ name, labels }))
  }

  /**
   * The model's manifest, checked.
   *
   * @throws MODEL_UNKNOWN; PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID when the manifest does not hold;
   *   TOO_LARGE when it asks for more than the limits
   */
  async manifest(model: string, { signal }: CallOptions = {}): Promise<Manifest> {
    return (await this.#model(model, signal)).manifest
  }

  /** Sees to it that the server has the model's keys: the secret key is made once, the others uploaded if need be. */
  async keys(model: string, options: CallOptions = {}): Promise<UploadedKeys> {
    return this.#keySets.ensure(await this.#model(model, options.signal), options)
  }

  /**
   * Encrypts an image for the model, or as many as its manifest's `batch` says; nothing is sent.
   *
   * @returns a frame of equal length however many images it holds
   * @throws IMAGE_UNREADABLE, CONFIG_INVALID, TENSOR_OUT_OF_RANGE when an image is no input of the model, or they are too
   *   many
   */
  async encrypt(
    model: string,
    images: ImageInput | readonly ImageInput[],
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    const local = await this.#model(model, options.signal)
    const bytesTotal = local.sizes.query
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: 0, bytesTotal })
    const frame = await local.encrypt(images)
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: bytesTotal, bytesTotal, secondsLeft: 0 })
    return frame
  }

  /**
   * Has the server evaluate the model on encrypted images; uploads keys first if the server has none, and takes part
   * in refresh rounds. When the signal is aborted, the server is told.
   *
   * @param frame from `encrypt`
   * @returns the frame of the encrypted logits
   */
  async infer(model: string, frame: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const query = frameArgument(frame, 'The encrypted image')
    const local = await this.#model(model, options.signal)
    const keys = await this.#keySets.ensure(local, options)
    try {
      return await this.#query(local, keys, query, options)
    } catch (error) {
      if (!(error instanceof PolyVeilError) || error.code !== 'KEYS_EXPIRED') throw error
      this.#keySets.forget(local)
      return await this.#query(local, await this.#keySets.ensure(local, options), query, options)
    }
  }

  /**
   * The client's part in a refresh round, which `infer` takes on its own; nothing is sent.
   *
   * @param round from 0 on
   * @param frame the masked tensor
   * @returns the frame of the answer; of the same form whatever was inside
   * @throws CONFIG_INVALID when the model has no such round
   * @throws TENSOR_MALFORMED, TOO_LARGE, PARAMETERS_MISMATCH when the frame is not this round's of this model
   */
  async refresh(
    model: string,
    round: number,
    frame: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    const masked = frameArgument(frame, 'The masked tensor')
    return (await this.#model(model, options.signal)).refresh(round, masked)
  }

  /**
   * Decrypts the encrypted logits of one image; nothing is sent.
   *
   * @returns one logit for each class
   * @throws as `decryptBatch`
   */
  async decrypt(model: string, frame: Uint8Array, options: CallOptions = {}): Promise<Float64Array> {
    return (await this.decryptBatch(model, frame, options))[0]
  }

  /**
   * Decrypts the encrypted logits of all images of a batch; nothing is sent.
   *
   * @returns one logit for each class, for every place of the batch; images that were encrypted have the first places
   * @throws TENSOR_OUT_OF_RANGE when those of any image are no honest result. Keep that to yourself: a server that learns
   *   which of its answers decrypt badly may learn the secret key.
   */
  async decryptBatch(model: string, frame: Uint8Array, options: CallOptions = {}): Promise<Float64Array[]> {
    options.signal?.throwIfAborted()
    const local = await this.#model(model, options.signal)
    const bytesTotal = local.sizes.response
    options.onProgress?.({ stage: 'decrypt', round: 0, bytesDone: 0, bytesTotal })
    const logits = await local.decryptBatch(frameArgument(frame, 'The encrypted answer'))
    options.onProgress?.({ stage: 'decrypt', round: 0, bytesDone: bytesTotal, bytesTotal, secondsLeft: 0 })
    return logits
  }

  /**
   * Classifies an image that the server never sees: keys, encryption, inference, decryption.
   *
   * @param image an encoded file, a decoded image, or a preprocessed tensor
   * @returns the best `topK` classes, best first
   */
  classify(model: string, image: ImageInput, options?: ClassifyOptions): Promise<Classification[]>
  /**
   * Classifies many images, as many at once as the model takes. All are encrypted and sent before any answer is decrypted,
   * so that nothing which is sent depends on a decryption.
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
    if (isList(input)) return this.#classifyAll(model, input, options)
    return (await this.#classifyAll(model, [input], options))[0]
  }

  /** Frees the memory that keys take. The connection can be used again. */
  close(): void {
    this.#ring.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #classifyAll(
    model: string,
    images: readonly ImageInput[],
    { topK, ...options }: ClassifyOptions,
  ): Promise<Classification[][]> {
    topKArgument(topK)
    const { labels, input, output, batch } = await this.manifest(model, options)
    const tensors: ImageInput[] = []
    // First, so that an image that is none costs no upload of keys.
    for (const image of images) tensors.push(await imageTensor(image, input))
    const groups = groupsOf(tensors, batch)
    const optionsAt = (index: number) => ({
      ...options,
      onProgress: inInference(options, index, groups.length),
    })
    const answers: Uint8Array[] = []
    for (const [index, group] of groups.entries()) {
      const query = await this.encrypt(model, group, optionsAt(index))
      answers.push(await this.infer(model, query, optionsAt(index)))
    }
    const rows: Float64Array[] = []
    for (const [index, answer] of answers.entries()) {
      const logits = await this.decryptBatch(model, answer, optionsAt(index))
      rows.push(...logits.slice(0, groups[index].length))
    }
    return rows.map((logits) => rank(logits, labels, topK ?? output.classes))
  }

  async #query(
    local: LocalModel,
    { id }: UploadedKeys,
    frame: Uint8Array,
    options: CallOptions,
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
    })
    const sent = this.#transport.send({ ...request, signal: options.signal })
    const answer = waiting(sent, local, answerBytes, options)
    try {
      return await runRounds(this.#transport, local, { inference, keySet: id, answer }, options)
    } catch (error) {
      // The server has another circuit by that name now; the next call fetches its manifest.
      if (error instanceof PolyVeilError && error.code === 'PARAMETERS_MISMATCH')
        this.#models.delete(manifest.model)
      throw error
    }
  }

  #model(name: string, signal: AbortSignal | undefined): Promise<LocalModel> {
    const present = this.#models.get(modelArgument(name))
    if (present) return present
    const model = this.#fetchModel(name, signal)
    this.#models.set(name, model)
    model.catch(() => this.#models.delete(name))
    return model
  }

  async #fetchModel(name: string, signal: AbortSignal | undefined): Promise<LocalModel> {
    const path = `v2/models/${encodeURIComponent(name)}/manifest`
    const data = await this.#transport.json({ method: 'GET', path, signal })
    const model = new LocalModel(data, this.#ring, this.#limits)
    if (model.manifest.model === name) return model
    throw new PolyVeilError('PARAMETERS_MISMATCH', `The server answered with the manifest of another model`, {
      asked: name,
      answered: model.manifest.model,
    })
  }
}

/** Items in order, at most `size` together. */
const groupsOf = <T>(items: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  )
