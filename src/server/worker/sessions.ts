import type { CkksParameters } from '../../circuit/parameters.ts'
import { backendFor } from '../../he-ops/execution/backend-for.ts'
import { openSealSession } from '../../he-ops/execution/seal-session.ts'
import type { Session } from '../../he-ops/execution/session.ts'
import { openSimdSession } from '../../he-ops/execution/simd-session.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import { heapBytes, loadKeySet } from '../../he-ops/seal/keys.ts'
import { loadSeal } from '../../he-ops/seal/runtime.ts'
import { SimdEngine, type SimdKeySet, switchingKeyBytes } from '../../he-ops/simd/index.ts'
import type { ByteSource } from '../../wire/index.ts'
import type { StoredKeySet } from '../inference/engine.ts'
import { withKeySet } from '../stores/key-set-source.ts'
import type { LoadedCircuit } from './circuits.ts'
import type { WorkerSettings } from './messages.ts'

/** One client's keys in memory, with the sessions of the models that they serve. */
interface Client {
  readonly sessions: Map<string, Session>
  /** Keys of the simd engine, which its sessions share. */
  simdKeys?: SimdKeySet
}

/** What has been loaded, by key set. When it outgrows the budget, the least recently used key sets are freed. */
export class Sessions {
  readonly #settings: WorkerSettings
  readonly #contexts = new Map<string, SealContext>()
  /** By the key set's name, in the order of their last use. */
  readonly #clients = new Map<string, Client>()
  #engine: Promise<SimdEngine> | undefined

  constructor(settings: WorkerSettings) {
    this.#settings = settings
  }

  /**
   * The session of a key set and a model. It stays valid until the next call.
   *
   * @throws KEYS_EXPIRED, KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED, TOO_LARGE
   */
  async open(loaded: LoadedCircuit, { name, location }: StoredKeySet): Promise<Session> {
    const client = this.#clients.get(name) ?? { sessions: new Map() }
    this.#clients.delete(name)
    this.#clients.set(name, client)
    const { digest } = loaded.manifest
    const known = client.sessions.get(digest)
    if (known) return known
    this.#makeRoom(client, await this.#expectedBytes(loaded))
    const session = await withKeySet(location, (source) => this.#load(loaded, client, source))
    client.sessions.set(digest, session)
    return session
  }

  get count(): number {
    return [...this.#clients.values()].reduce((sum, { sessions }) => sum + sessions.size, 0)
  }

  async #load({ circuit, manifest }: LoadedCircuit, client: Client, source: ByteSource): Promise<Session> {
    const { parameters } = circuit
    if (backendFor(parameters) === 'simd') {
      const engine = await this.#simdEngine()
      client.simdKeys ??= engine.newKeySet(parameters)
      return openSimdSession(engine, circuit, manifest, client.simdKeys, source)
    }
    const context = await this.#context(parameters)
    const keys = await loadKeySet(context, source, manifest.rotationSteps)
    try {
      return openSealSession(context, keys, circuit, manifest)
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
      this.#clients.delete(name)
      for (const session of other.sessions.values()) session.free()
      other.simdKeys?.free()
    }
  }

  /** Memory that a session's keys will take, the relinearisation key included. */
  async #expectedBytes({ circuit, manifest }: LoadedCircuit): Promise<number> {
    const { parameters } = circuit
    const rotations = manifest.rotationSteps.length
    return backendFor(parameters) === 'simd'
      ? (1 + rotations) * switchingKeyBytes(parameters)
      : heapBytes(await this.#context(parameters), rotations)
  }

  #simdEngine(): Promise<SimdEngine> {
    this.#engine ??= SimdEngine.create({ threads: this.#settings.threads })
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

const bytesOf = ({ sessions, simdKeys }: Client): number =>
  [...sessions.values()].reduce((sum, { bytes }) => sum + bytes, simdKeys?.bytes ?? 0)
