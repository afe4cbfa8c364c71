import type { CkksParameters } from '../../circuit/parameters.ts'
import { backendFor } from '../../he-ops/execution/backend-for.ts'
import { openSealSession } from '../../he-ops/execution/seal-session.ts'
import type { Session } from '../../he-ops/execution/session.ts'
import { openSimdSession } from '../../he-ops/execution/simd-session.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import { heapBytes, loadKeySet } from '../../he-ops/seal/keys.ts'
import { loadSeal } from '../../he-ops/seal/runtime.ts'
import {
  KernelMemoryExceeded,
  SimdEngine,
  type SimdKeySet,
  switchingKeyBytes,
} from '../../he-ops/simd/index.ts'
import type { ByteSource } from '../../wire/index.ts'
import type { StoredKeySet } from '../inference/engine.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'
import { withCheckedKeySet } from '../stores/key-set-source.ts'
import type { ServedCircuit } from './circuits.ts'
import type { WorkerSettings } from './messages.ts'

/** One client's keys in memory, with the sessions of the models that they serve. */
interface Client {
  readonly sessions: Map<string, Session>
  /** Keys of the simd engine, which its sessions share. */
  simdKeys?: SimdKeySet
}

/**
 * What has been loaded, by key set. When it outgrows the budget, or the engine its memory, the least recently used key sets
 * are freed.
 */
export class Sessions {
  readonly #settings: WorkerSettings
  readonly #contexts = new Map<string, SealContext>()
  /** By the key set's name, in the order of their last use. */
  readonly #clients = new Map<string, Client>()
  readonly #onOpened: (model: string, session: Session) => void
  #engine: Promise<SimdEngine> | undefined

  /** @param onOpened told of each session that is opened */
  constructor(settings: WorkerSettings, onOpened: (model: string, session: Session) => void = () => {}) {
    this.#settings = settings
    this.#onOpened = onOpened
  }

  /**
   * The session of a key set and a model. It stays valid until the next call.
   *
   * @throws KEYS_EXPIRED, KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED
   * @throws KernelMemoryExceeded when the model does not fit the engine's memory even with no other client's keys in it
   */
  async open(served: ServedCircuit, { name, location }: StoredKeySet): Promise<Session> {
    const client = this.#clients.get(name) ?? { sessions: new Map() }
    this.#clients.delete(name)
    this.#clients.set(name, client)
    const { digest } = served.manifest
    const known = client.sessions.get(digest)
    if (known) return known
    this.#makeRoom(client, await this.#expectedBytes(served))
    const session = await this.#loadWithRoom(served, client, name, location)
    client.sessions.set(digest, session)
    this.#onOpened(served.outline.model, session)
    return session
  }

  get count(): number {
    return [...this.#clients.values()].reduce((sum, { sessions }) => sum + sessions.size, 0)
  }

  /** Frees others' keys one by one while the engine's memory does not suffice, and the client's own when that did not help. */
  async #loadWithRoom(
    served: ServedCircuit,
    client: Client,
    name: string,
    location: KeySetLocation,
  ): Promise<Session> {
    for (;;) {
      try {
        return await withCheckedKeySet(location, (source) => this.#load(served, client, source))
      } catch (error) {
        const other = this.#leastRecentlyUsed(name)
        if (error instanceof KernelMemoryExceeded && other !== undefined) {
          this.#evict(other)
          continue
        }
        if (client.sessions.size === 0) this.#evict(name)
        throw error instanceof KernelMemoryExceeded ? this.#tooLarge(served, error) : error
      }
    }
  }

  #tooLarge({ outline }: ServedCircuit, cause: KernelMemoryExceeded): KernelMemoryExceeded {
    const { memoryBytes } = outline.estimate
    const { engineBytes } = this.#settings
    const message =
      `Model ${outline.model} takes about ${megabytes(memoryBytes)} MB of engine memory for one client's keys and a ` +
      `run; this server gives its engine ${megabytes(engineBytes)} MB`
    return new KernelMemoryExceeded(message, memoryBytes, engineBytes, { cause })
  }

  async #load(served: ServedCircuit, client: Client, source: ByteSource): Promise<Session> {
    const { manifest } = served
    const { parameters } = served.outline
    if (backendFor(parameters) === 'simd') {
      const engine = await this.#simdEngine()
      client.simdKeys ??= engine.newKeySet(parameters)
      return openSimdSession(engine, await served.read(), manifest, client.simdKeys, source, served)
    }
    const context = await this.#context(parameters)
    const keys = await loadKeySet(context, source, manifest.rotationSteps)
    try {
      return openSealSession(context, keys, await served.read(), manifest)
    } catch (cause) {
      keys.delete()
      throw cause
    }
  }

  /** Before anything is loaded, not after: memory never shrinks, so its peak is what counts. */
  #makeRoom(client: Client, bytes: number): void {
    let used = [...this.#clients.values()].reduce((sum, each) => sum + bytesOf(each), 0)
    for (const [name, other] of this.#clients) {
      if (used + bytes <= this.#settings.keyBytes) return
      if (other === client) continue
      used -= bytesOf(other)
      this.#evict(name)
    }
  }

  /** The name of the key set, other than `name`, that has not been used for longest. */
  #leastRecentlyUsed(name: string): string | undefined {
    return [...this.#clients.keys()].find((other) => other !== name)
  }

  #evict(name: string): void {
    const client = this.#clients.get(name)
    this.#clients.delete(name)
    for (const session of client?.sessions.values() ?? []) session.free()
    client?.simdKeys?.free()
  }

  /** Memory that a session's keys will take, the relinearisation key included. */
  async #expectedBytes({ outline, manifest }: ServedCircuit): Promise<number> {
    const { parameters } = outline
    const rotations = manifest.rotationSteps.length
    return backendFor(parameters) === 'simd'
      ? (1 + rotations) * switchingKeyBytes(parameters)
      : heapBytes(await this.#context(parameters), rotations)
  }

  #simdEngine(): Promise<SimdEngine> {
    const { threads, engineBytes } = this.#settings
    this.#engine ??= SimdEngine.create({ threads, memoryBytes: engineBytes })
    return this.#engine
  }

  async #context(parameters: CkksParameters): Promise<SealContext> {
    const known = this.#contexts.get(parameters.digest)
    if (known) return known
    const context = createSealContext(await loadSeal(), parameters)
    this.#contexts.set(parameters.digest, context)
    return context
  }
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)

const bytesOf = ({ sessions, simdKeys }: Client): number =>
  [...sessions.values()].reduce((sum, { bytes }) => sum + bytes, simdKeys?.bytes ?? 0)
