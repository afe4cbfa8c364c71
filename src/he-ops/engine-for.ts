import type { EngineName } from '../schedule/engine-name.ts'
import type { Engine } from './engine.ts'
import { SealEngine } from './engines/seal.ts'
import { FramedSimdEngine } from './engines/simd.ts'

export interface EngineOptions {
  /** Threads that work at one inference; the seal engine takes one whatever is said. */
  readonly threads: number
  /** Most bytes of the simd engine's memory; by default what its addresses reach. */
  readonly memoryBytes?: number
}

/** Makes the engine of a name, as `engineNameFor` gives it for a circuit's parameters. */
export const createEngine = (name: EngineName, options: EngineOptions): Promise<Engine> =>
  name === 'simd' ? FramedSimdEngine.create(options) : SealEngine.create()
