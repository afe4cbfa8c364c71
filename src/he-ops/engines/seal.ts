import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { Engine, EngineKeys, OpenRequest, Session } from '../engine.ts'
import { createSealContext, type SealContext } from '../seal/context.ts'
import { heapBytes, loadKeySet } from '../seal/keys/index.ts'
import { loadSeal, type Seal } from '../seal/runtime.ts'
import { openSealSession } from './seal-session.ts'

/** Keys of the seal engine are empty: each session loads keys of its own. */
const NO_SHARED_KEYS: EngineKeys = Object.freeze({ bytes: 0, free() {} })

/**
 * The seal engine: node-seal on the calling thread. Contexts are made once for each set of parameters and
 * kept.
 */
export class SealEngine implements Engine {
  readonly name = 'seal'
  readonly memoryLimit = Number.POSITIVE_INFINITY
  readonly usedBytes = 0
  readonly #seal: Seal
  readonly #contexts = new Map<string, SealContext>()

  private constructor(seal: Seal) {
    this.#seal = seal
  }

  static async create(): Promise<SealEngine> {
    return new SealEngine(await loadSeal())
  }

  keyBytes(parameters: CkksParameters, galoisKeys: number): number {
    return heapBytes(parameters, galoisKeys)
  }

  newKeys(): EngineKeys {
    return NO_SHARED_KEYS
  }

  async open({ circuit, manifest, source, floodingKeys }: OpenRequest): Promise<Session> {
    const context = this.#context(circuit.parameters)
    const keys = await loadKeySet(context, source, manifest.galoisElements)
    try {
      return openSealSession(context, keys, circuit, manifest, floodingKeys)
    } catch (cause) {
      keys.delete()
      throw cause
    }
  }

  /** Does nothing: sessions have no constants in common. */
  forget(): void {}

  clear(): Promise<void> {
    return this.close()
  }

  /** Contexts are made again when they are needed. */
  async close(): Promise<void> {
    for (const context of this.#contexts.values()) context.delete()
    this.#contexts.clear()
  }

  #context(parameters: CkksParameters): SealContext {
    let context = this.#contexts.get(parameters.digest)
    if (context === undefined) {
      context = createSealContext(this.#seal, parameters)
      this.#contexts.set(parameters.digest, context)
    }
    return context
  }
}
