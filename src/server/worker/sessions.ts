import { type CkksParameters, digitCount } from '../../circuit/parameters.ts'
import { backendFor } from '../../he-ops/execution/backend-for.ts'
import { openSealSession } from '../../he-ops/execution/seal-session.ts'
import type { Session } from '../../he-ops/execution/session.ts'
import { openSimdSession } from '../../he-ops/execution/simd-session.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import { loadKeySet } from '../../he-ops/seal/keys.ts'
import { loadSeal } from '../../he-ops/seal/runtime.ts'
import { SimdEngine } from '../../he-ops/simd/index.ts'
import type { StoredKeySet } from '../inference/engine.ts'
import { withKeySet } from '../stores/key-set-source.ts'
import type { LoadedCircuit } from './circuits.ts'
import type { WorkerSettings } from './messages.ts'

/** Sessions by key set and model. When they outgrow the budget, the least recently used are freed. */
export class Sessions {
  readonly #settings: WorkerSettings
  readonly #contexts = new Map<string, SealContext>()
  /** In the order of their last use. */
  readonly #sessions = new Map<string, Session>()
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
    const id = `${name} ${loaded.manifest.digest}`
    const session = this.#sessions.get(id) ?? (await this.#load(loaded, location))
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    return session
  }

  get count(): number {
    return this.#sessions.size
  }

  async #load({ circuit, manifest }: LoadedCircuit, location: StoredKeySet['location']): Promise<Session> {
    const { parameters } = circuit
    const { rotationSteps } = manifest
    const backend = backendFor(parameters)
    const residueBytes = backend === 'simd' ? 4 : 8
    this.#makeRoom(evaluationKeyBytes(parameters, rotationSteps.length, residueBytes))
    return withKeySet(location, async (source) => {
      if (backend === 'simd') return openSimdSession(await this.#simdEngine(), circuit, manifest, source)
      const context = await this.#context(parameters)
      const keys = await loadKeySet(context, source, rotationSteps)
      try {
        return openSealSession(context, keys, circuit, manifest)
      } catch (cause) {
        keys.delete()
        throw cause
      }
    })
  }

  /** Before the new session is loaded, not after: memory never shrinks, so its peak is what counts. */
  #makeRoom(bytes: number): void {
    let used = [...this.#sessions.values()].reduce((sum, session) => sum + session.bytes, 0)
    for (const [id, session] of this.#sessions) {
      if (used + bytes <= this.#settings.keyBytes) return
      this.#sessions.delete(id)
      session.free()
      used -= session.bytes
    }
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

/** Memory that loaded keys will take: a pair of polynomials for the public key, and one per digit for all others. */
export function evaluationKeyBytes(
  parameters: CkksParameters,
  galoisKeys: number,
  residueBytes: number,
): number {
  const { ring, primes, specialPrimes } = parameters
  const pairBytes = 2 * (primes.length + specialPrimes.length) * ring * residueBytes
  return (1 + (1 + galoisKeys) * digitCount(parameters)) * pairBytes
}
