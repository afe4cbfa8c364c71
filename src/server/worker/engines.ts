import type { Engine } from '../../he-ops/engine.ts'
import { createEngine } from '../../he-ops/engine-for.ts'
import { EngineMemoryExceeded } from '../../he-ops/engine-memory-exceeded.ts'
import { type EngineName, engineNameFor } from '../../schedule/engine-name.ts'
import type { ServedCircuit } from './circuits.ts'
import type { WorkerSettings } from './messages.ts'

/** The engines of a worker, each made when a circuit first needs it. */
export class Engines {
  readonly #settings: Pick<WorkerSettings, 'threads' | 'engineBytes'>
  readonly #engines = new Map<EngineName, Promise<Engine>>()
  readonly #made = new Set<Engine>()

  constructor(settings: Pick<WorkerSettings, 'threads' | 'engineBytes'>) {
    this.#settings = settings
  }

  /** Bytes that all engines have taken. */
  get usedBytes(): number {
    return [...this.#made].reduce((sum, { usedBytes }) => sum + usedBytes, 0)
  }

  /** The engine for the parameters of a circuit. */
  for({ outline }: ServedCircuit): Promise<Engine> {
    const name = engineNameFor(outline.parameters)
    let engine = this.#engines.get(name)
    if (engine === undefined) {
      engine = this.#make(name)
      engine.catch(() => this.#engines.delete(name))
      this.#engines.set(name, engine)
    }
    return engine
  }

  /** Refuses a model that exceeds an engine's memory. @throws EngineMemoryExceeded */
  requireRoom(engine: Engine, served: ServedCircuit): void {
    if (served.outline.estimate.memoryBytes > engine.memoryLimit) throw this.tooLarge(served)
  }

  /** The error of a model that does not fit the engine's memory. */
  tooLarge({ outline }: ServedCircuit, cause?: EngineMemoryExceeded): EngineMemoryExceeded {
    const { memoryBytes } = outline.estimate
    const { engineBytes } = this.#settings
    const message =
      `Model ${outline.model} takes about ${megabytes(memoryBytes)} MB of engine memory for one client's keys and a ` +
      `run; this server gives its engine ${megabytes(engineBytes)} MB`
    return new EngineMemoryExceeded(message, memoryBytes, engineBytes, { cause })
  }

  async #make(name: EngineName): Promise<Engine> {
    const { threads, engineBytes: memoryBytes } = this.#settings
    const engine = await createEngine(name, { threads, memoryBytes })
    this.#made.add(engine)
    return engine
  }
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)
