import { PolyVeilError } from '../errors/index.ts'
import type { KeyOnServer } from './keys/entry-names.ts'
import { KeyBook, type RememberedKeySet, serverDigestOf } from './keys/key-book.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { LocalModel } from './local/local-model.ts'
import { type CallOptions, reportingWait, secondsLeft } from './progress.ts'
import { DEFAULT_KEYS_SECONDS, TimeLimit } from './time-limit.ts'
import { deletion, storedIfPresent, uploadKeySet } from './transport/key-upload.ts'
import type { Transport } from './transport/transport.ts'
import { until } from './until.ts'

/** A key set that is on the server and holds what a model needs. */
export interface UploadedKeys {
  readonly id: string
  /** ISO 8601. */
  readonly expires: string
}

/** A key set that is uploaded or being uploaded. */
interface ReadyKeys {
  /** Of its secret key, which the store may have lost since. */
  readonly fingerprint: string
  /** Elements that it certainly has; it may have more. */
  readonly galoisElements: readonly number[]
  readonly keys: Promise<UploadedKeys>
}

/** An uploaded key set whose secret key is in a temporary store. */
interface ThrowAway {
  readonly id: string
  readonly fingerprint: string
}

/**
 * Key sets that a server may lose within an hour. After more the client uploads none: a server could
 * otherwise make it upload keys for every query.
 */
const MAX_LOST_AN_HOUR = 3
const HOUR_MILLISECONDS = 3_600_000

/** The key sets that a client has on one server. Models of the same parameters share them. */
export class KeySets {
  readonly #transport: Transport
  readonly #book: KeyBook
  readonly #isTemporary: boolean
  readonly #maxSeconds: number
  /** By the digest of their parameters. */
  readonly #ready = new Map<string, readonly ReadyKeys[]>()
  /** Uploads that `release` ends and deletes. */
  readonly #throwAway = new Set<ThrowAway>()
  readonly #uploads = new Set<Promise<unknown>>()
  /** Times at which the server had lost a key set. */
  #lost: readonly number[] = []
  #released = new AbortController()

  /** @param maxSeconds to find or upload a key set */
  constructor(transport: Transport, store: KeyStore, maxSeconds = DEFAULT_KEYS_SECONDS) {
    this.#maxSeconds = maxSeconds
    this.#transport = transport
    this.#book = new KeyBook(store)
    this.#isTemporary = store.temporary === true
  }

  /**
   * Returns a key set on the server that fits the model: an existing one, also of another model with the same
   * parameters, or a new one. Concurrent callers share one upload, which the first caller's signal ends.
   */
  async ensure(model: LocalModel, options: CallOptions): Promise<UploadedKeys> {
    const { digest } = model.parameters
    const fingerprint = await model.keyFingerprint()
    const sets = this.#ready.get(digest)?.filter((set) => set.fingerprint === fingerprint) ?? []
    const present = sets.find(({ galoisElements }) => covers(galoisElements, model))
    if (present) return until(present.keys, options.signal)
    const keys = this.#findOrUpload(model, options)
    const added = { fingerprint, galoisElements: model.manifest.galoisElements, keys }
    this.#ready.set(digest, [...sets, added])
    keys.catch(() => this.#drop(model, (set) => set === added))
    return keys
  }

  /**
   * Forgets the model's key set, which the server says it does not have any more, so that `ensure` asks
   * again.
   */
  forget(model: LocalModel): void {
    this.#drop(model, ({ galoisElements }) => covers(galoisElements, model))
    this.#lost = [...this.#recentlyLost(), performance.now()]
  }

  /** Forgets all key sets of these parameters. */
  forgetAll(parametersDigest: string): void {
    this.#ready.delete(parametersDigest)
  }

  /**
   * For a temporary store, ends uploads under way and deletes the key sets that this connection uploaded.
   * Each deletion is one short try; a key set that it misses expires on the server.
   */
  async release(): Promise<void> {
    if (!this.#isTemporary) return
    this.#released.abort()
    this.#released = new AbortController()
    this.#ready.clear()
    await Promise.allSettled(this.#uploads)
    const deleted = [...this.#throwAway].map(async ({ id, fingerprint }) => {
      await this.#transport.tell(deletion(id))
      await this.#book.forget(this.#on(fingerprint), id)
    })
    this.#throwAway.clear()
    await Promise.allSettled(deleted)
  }

  #drop({ parameters }: LocalModel, gone: (set: ReadyKeys) => boolean): void {
    const sets = this.#ready.get(parameters.digest) ?? []
    this.#ready.set(
      parameters.digest,
      sets.filter((set) => !gone(set)),
    )
  }

