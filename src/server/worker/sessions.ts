import type { CkksParameters } from '../../circuit/parameters.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import { createSealEvaluator, type SealEvaluator } from '../../he-ops/seal/evaluator.ts'
import { type EvaluationKeys, loadKeySet } from '../../he-ops/seal/keys.ts'
import { loadSeal } from '../../he-ops/seal/runtime.ts'
import type { StoredKeySet } from '../inference/engine.ts'
import { withKeySet } from '../stores/key-set-source.ts'
import type { LoadedCircuit } from './circuits.ts'

/** All that one client's inferences on one model need, on node-seal's heap. */
export interface Session {
  readonly context: SealContext
  readonly keys: EvaluationKeys
  readonly evaluator: SealEvaluator
}

// Plaintexts that an evaluator keeps from one inference to the next; counted with the keys.
const CONSTANT_BYTES = 128 * 2 ** 20

/** Sessions by key set and model. When they outgrow the budget, the least recently used are freed. */
export class Sessions {
  readonly #budget: number
  readonly #contexts = new Map<string, SealContext>()
  /** In the order of their last use. */
  readonly #sessions = new Map<string, Session>()

  constructor(budget: number) {
    this.#budget = budget
  }

  /**
   * The session of a key set and a model. It stays valid until the next call.
   *
   * @throws KEYS_EXPIRED, KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED
   */
  async open({ circuit, manifest }: LoadedCircuit, { name, location }: StoredKeySet): Promise<Session> {
    const id = `${name} ${manifest.digest}`
    const { rotationSteps } = manifest
    const known = this.#sessions.get(id)
    const session = known ?? (await this.#load(circuit, rotationSteps, location))
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    return session
  }

  get count(): number {
    return this.#sessions.size
  }

  async #load(
    circuit: LoadedCircuit['circuit'],
    rotationSteps: readonly number[],
    location: StoredKeySet['location'],
  ): Promise<Session> {
    this.#makeRoom(evaluationKeyBytes(circuit.parameters, rotationSteps.length) + CONSTANT_BYTES)
    const context = await this.#context(circuit.parameters)
    const keys = await withKeySet(location, (source) => loadKeySet(context, source, rotationSteps))
    try {
      const evaluator = createSealEvaluator(context, keys, circuit, { cacheBytes: CONSTANT_BYTES })
      return { context, keys, evaluator }
    } catch (cause) {
      keys.delete()
      throw cause
    }
  }

  /** Before the new session is loaded, not after: the heap never shrinks, so its peak is what counts. */
  #makeRoom(bytes: number): void {
    let used = [...this.#sessions.values()].reduce((sum, { keys }) => sum + keys.bytes + CONSTANT_BYTES, 0)
    for (const [id, { keys, evaluator }] of this.#sessions) {
      if (used + bytes <= this.#budget) return
      this.#sessions.delete(id)
      evaluator.delete()
      used -= keys.bytes + CONSTANT_BYTES
      keys.delete()
    }
  }

  async #context(parameters: CkksParameters): Promise<SealContext> {
    const known = this.#contexts.get(parameters.digest)
    if (known) return known
    const context = createSealContext(await loadSeal(), parameters)
    this.#contexts.set(parameters.digest, context)
    return context
  }
}

/** Heap that loaded keys will take: a pair of polynomials for the public key, and one per digit for all others. */
export function evaluationKeyBytes(parameters: CkksParameters, galoisKeys: number): number {
  const { ring, primes, specialPrimes } = parameters
  const pairBytes = 2 * (primes.length + specialPrimes.length) * ring * 8
  return (1 + (1 + galoisKeys) * primes.length) * pairBytes
}
