import { hexToBytes } from '@noble/hashes/utils.js'
import { PolyVeilError } from '../../errors/index.ts'
import type { Engine, Session } from '../../he-ops/engine.ts'
import { EngineMemoryExceeded } from '../../he-ops/engine-memory-exceeded.ts'
import { type FloodingKeys, floodingKeysOf } from '../../he-ops/flooding.ts'
import { type StopSignal, Turns, waitFor } from '../../he-ops/turns.ts'
import { type ByteSource, FRAME_DIGEST_BYTES, readExactly } from '../../wire/index.ts'
import type { StoredKeySet } from '../inference/engine.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'
import { withCheckedKeySet } from '../stores/key-set-source.ts'
import type { ServedCircuit } from './circuits.ts'
import { Engines } from './engines.ts'
import { type Client, LoadedClients, type OnUnloaded } from './loaded-clients.ts'
import type { WorkerMemory, WorkerSettings } from './messages.ts'

interface Acquired {
  readonly client: Client
  readonly session: Session
}

/** What the cache tells of itself. */
export interface SessionCacheEvents {
  /** A session is ready to run. */
  onOpened(served: ServedCircuit, session: Session): void
  /** An inference has found its session ready to run. */
  onReused(): void
  /** The keys of a set, and its sessions, have been freed. */
  readonly onUnloaded: OnUnloaded
  /** The engines' memory has changed. */
  onMemory(memory: WorkerMemory): void
}

const NO_EVENTS: SessionCacheEvents = {
  onOpened: () => {},
  onReused: () => {},
  onUnloaded: () => {},
  onMemory: () => {},
}

/**
 * Cache of loaded keys and sessions, by key set. When it exceeds the budget, or the engine its memory, the
 * least recently used clients are evicted. If all other clients are in use, loading waits until one is not.
 */
export class SessionCache {
  readonly #settings: WorkerSettings
  readonly #engines: Engines
  readonly #clients: LoadedClients
  /** Circuits that an engine may have constants of, by their digests. */
  readonly #circuits = new Map<string, ServedCircuit>()
  readonly #events: SessionCacheEvents
  /** Loads run one after another, so that one does not take the room that another made. */
  readonly #loads = new Turns()
  #released = Promise.withResolvers<void>()

