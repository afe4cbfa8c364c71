import { hexToBytes } from '@noble/hashes/utils.js'
import type { Engine, EngineKeys, Session } from '../../he-ops/engine.ts'
import { createEngine } from '../../he-ops/engine-for.ts'
import { EngineMemoryExceeded } from '../../he-ops/engine-memory-exceeded.ts'
import { ExecutionStopped } from '../../he-ops/executor.ts'
import { type FloodingKeys, floodingKeysOf } from '../../he-ops/flooding.ts'
import { type EngineName, engineNameFor } from '../../schedule/engine-name.ts'
import { type ByteSource, FRAME_DIGEST_BYTES, readExactly } from '../../wire/index.ts'
import type { StoredKeySet } from '../inference/engine.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'
import { withCheckedKeySet } from '../stores/key-set-source.ts'
import type { ServedCircuit } from './circuits.ts'
import type { WorkerSettings } from './messages.ts'

/** One client's keys in memory, with the sessions of the models that they serve. */
interface Client {
  readonly sessions: Map<string, Session>
  /** Inferences that run: as long as there are any, nothing of it is freed. */
  users: number
  /** What its sessions share; a key set has one set of parameters, so it has one engine. */
  keys?: EngineKeys
}

interface Acquired {
  readonly client: Client
  readonly session: Session
}

/**
 * What has been loaded, by key set. When it outgrows the budget, or the engine its memory, the least recently
 * used key sets are freed; where all others are in use, whoever needs the room waits until one is not.
 */
export class Sessions {
  readonly #settings: WorkerSettings
  /** Each made when a circuit first needs it. */
  readonly #engines = new Map<EngineName, Promise<Engine>>()
  /** By the key set's name, in the order of their last use. */
  readonly #clients = new Map<string, Client>()
  readonly #onOpened: (model: string, session: Session) => void
  /** Loading goes one by one: room that one has made is not another's. */
  #loading: Promise<unknown> = Promise.resolve()
  #released = Promise.withResolvers<void>()

  /** @param onOpened told of each session that is opened */
  constructor(settings: WorkerSettings, onOpened: (model: string, session: Session) => void = () => {}) {
    this.#settings = settings
    this.#onOpened = onOpened
  }

  /**
   * Uses the session of a key set and a model, which is loaded if need be. Several can be in use at once.
   *
   * @param isCancelled asked after waiting; true ends it with `ExecutionStopped`
   * @throws KEYS_EXPIRED, KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED; ExecutionStopped; what `body`
   *   throws
   * @throws EngineMemoryExceeded when the model does not fit the engine's memory even with no other client's
   *   keys in it
   */
  async use<T>(
    served: ServedCircuit,
    keys: StoredKeySet,
    isCancelled: () => boolean,
    body: (session: Session) => Promise<T>,
  ): Promise<T> {
    const { client, session } = await this.#acquire(served, keys, isCancelled)
    try {
      return await body(session)
    } finally {
      client.users--
      this.#released.resolve()
      this.#released = Promise.withResolvers()
    }
  }

