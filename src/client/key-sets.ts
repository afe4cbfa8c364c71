import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { LocalModel } from './local/local-model.ts'
import { type CallOptions, secondsLeft } from './progress.ts'
import { storedKeySet, uploadKeySet } from './transport/key-upload.ts'
import type { Transport } from './transport/transport.ts'

/** A key set that is on the server and holds what a model needs. */
export interface UploadedKeys {
  readonly id: string
  /** ISO 8601. */
  readonly expires: string
}

// What the key store remembers about the key sets on one server, made with one secret key.
const rememberedSchema = z
  .array(z.object({ id: z.string().max(128), galoisElements: z.array(z.int()) }))
  .max(64)
type Remembered = z.infer<typeof rememberedSchema>

/** A key set that is on the server, or on its way there. */
interface ReadyKeys {
  /** What it surely holds; it may hold more. */
  readonly galoisElements: readonly number[]
  readonly keys: Promise<UploadedKeys>
}

/** The key sets that a client has on one server. Models of the same parameters share them. */
export class KeySets {
  readonly #transport: Transport
  readonly #store: KeyStore
  /** By the digest of their parameters. */
  readonly #ready = new Map<string, readonly ReadyKeys[]>()

  constructor(transport: Transport, store: KeyStore) {
    this.#transport = transport
    this.#store = store
  }

  /**
   * A key set on the server that is good for the model: one that is there, for this model or another of the same
   * parameters, or a new one. Callers at the same time share one upload, which then ends with the first caller's signal.
   */
  async ensure(model: LocalModel, options: CallOptions): Promise<UploadedKeys> {
    const { digest } = model.parameters
    const sets = this.#ready.get(digest) ?? []
    const present = sets.find(({ galoisElements }) => covers(galoisElements, model))
    if (present) return present.keys
    const keys = this.#find(model, options).then((found) => found ?? this.#upload(model, options))
    const added = { galoisElements: model.manifest.galoisElements, keys }
    this.#ready.set(digest, [...sets, added])
    keys.catch(() => this.#drop(model, (set) => set === added))
    return keys
  }

  /** Has the next `ensure` ask the server again, because it does not know a key set any more. */
  forget(model: LocalModel): void {
    this.#drop(model, ({ galoisElements }) => covers(galoisElements, model))
  }

  #drop({ parameters }: LocalModel, gone: (set: ReadyKeys) => boolean): void {
    const sets = this.#ready.get(parameters.digest) ?? []
    this.#ready.set(
      parameters.digest,
      sets.filter((set) => !gone(set)),
    )
  }

  async #find(model: LocalModel, { signal }: CallOptions): Promise<UploadedKeys | undefined> {
    const remembered = await this.#remembered(model)
    for (const { id, galoisElements } of remembered) {
      if (!covers(galoisElements, model)) continue
      const stored = await this.#stored(id, signal)
      if (stored?.complete && stored.parametersDigest === model.parameters.digest) {
        return { id, expires: stored.expires }
      }
      await this.#remember(
        model,
        remembered.filter((entry) => entry.id !== id),
      )
    }
    return undefined
  }

  async #stored(id: string, signal: AbortSignal | undefined) {
    try {
      return await storedKeySet(this.#transport, id, signal)
    } catch (error) {
      if (error instanceof PolyVeilError && error.code === 'KEYS_EXPIRED') return undefined
      throw error
    }
  }

  async #upload(model: LocalModel, { onProgress, signal }: CallOptions): Promise<UploadedKeys> {
    const bytesTotal = model.sizes.keys
    const startedAt = performance.now()
    const report = (bytesDone: number): void =>
      onProgress?.({
        stage: 'keys',
        round: 0,
        bytesDone,
        bytesTotal,
        secondsLeft: secondsLeft(startedAt, bytesDone, bytesTotal),
      })
    report(0)
    const galoisElements = [...model.manifest.galoisElements].sort((a, b) => a - b)
    const keySet = { parametersDigest: model.parameters.digest, bytes: bytesTotal, galoisElements }
    const keys = await uploadKeySet(this.#transport, keySet, model.keySet(), { signal, onSent: report })
    const others = await this.#remembered(model)
    await this.#remember(model, [{ id: keys.id, galoisElements }, ...others].slice(0, 64))
    return keys
  }

  async #remembered(model: LocalModel): Promise<Remembered> {
    const entry = await this.#store.get(await this.#entryName(model))
    return entry ? rememberedSchema.parse(JSON.parse(new TextDecoder().decode(entry))) : []
  }

  async #remember(model: LocalModel, keySets: Remembered): Promise<void> {
    await this.#store.put(await this.#entryName(model), utf8ToBytes(JSON.stringify(keySets)))
  }

  /** Ids are good on one server alone, and for one secret key alone. */
  async #entryName(model: LocalModel): Promise<string> {
    const server = bytesToHex(sha256(utf8ToBytes(this.#transport.base.href)))
    return `key-sets/${server}/${await model.keyFingerprint()}`
  }
}

const covers = (galoisElements: readonly number[], { manifest }: LocalModel): boolean => {
  const present = new Set(galoisElements)
  return manifest.galoisElements.every((element) => present.has(element))
}
