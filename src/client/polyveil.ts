/// <reference lib="esnext.disposable" preserve="true" />

import { z } from 'zod'
import type { Manifest } from '../circuit/manifest/manifest.ts'
import { PolyVeilError, printable } from '../errors/index.ts'
import { frameArgument, modelArgument } from './arguments.ts'
import { KeyLife } from './key-life.ts'
import { KeySets, type UploadedKeys } from './key-sets.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { Classification } from './local/answer.ts'
import type { ImageInput } from './local/image-argument.ts'
import { valuesOf } from './local/image-tensors.ts'
import { isList, listOf, type PictureOptions, requireSendable } from './local/input.ts'
import { KeyRing } from './local/key-ring.ts'
import { type ClientLimits, DEFAULT_LIMITS } from './local/limits.ts'
import { type DecryptOptions, LocalModel } from './local/local-model.ts'
import { type ClassifyOptions, type ClientSteps, classifyMany } from './many.ts'
import type { Pins } from './pins/pins.ts'
import { type CallOptions, reportingWait } from './progress.ts'
import { expectedAfter, newInferenceId, runRounds } from './rounds.ts'
import { inferenceRequest } from './transport/binary-body.ts'
import { type Transport, unintelligible } from './transport/transport.ts'
import { waiting } from './waiting.ts'

const modelsSchema = z.looseObject({
  models: z.array(z.looseObject({ name: z.string(), labels: z.array(z.string()) })).max(10_000),
})

/** A model that the server offers. Control characters are left out. */
export interface OfferedModel {
  readonly name: string
  readonly labels: readonly string[]
}

/** What a connection is besides its server and its keys. */
export interface Connection {
  readonly pins: Pins
  readonly limits?: Partial<ClientLimits>
}

/**
 * A connection to one server. What is decrypted stays in this object's caller: no request depends on it.
 *
 * Every method rejects with a `PolyVeilError`, or with the signal's reason when it is aborted.
 */
