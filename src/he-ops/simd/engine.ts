import { logitCoefficients } from '../../circuit/answer.ts'
import { floodingBound } from '../../circuit/flooding-bound.ts'
import { keyLevels } from '../../circuit/keys.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { Circuit } from '../../circuit/types.ts'
import { expansionRule } from '../../schedule/constant-storage.ts'
import type { FarStorage } from '../../schedule/far-storage.ts'
import { MOST_KERNEL_BYTES } from '../../schedule/limits.ts'
import { engineMemory } from '../../schedule/memory.ts'
import { type ByteSource, openKeySet } from '../../wire/index.ts'
import { EngineMemoryExceeded } from '../engine-memory-exceeded.ts'
import { createKernelMemory, instantiateKernels, type Kernels } from '../kernels/kernels.ts'
import { type CircuitProgram, compileCircuit, egressLevels } from './circuit-program.ts'
import { ConstantStore } from './constants/constant-store.ts'
import { createSimdContext, type SimdContext } from './context.ts'
import type { EgressOptions } from './egress.ts'
import { inverseElement, SimdKeySet } from './keys/key-set.ts'
import { OutputKeys } from './keys/output-key.ts'
import { Heap } from './memory/heap.ts'
import { CircuitSession, type SimdSession } from './session.ts'
import { ThreadPool } from './threads/thread-pool.ts'
import { PairLoader } from './values/pair-loader.ts'
import { SeedExpander } from './values/seeds.ts'

export interface SimdEngineOptions {
  /** Threads that compute one inference together, the calling one included. */
  readonly threads: number
  /** Most bytes of kernel memory and far memory together; without it as many as the system gives. */
  readonly memoryBytes?: number
  /**
   * Bytes of kernel memory that a circuit is given; what exceeds them is kept in far memory where it can. By
   * default nearly all that kernels reach.
   */
  readonly kernelBytes?: number
}

/**
 * Executes circuits in one kernel memory. All threads compute one inference together. Contexts and encoded
 * constants are made once and stay until `clear`; the caller frees sessions.
 */
export class SimdEngine {
  readonly #kernels: Kernels
  readonly #heap: Heap
  readonly #pool: ThreadPool
  readonly #kernelBytes: number | undefined
  readonly #contexts = new Map<string, SimdContext>()
  #constants = new WeakMap<object, ConstantStore>()
  /** Runs are sequential, because there is one memory and one thread pool. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor(kernels: Kernels, heap: Heap, pool: ThreadPool, kernelBytes: number | undefined) {
    this.#kernels = kernels
    this.#heap = heap
    this.#pool = pool
    this.#kernelBytes = kernelBytes
  }

  /** Creates the memory and the thread pool, which lives until `close`. */
  static async create({
    threads,
    memoryBytes = Infinity,
    kernelBytes,
  }: SimdEngineOptions): Promise<SimdEngine> {
    const memory = createKernelMemory()
    const kernels = await instantiateKernels(memory)
    return new SimdEngine(
      kernels,
      new Heap(memory, memoryBytes),
      await ThreadPool.create(memory, kernels, threads),
      kernelBytes,
    )
  }

  /** Threads that compute one inference together. */
  get threads(): number {
    return this.#pool.threads
  }

  /** Bytes of memory in use, and their peak. */
  get memory(): { readonly used: number; readonly peak: number } {
    const { used, peak, far } = this.#heap
    return { used: used + far.used, peak: peak + far.size }
  }

