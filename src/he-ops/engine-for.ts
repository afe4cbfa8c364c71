import type { EngineName } from '../schedule/engine-name.ts'
import type { Engine } from './engine.ts'
import { SealEngine } from './engines/seal.ts'
import { FramedSimdEngine } from './engines/simd.ts'

export interface EngineOptions {
  /** Threads that compute one inference together; the seal engine always uses one. */
  readonly threads: number
  /** Most bytes of the simd engine's memory; by default as many as the system gives. */
  readonly memoryBytes?: number
}

/** Creates the engine of a name, which `engineNameFor` chooses by a circuit's parameters. */
export const createEngine = (name: EngineName, options: EngineOptions): Promise<Engine> =>
  name === 'simd' ? FramedSimdEngine.create(options) : SealEngine.create()