export class PolyVeil {
  /** The life of the keys that this client has on the server: `list`, `rotate`, `delete`. */
  readonly keySets: KeyLife
  readonly #transport: Transport
  readonly #ring: KeyRing
  readonly #keySets: KeySets
  readonly #limits: ClientLimits
  readonly #pins: Pins
  readonly #models = new Map<string, Promise<LocalModel>>()
  readonly #steps: ClientSteps = {
    manifest: (...args) => this.manifest(...args),
    encrypt: (...args) => this.#encrypt(...args),
    infer: (...args) => this.infer(...args),
    decryptBatch: (...args) => this.decryptBatch(...args),
  }

  constructor(transport: Transport, keys: KeyStore, { pins, limits }: Connection) {
    this.#transport = transport
    this.#ring = new KeyRing(keys)
    this.#keySets = new KeySets(transport, keys)
    this.keySets = new KeyLife(transport, keys, this.#ring, this.#keySets, (model, signal) =>
      this.#model(model, signal),
    )
    this.#limits = { ...DEFAULT_LIMITS, ...limits }
    this.#pins = pins
  }

  /** What the server offers. */
  async models({ signal }: CallOptions = {}): Promise<readonly OfferedModel[]> {
    const answer = await this.#transport.json({ method: 'GET', path: 'v2/models', signal })
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
   * @throws MODEL_UNKNOWN; PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID when the manifest does not
   *   hold; PARAMETERS_MISMATCH when it is not the one that is pinned and `pins` is `refuse`; TOO_LARGE when
   *   it asks for more than the limits
   */
  async manifest(model: string, { signal }: CallOptions = {}): Promise<Manifest> {
    return (await this.#model(model, signal)).manifest
  }

  /**
   * Sees to it that the server has the model's keys: the secret key is made once, the others uploaded if need
   * be.
   */
  async keys(model: string, options: CallOptions = {}): Promise<UploadedKeys> {
    return this.#keySets.ensure(await this.#modelToUse(model, options.signal), options)
  }

  /**
   * Encrypts an image for the model, or as many as its manifest's `batch` says; nothing is sent. Tensors are
   * checked before the server is asked for the manifest, so that which are refused is none of its choosing.
   *
   * @returns a frame of equal length however many images it holds
   * @throws IMAGE_UNREADABLE, CONFIG_INVALID, TENSOR_OUT_OF_RANGE when an image is no input of the model, or
   *   they are too many
   */
  async encrypt(
    model: string,
    images: ImageInput | readonly ImageInput[],
    options: CallOptions & PictureOptions = {},
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    requireSendable(images)
    return this.#encrypt(model, images, options)
  }

  /**
   * Encrypts images that may be sent: tensors that were made of pictures have whatever values the manifest's
   * bound allows.
   */
  async #encrypt(
    model: string,
    images: ImageInput | readonly ImageInput[],
    options: CallOptions & PictureOptions,
  ): Promise<Uint8Array> {
    options.signal?.throwIfAborted()
    const local = await this.#modelToUse(model, options.signal)
    const bytesTotal = local.sizes.query
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: 0, bytesTotal })
    const frame = await local.encrypt(images, options)
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: bytesTotal, bytesTotal, secondsLeft: 0 })
    return frame
  }

  /**
   * Has the server evaluate the model on encrypted images; uploads keys first if the server has none, and
   * takes part in refresh rounds. When the signal is aborted, the server is told.
   *
   * @param frame from `encrypt`
   * @returns the frame of the encrypted logits
   */
  async infer(model: string, frame: Uint8Array, options: CallOptions = {}): Promise<Uint8Array> {
    const query = frameArgument(frame, 'The encrypted image')
    const local = await this.#modelToUse(model, options.signal)
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
   * Decrypts the encrypted logits of one image; nothing is sent. They are rounded to the plan's precision
   * unless `fullPrecision` is set: full ones carry noise that tells of the secret key, and are to be shown to
   * nobody.
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
   * @throws TENSOR_OUT_OF_RANGE when those of any image are no honest result. Keep that to yourself: a server
   *   that learns which of its answers decrypt badly may learn the secret key.
   */
  async decryptBatch(
    model: string,
    frame: Uint8Array,
    options: CallOptions & DecryptOptions = {},
  ): Promise<Float64Array[]> {
    options.signal?.throwIfAborted()
    const local = await this.#model(model, options.signal)
    const bytesTotal = local.sizes.response
    options.onProgress?.({ stage: 'decrypt', round: 0, bytesDone: 0, bytesTotal })
    const logits = await local.decryptBatch(frameArgument(frame, 'The encrypted answer'), options)
    options.onProgress?.({ stage: 'decrypt', round: 0, bytesDone: bytesTotal, bytesTotal, secondsLeft: 0 })
    return logits
  }

  /**
   * Classifies an image that the server never sees: keys, encryption, inference, decryption. Logits are
   * rounded to the plan's precision before scores are made of them, unless `fullPrecision` is set.
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
   * Classifies many images, as many at once as the model takes. All are encrypted and sent before any answer
   * is decrypted, so that nothing which is sent depends on a decryption.
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
    const rows = valuesOf(await classifyMany(this.#steps, model, listOf(input), options, 'all'))
    return isList(input) ? rows : rows[0]
  }

  /**
   * Classifies many images as `classify` does, and says of each what became of it, as `Promise.allSettled`
   * does: an image that cannot be read, or on which the network diverges, costs the others nothing but those
   * that share its batch. Images that cannot be read are found before anything is sent and are left out. All
   * others are sent before any answer is decrypted, and nothing is sent again. When an inference fails after
   * others succeeded, it is the last: its images and those after it are rejected with that error.
   *
   * @returns for each image the best `topK` classes, best first, or a `PolyVeilError`
   * @throws what concerns all images alike: no model, no keys, a server that fails before there is an answer
   */
  async classifySettled(
    model: string,
    images: readonly ImageInput[],
    options: ClassifyOptions = {},
  ): Promise<PromiseSettledResult<Classification[]>[]> {
    return classifyMany(this.#steps, model, images, options, 'readable')
  }

  /**
   * Frees the memory that keys take. Where they are in a temporary store, such as `memoryKeyStore`, the key
   * sets that this connection uploaded are deleted on the server, too: within seconds, or they expire there.
   * The connection can be used again.
   */
  async close(): Promise<void> {
    this.#ring.close()
    await this.#keySets.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** As `close`, without waiting for the server. */
  [Symbol.dispose](): void {
    this.close().catch(() => {})
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
    const onWait = reportingWait(options, 'inference', frame.length + answerBytes)
    const sent = this.#transport.send({ ...request, signal: options.signal, onWait })
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

  /** A model that keys are used with: its manifest is remembered. */
  async #modelToUse(name: string, signal: AbortSignal | undefined): Promise<LocalModel> {
    const model = await this.#model(name, signal)
    await this.#pins.remember(model.manifest)
    return model
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
    if (model.manifest.model === name) {
      await this.#pins.check(model.manifest)
      return model
    }
    throw new PolyVeilError('PARAMETERS_MISMATCH', `The server answered with the manifest of another model`, {
      asked: name,
      answered: model.manifest.model,
    })
  }
}
