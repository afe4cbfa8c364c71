import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { mostKeyMemory } from '../../schedule/key-memory.ts'
import type { Engine, EngineKeys, OpenRequest, Session } from '../engine.ts'
import { SimdEngine, type SimdEngineOptions, SimdKeySet } from '../simd/index.ts'
import { openSimdSession } from './simd-session.ts'

/** The simd engine: many threads, hybrid key switching, refresh rounds. */
export class FramedSimdEngine implements Engine {
  readonly name = 'simd'
  readonly memoryLimit: number
  readonly #engine: SimdEngine

  private constructor(engine: SimdEngine, memoryLimit: number) {
    this.#engine = engine
    this.memoryLimit = memoryLimit
  }

  /** Creates memory and threads; the threads live until `close`. */
  static async create(options: SimdEngineOptions): Promise<FramedSimdEngine> {
    return new FramedSimdEngine(await SimdEngine.create(options), options.memoryBytes ?? Infinity)
  }

  get usedBytes(): number {
    return this.#engine.memory.used
  }

  keyBytes(parameters: CkksParameters, galoisKeys: number): number {
    return mostKeyMemory(parameters, galoisKeys)
  }

  newKeys(parameters: CkksParameters): SimdKeySet {
    return this.#engine.newKeySet(parameters)
  }

  open(request: OpenRequest): Promise<Session> {
    return openSimdSession(this.#engine, { ...request, keys: own(request.keys) })
  }

  forget(identity: object): void {
    this.#engine.forget(identity)
  }

  clear(): Promise<void> {
    return this.#engine.clear()
  }

  close(): Promise<void> {
    return this.#engine.close()
  }
}

function own(keys: EngineKeys): SimdKeySet {
  if (keys instanceof SimdKeySet) return keys
  throw new PolyVeilError('INTERNAL', 'Keys of another engine are given to the simd engine')
}