  /** A session, with its client counted as one that is in use. Whoever waits to load one is none. */
  async #acquire(served: ServedCircuit, keys: StoredKeySet, isCancelled: () => boolean): Promise<Acquired> {
    const { digest } = served.manifest
    return (
      this.#loaded(keys.name, digest) ??
      (await this.#inTurn(
        async () =>
          // Whoever was in turn before may have wanted the same.
          this.#loaded(keys.name, digest) ?? (await this.#loadFor(served, keys, isCancelled)),
      ))
    )
  }

  #loaded(name: string, digest: string): Acquired | undefined {
    const session = this.#clients.get(name)?.sessions.get(digest)
    if (session === undefined) return undefined
    const client = this.#touch(name)
    client.users++
    return { client, session }
  }

  async #loadFor(
    served: ServedCircuit,
    { name, location }: StoredKeySet,
    isCancelled: () => boolean,
  ): Promise<Acquired> {
    const engine = await this.#engineFor(served)
    this.#requireRoom(engine, served)
    const client = this.#touch(name)
    const { parameters } = served.outline
    try {
      await this.#makeRoom(
        client,
        engine.keyBytes(parameters, served.manifest.rotationSteps.length),
        isCancelled,
      )
      client.keys ??= engine.newKeys(parameters)
      const session = await this.#loadWithRoom(engine, served, client, location, isCancelled)
      client.sessions.set(served.manifest.digest, session)
      client.users++
      this.#onOpened(served.outline.model, session)
      return { client, session }
    } catch (error) {
      // A client whose keys failed to load is not cached.
      if (client.sessions.size === 0) this.#evict(name)
      throw error
    }
  }

  /** A client, as the one that was used last. */
  #touch(name: string): Client {
    const client = this.#clients.get(name) ?? { sessions: new Map(), users: 0 }
    this.#clients.delete(name)
    this.#clients.set(name, client)
    return client
  }

  #inTurn<T>(load: () => Promise<T>): Promise<T> {
    const result = this.#loading.then(load)
    this.#loading = result.catch(() => {})
    return result
  }

  get count(): number {
    return [...this.#clients.values()].reduce((sum, { sessions }) => sum + sessions.size, 0)
  }

  /** Frees others' keys one by one while the engine's memory does not suffice. */
  async #loadWithRoom(
    engine: Engine,
    served: ServedCircuit,
    client: Client,
    location: KeySetLocation,
    isCancelled: () => boolean,
  ): Promise<Session> {
    for (;;) {
      try {
        return await withCheckedKeySet(location, (source) => this.#load(engine, served, client, source))
      } catch (error) {
        if (!(error instanceof EngineMemoryExceeded)) throw error
        if (!(await this.#freeAnother(client, isCancelled))) throw this.#tooLarge(served, error)
      }
    }
  }

  /**
   * Frees the keys, with their sessions, that have not been used for longest; where all are in use, waits
   * until some are not.
   *
   * @returns false when there are none but the client's
   * @throws ExecutionStopped
   */
  async #freeAnother(client: Client, isCancelled: () => boolean): Promise<boolean> {
    for (;;) {
      const others = [...this.#clients].filter(([, other]) => other !== client)
      if (others.length === 0) return false
      const idle = others.find(([, { users }]) => users === 0)
      if (idle) {
        this.#evict(idle[0])
        return true
      }
      await this.#released.promise
      if (isCancelled()) throw new ExecutionStopped(0)
    }
  }

  /** Before anything is read, and before keys of other clients are freed for it. */
  #requireRoom(engine: Engine, served: ServedCircuit): void {
    if (served.outline.estimate.memoryBytes > engine.memoryLimit) throw this.#tooLarge(served)
  }

  #tooLarge({ outline }: ServedCircuit, cause?: EngineMemoryExceeded): EngineMemoryExceeded {
    const { memoryBytes } = outline.estimate
    const { engineBytes } = this.#settings
    const message =
      `Model ${outline.model} takes about ${megabytes(memoryBytes)} MB of engine memory for one client's keys and a ` +
      `run; this server gives its engine ${megabytes(engineBytes)} MB`
    return new EngineMemoryExceeded(message, memoryBytes, engineBytes, { cause })
  }

  async #load(engine: Engine, served: ServedCircuit, client: Client, source: ByteSource): Promise<Session> {
    return engine.open({
      circuit: await served.read(),
      manifest: served.manifest,
      keys: client.keys!,
      source,
      floodingKeys: await this.#floodingKeys(served, source),
      identity: served,
    })
  }

  /** @param source of a key set that has been checked */
  async #floodingKeys({ digest }: ServedCircuit, source: ByteSource): Promise<FloodingKeys> {
    const keySetDigest = await readExactly(source, source.size - FRAME_DIGEST_BYTES, FRAME_DIGEST_BYTES)
    return floodingKeysOf(this.#settings.floodingKey, hexToBytes(digest), keySetDigest)
  }

  /** Before anything is loaded, not after: memory never shrinks, so its peak is what counts. */
  async #makeRoom(client: Client, bytes: number, isCancelled: () => boolean): Promise<void> {
    const used = (): number => [...this.#clients.values()].reduce((sum, each) => sum + bytesOf(each), 0)
    while (used() + bytes > this.#settings.keyBytes && (await this.#freeAnother(client, isCancelled)));
  }

  #evict(name: string): void {
    const client = this.#clients.get(name)
    this.#clients.delete(name)
    for (const session of client?.sessions.values() ?? []) session.free()
    client?.keys?.free()
  }

  #engineFor({ outline }: ServedCircuit): Promise<Engine> {
    const name = engineNameFor(outline.parameters)
    const { threads, engineBytes: memoryBytes } = this.#settings
    let engine = this.#engines.get(name)
    if (engine === undefined) {
      engine = createEngine(name, { threads, memoryBytes })
      engine.catch(() => this.#engines.delete(name))
      this.#engines.set(name, engine)
    }
    return engine
  }
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)

const bytesOf = ({ sessions, keys }: Client): number =>
  [...sessions.values()].reduce((sum, { bytes }) => sum + bytes, keys?.bytes ?? 0)