  constructor(settings: WorkerSettings, events: SessionCacheEvents = NO_EVENTS) {
    this.#settings = settings
    this.#events = events
    this.#engines = new Engines(settings)
    this.#clients = new LoadedClients((keySet, reason) => {
      events.onUnloaded(keySet, reason)
      events.onMemory(this.memory)
    })
  }

  /**
   * Runs `body` with the session of a key set and a model, which is loaded first if it is not cached. Several
   * sessions can be in use at once.
   *
   * @param stop ends waits, and loading, with `ExecutionStopped`
   * @throws KEYS_EXPIRED, KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED; ExecutionStopped; errors of
   *   `body`
   * @throws EngineMemoryExceeded when the model does not fit the engine's memory even with no other client's
   *   keys in it
   */
  async use<T>(
    served: ServedCircuit,
    keys: StoredKeySet,
    stop: StopSignal,
    body: (session: Session) => Promise<T>,
  ): Promise<T> {
    const { client, session } = await this.#acquire(served, keys, stop)
    try {
      return await body(session)
    } finally {
      client.users--
      this.#clients.evictDeleted(keys.name)
      this.#released.resolve()
      this.#released = Promise.withResolvers()
    }
  }

  /** A session, with its client counted as in use. A client that waits to be loaded does not count. */
  async #acquire(served: ServedCircuit, keys: StoredKeySet, stop: StopSignal): Promise<Acquired> {
    const { digest } = served
    return (
      this.#loaded(keys.name, digest) ??
      (await this.#loads.take(
        async () =>
          // The load before this one may have loaded the same session.
          this.#loaded(keys.name, digest) ?? (await this.#loadFor(served, keys, stop)),
        stop,
      ))
    )
  }

  #loaded(name: string, digest: string): Acquired | undefined {
    const session = this.#clients.session(name, digest)
    if (session === undefined) return undefined
    const client = this.#clients.touch(name)
    client.users++
    this.#events.onReused()
    return { client, session }
  }

  async #loadFor(
    served: ServedCircuit,
    { name, location }: StoredKeySet,
    stop: StopSignal,
  ): Promise<Acquired> {
    const engine = await this.#engines.for(served)
    // Before keys are read, and other clients are evicted.
    this.#engines.requireRoom(engine, served)
    this.#circuits.set(served.digest, served)
    const client = this.#clients.touch(name)
    const { parameters } = served.outline
    try {
      await this.#makeRoom(client, engine.keyBytes(parameters, served.manifest.galoisElements.length), stop)
      client.keys ??= engine.newKeys(parameters)
      const session = await this.#loadWithRoom(engine, served, client, location, stop)
      client.sessions.set(served.digest, session)
      client.users++
      this.#events.onOpened(served, session)
      this.#events.onMemory(this.memory)
      return { client, session }
    } catch (error) {
      // A client whose keys failed to load is not cached.
      if (client.sessions.size === 0) this.#clients.evict(name, 'failed')
      throw error
    }
  }

  /**
   * Frees the sessions and constants of all circuits but these, once they are not in use. A later call frees
   * those that are in use now.
   *
   * @param digests of circuit files
   */
  retain(digests: ReadonlySet<string>): void {
    const stale = [...this.#circuits.values()].filter(({ digest }) => !digests.has(digest))
    if (stale.length === 0) return
    // A load that is under way may use the constants of a circuit that has no session yet.
    this.#loads.take(() => Promise.all(stale.map((circuit) => this.#forget(circuit)))).catch(() => {})
  }

  async #forget(circuit: ServedCircuit): Promise<void> {
    if (!this.#clients.freeCircuit(circuit.digest)) return
    this.#circuits.delete(circuit.digest)
    const engine = await this.#engines.for(circuit)
    engine.forget(circuit)
    this.#events.onMemory(this.memory)
  }

  /** Frees the keys of a deleted set, once they are not in use. A key set of that name does not come back. */
  forgetKeys(name: string): void {
    this.#clients.markDeleted(name)
    this.#clients.evictDeleted(name)
  }

  /** Sessions of all clients. */
  get count(): number {
    return this.#clients.count
  }

  /** The engines' memory. */
  get memory(): WorkerMemory {
    return {
      ...this.#clients.memory,
      used: this.#engines.usedBytes,
      limit: this.#settings.engineBytes,
    }
  }

  /** Opens a session, and makes room step by step while the engine's memory does not suffice. */
  async #loadWithRoom(
    engine: Engine,
    served: ServedCircuit,
    client: Client,
    location: KeySetLocation,
    stop: StopSignal,
  ): Promise<Session> {
    for (let isClear = false; ; ) {
      try {
        return await withCheckedKeySet(location, (source) => this.#load(engine, served, client, source, stop))
      } catch (error) {
        if (!(error instanceof EngineMemoryExceeded)) throw damagedOr(error)
        if (await this.#freeAnother(client, stop)) continue
        if (client.users > 0) {
          await waitFor(this.#released.promise, stop)
          continue
        }
        if (isClear) throw this.#engines.tooLarge(served, error)
        await this.#clear(engine, served, client)
        isClear = true
      }
    }
  }

  /**
   * Evicts the least recently used client that is not in use. If all others are in use, waits until one is
   * not.
   *
   * @returns false when there is no other client
   * @throws ExecutionStopped
   */
  async #freeAnother(client: Client, stop: StopSignal): Promise<boolean> {
    while (!this.#clients.evictIdle(client)) {
      if (this.#clients.others(client).length === 0) return false
      await waitFor(this.#released.promise, stop)
    }
    return true
  }

  /**
   * Frees all that an engine has while no other client is loaded: constants of circuits without a session,
   * and the gaps that freed keys have left.
   */
  async #clear(engine: Engine, served: ServedCircuit, client: Client): Promise<void> {
    for (const session of client.sessions.values()) session.free()
    client.sessions.clear()
    client.keys?.free()
    this.#circuits.clear()
    await engine.clear()
    this.#circuits.set(served.digest, served)
    client.keys = engine.newKeys(served.outline.parameters)
  }

  async #load(
    engine: Engine,
    served: ServedCircuit,
    client: Client,
    source: ByteSource,
    { shouldStop }: StopSignal,
  ): Promise<Session> {
    return engine.open({
      circuit: await served.read(),
      manifest: served.manifest,
      keys: client.keys!,
      source,
      floodingKeys: await this.#floodingKeys(served, source),
      identity: served,
      shouldStop,
    })
  }

  /** @param source of a key set that has been checked */
  async #floodingKeys({ digest }: ServedCircuit, source: ByteSource): Promise<FloodingKeys> {
    const keySetDigest = await readExactly(source, source.size - FRAME_DIGEST_BYTES, FRAME_DIGEST_BYTES)
    return floodingKeysOf(this.#settings.floodingKey, hexToBytes(digest), keySetDigest)
  }

  /** Makes room before anything is loaded. WebAssembly memory never shrinks, so the peak counts. */
  async #makeRoom(client: Client, bytes: number, stop: StopSignal): Promise<void> {
    const { keyBytes } = this.#settings
    while (this.#clients.bytes + bytes > keyBytes && (await this.#freeAnother(client, stop)));
  }
}

/** Codes of bytes that are no good key set. Stored ones were good when they were uploaded. */
const BAD_KEYS: readonly string[] = ['TENSOR_MALFORMED', 'TOO_LARGE']

/** A stored key set that cannot be read is no fault of the query: its client uploads it again. */
function damagedOr(error: unknown): unknown {
  if (!(error instanceof PolyVeilError) || !BAD_KEYS.includes(error.code)) return error
  const message = 'The stored key set is damaged, as by a fault of the disk'
  return new PolyVeilError('KEYS_EXPIRED', message, { isDamaged: true }, { cause: error })
}