  #findOrUpload(model: LocalModel, options: CallOptions): Promise<UploadedKeys> {
    const time = new TimeLimit('the exchange of keys', this.#maxSeconds, this.#transport.base.origin)
    return time.within(options.signal, async (signal) => {
      const limited = { ...options, signal }
      return (await this.#find(model, limited)) ?? (await this.#upload(model, limited))
    })
  }

  async #find(model: LocalModel, { signal }: CallOptions): Promise<UploadedKeys | undefined> {
    const fingerprint = await model.keyFingerprint()
    for (const { id, galoisElements } of await this.#book.keySets(this.#on(fingerprint))) {
      if (!covers(galoisElements, model)) continue
      const stored = await storedIfPresent(this.#transport, id, signal)
      if (stored?.complete && stored.parametersDigest === model.parameters.digest) {
        return { id, expires: stored.expires }
      }
      await this.#book.forget(this.#on(fingerprint), id)
    }
    return undefined
  }

  #recentlyLost(): readonly number[] {
    return this.#lost.filter((time) => performance.now() - time < HOUR_MILLISECONDS)
  }

  #upload(model: LocalModel, options: CallOptions): Promise<UploadedKeys> {
    if (this.#recentlyLost().length > MAX_LOST_AN_HOUR) throw lostTooOften()
    const upload = this.#uploadNow(model, options)
    this.#uploads.add(upload)
    const ended = (): boolean => this.#uploads.delete(upload)
    upload.then(ended, ended)
    return upload
  }

  async #uploadNow(model: LocalModel, options: CallOptions): Promise<UploadedKeys> {
    const bytesTotal = model.sizes.keys
    const startedAt = performance.now()
    const report = (bytesDone: number): void =>
      options.onProgress?.({
        stage: 'keys',
        round: 0,
        bytesDone,
        bytesTotal,
        secondsLeft: secondsLeft(startedAt, bytesDone, bytesTotal),
      })
    report(0)
    const galoisElements = [...model.manifest.galoisElements].sort((a, b) => a - b)
    const parametersDigest = model.parameters.digest
    const keySet = { parametersDigest, bytes: bytesTotal, galoisElements }
    // The fingerprint is read before the upload, because the connection may free the key during it.
    const fingerprint = await model.keyFingerprint()
    const keys = await uploadKeySet(this.#transport, keySet, model.keySet(), {
      signal: this.#signal(options),
      onSent: report,
      onWait: reportingWait(options, 'keys', bytesTotal),
    })
    const server = this.#transport.address
    await this.#noteUpload(fingerprint, { ...keys, galoisElements, parametersDigest, server })
    return keys
  }

  async #noteUpload(fingerprint: string, keySet: RememberedKeySet): Promise<void> {
    if (this.#isTemporary) this.#throwAway.add({ id: keySet.id, fingerprint })
    await this.#book.remember(this.#on(fingerprint), keySet)
  }

  /** The signal of an upload: the caller's, and for a temporary store also the end of the connection. */
  #signal({ signal }: CallOptions): AbortSignal | undefined {
    if (!this.#isTemporary) return signal
    const released = this.#released.signal
    return signal ? AbortSignal.any([signal, released]) : released
  }

  /** A secret key on this server: an id is valid on one server only. */
  #on(fingerprint: string): KeyOnServer {
    return { server: serverDigestOf(this.#transport.base.href), fingerprint }
  }
}

const lostTooOften = (): PolyVeilError =>
  new PolyVeilError(
    'KEYS_EXPIRED',
    `The server has lost this client's keys more than ${MAX_LOST_AN_HOUR} times within an hour; they are not ` +
      'uploaded again',
    {},
    { remedy: 'Ask who runs the server why it drops keys, or connect anew.' },
  )

const covers = (galoisElements: readonly number[], { manifest }: LocalModel): boolean => {
  const present = new Set(galoisElements)
  return manifest.galoisElements.every((element) => present.has(element))
}
