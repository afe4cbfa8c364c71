import type { EngineMemory } from '../../he-ops/engine.ts'
import type { ServedModel } from '../models/catalogue.ts'
import type { SessionRoom } from './lane-room.ts'

/** The weight of the last measurement in the mean. */
const LAST_WEIGHT = 0.3

/**
 * Seconds and memory that inferences of each circuit take: as the compiler has estimated them, until they
 * have been measured.
 */
export class PlannedWork {
  readonly #threads: number
  readonly #seconds = new Map<string, number>()
  readonly #memory = new Map<string, EngineMemory>()

  /** @param threads that compute an inference together */
  constructor(threads: number) {
    this.#threads = threads
  }

  /** Seconds that an inference keeps a worker busy, without waits for its client. */
  secondsOf({ digest, manifest }: ServedModel): number {
    return this.#seconds.get(digest) ?? manifest.estimate.seconds / this.#threads
  }

  /** @param seconds that an inference has kept a worker busy */
  measured({ digest }: ServedModel, seconds: number): void {
    const before = this.#seconds.get(digest) ?? seconds
    this.#seconds.set(digest, before + LAST_WEIGHT * (seconds - before))
  }

  /** What is not measured counts as the program's memory, which nothing shares. */
  roomOf({ digest, memoryBytes }: ServedModel, keySet: string): SessionRoom {
    const memory = this.#memory.get(digest) ?? { keys: 0, constants: 0, program: memoryBytes }
    return { keySet, circuit: digest, ...memory }
  }

  /** @param digest of a circuit that a worker has opened */
  opened(digest: string, memory: EngineMemory): void {
    this.#memory.set(digest, memory)
  }
}