  /**
   * An empty key set for one client. `open` fills it; the caller frees it after all of the client's sessions.
   */
  newKeySet(parameters: CkksParameters): SimdKeySet {
    return new SimdKeySet(this.#context(parameters))
  }

  /**
   * Loads the keys that a circuit needs and builds its program. Runs allocate no memory: all of it is
   * allocated here.
   *
   * @param circuit verified; read only here, and not kept
   * @param keys that are loaded already; new ones are added. They must outlive the session
   * @param source the key set's frame; read only here
   * @param identity identifies the circuit: sessions with the same identity share encoded constants, which
   *   stay until `forget`. Later calls may pass the same circuit as another object
   * @param shouldStop asked between keys and between operations
   * @throws ExecutionStopped when it says so; encoded constants and loaded keys stay
   * @throws CONFIG_INVALID when a prime has more than 30 bits, or all weights of a sum round to zero;
   *   KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; TOO_LARGE when memory does not
   *   suffice, or when kernels cannot reach all that the circuit needs at once; LEVEL_EXHAUSTED when the
   *   output's flooding does not fit its level
   */
  async open(
    circuit: Circuit,
    keys: SimdKeySet,
    source: ByteSource,
    identity: object = circuit,
    shouldStop: () => boolean = () => false,
  ): Promise<SimdSession> {
    const owned = new DisposableStack()
    try {
      const context = this.#context(circuit.parameters)
      const reader = await openKeySet(circuit.parameters, source)
      const levels = keyLevels(context, circuit)
      const { storage, near } = engineMemory(circuit, this.#kernelBytes)
      requireKernelRoom(near)
      prepareTables(context, [...levels.galois.keys()])
      await this.#alone(() => keys.load(reader, levels, this.#pool, shouldStop, storage.isFarKey))
      const outputKeys = owned.adopt(await OutputKeys.load(context, reader, egressLevels(circuit)), free)
      const constants = this.#constantsOf(context, circuit, identity, storage)
      const egress = egressOf(circuit, outputKeys)
      const program = owned.adopt(this.#link(context, circuit, keys, constants, egress, shouldStop), free)
      const loader = owned.adopt(new PairLoader(context), free)
      const seeds = owned.adopt(new SeedExpander(context.heap, context.kernels), free)
      const parts = {
        context,
        constants,
        program,
        loader,
        seeds,
        pool: this.#pool,
        owned,
      }
      return new CircuitSession(parts, (run) => this.#alone(run))
    } catch (error) {
      owned.dispose()
      throw error
    }
  }

  /** Frees the encoded constants of this identity. Its sessions must have been freed before. */
  forget(identity: object): void {
    this.#constants.get(identity)?.free()
    this.#constants.delete(identity)
  }

  /**
   * Frees the tables and constants of all circuits. They would stay otherwise, and the ranges between them
   * become too small for large programs. All sessions and key sets must have been freed before.
   */
  clear(): Promise<void> {
    return this.#alone(async () => {
      this.#contexts.clear()
      this.#constants = new WeakMap()
      this.#heap.clear()
    })
  }

  /** Ends the threads. Sessions must be freed before, or at least no longer used. */
  async close(): Promise<void> {
    await this.#pool.close()
  }

  /** A method of its own: closures created in `open` outlive it and would keep the circuit in memory. */
  #link(
    context: SimdContext,
    circuit: Circuit,
    keys: SimdKeySet,
    constants: ConstantStore,
    egress: EgressOptions,
    shouldStop: () => boolean,
  ): CircuitProgram {
    return constants.reading(circuit.constants, () =>
      compileCircuit(context, circuit, keys, constants, this.#pool.threads, egress, shouldStop),
    )
  }

  #context(parameters: CkksParameters): SimdContext {
    let context = this.#contexts.get(parameters.digest)
    if (context === undefined) {
      context = createSimdContext(this.#kernels, this.#heap, parameters)
      this.#contexts.set(parameters.digest, context)
    }
    return context
  }

  #constantsOf(context: SimdContext, circuit: Circuit, identity: object, storage: FarStorage): ConstantStore {
    let constants = this.#constants.get(identity)
    if (constants === undefined) {
      constants = new ConstantStore(context, circuit.constants, expansionRule(circuit), storage)
      this.#constants.set(identity, constants)
    }
    return constants
  }

  #alone<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#last.then(body)
    this.#last = result.catch(() => {})
    return result
  }
}

const free = (part: { free(): void }): void => part.free()

/** Before keys are loaded. @throws EngineMemoryExceeded */
function requireKernelRoom(bytes: number): void {
  if (bytes <= MOST_KERNEL_BYTES) return
  const message = `The circuit needs ${bytes} bytes of the memory that kernels reach, which has ${MOST_KERNEL_BYTES}`
  throw new EngineMemoryExceeded(message, bytes, MOST_KERNEL_BYTES)
}

/**
 * Keys and masks for a circuit's egress.
 * @throws LEVEL_EXHAUSTED when flooding does not fit the output's level
 */
function egressOf(circuit: Circuit, keys: OutputKeys): EgressOptions {
  const logits = logitCoefficients(circuit)
  return { keys, logits, floodingBound: floodingBound(circuit.parameters, circuit.output, logits) }
}

/**
 * Makes the tables of automorphisms before the keys. The tables stay and the keys are freed: tables between
 * keys would fragment the heap.
 */
function prepareTables({ galois, ring }: SimdContext, elements: readonly number[]): void {
  for (const element of elements) galois.targets(element)
  for (const element of elements) galois.table(inverseElement(element, ring))
}
