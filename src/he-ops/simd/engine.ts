import { rotationSteps } from '../../circuit/keys.ts'
import type { CkksParameters } from '../../circuit/parameters.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type ByteSource, type FullRlwe, openKeySet, type PackedRlwe } from '../../wire/index.ts'
import { createKernelMemory, instantiateKernels, type Kernels } from '../kernels/kernels.ts'
import { ciphertextFromWire, ciphertextToWire } from '../seal/ciphertexts.ts'
import { rerandomise } from '../seal/rerandomise.ts'
import { withHeap } from '../seal/runtime.ts'
import { type CircuitProgram, compileCircuit } from './circuit-program.ts'
import { ConstantStore } from './constants.ts'
import { createSimdContext, type SimdContext } from './context.ts'
import { Heap } from './heap.ts'
import { loadSimdKeys, type SimdKeys } from './keys.ts'
import { PairLoader } from './loader.ts'
import { loadPublicKey, type OutputKey } from './output-key.ts'
import { Crew, type RunControl } from './threads/crew.ts'

export interface SimdEngineOptions {
  /** Threads that work at one inference, the calling one included. */
  readonly threads: number
  /** Most bytes of kernel memory. */
  readonly memoryBytes?: number
}

/** Bytes of kernel memory that a session takes. */
export interface SessionMemory {
  /** Relinearisation and Galois keys. */
  readonly keys: number
  /** Encoded constants, shared by all sessions of the circuit. */
  readonly constants: number
  /** Values, temporaries, scratch and tables: the most that a run needs at once. */
  readonly program: number
}

/** A circuit ready to run under one client's keys. */
export interface SimdSession {
  readonly memory: SessionMemory
  /**
   * Runs the circuit on fresh encryptions, once the engine's earlier runs have ended. The calling thread computes too.
   *
   * @param pairs one for each input, at the level and scale of `circuit.input`; every residue is checked; not changed, and
   *   read when it is this run's turn
   * @returns the result at the level and scale of `circuit.output`, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, ExecutionStopped, WORKER_LOST, and what `control` throws; the session stays usable.
   *   INTERNAL once the session is freed
   */
  run(pairs: readonly PackedRlwe[], control?: RunControl): Promise<FullRlwe>
  /** Gives keys and program back, at once or when the last run that was asked for has ended. */
  free(): void
}

/**
 * Executes circuits in one kernel memory, with all threads at one inference. Contexts and the constants of circuits are
 * made once and stay; sessions are the caller's to free.
 */
export class SimdEngine {
  readonly #kernels: Kernels
  readonly #heap: Heap
  readonly #crew: Crew
  readonly #contexts = new Map<string, SimdContext>()
  readonly #constants = new WeakMap<Circuit, ConstantStore>()
  /** Runs follow one another: there is one memory and one crew. */
  #last: Promise<unknown> = Promise.resolve()

  private constructor(kernels: Kernels, heap: Heap, crew: Crew) {
    this.#kernels = kernels
    this.#heap = heap
    this.#crew = crew
  }

  /** Makes memory and threads; the threads live until `close`. */
  static async create({ threads, memoryBytes }: SimdEngineOptions): Promise<SimdEngine> {
    const memory = createKernelMemory()
    const kernels = await instantiateKernels(memory)
    return new SimdEngine(kernels, new Heap(memory, memoryBytes), await Crew.create(memory, kernels, threads))
  }

  /** Bytes of kernel memory in use, and the most there have been. */
  get memory(): { readonly used: number; readonly peak: number } {
    return { used: this.#heap.used, peak: this.#heap.peak }
  }

  /**
   * Loads keys and builds the circuit's program. All memory that runs take is taken here.
   *
   * @param circuit verified; constants are kept for all sessions of this very object
   * @param source a key set's frame; read here alone
   * @throws CONFIG_INVALID when the parameters have primes beyond 30 bits, or all weights of a sum round to zero; KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; TOO_LARGE when memory does not suffice
   */
  async open(circuit: Circuit, source: ByteSource): Promise<SimdSession> {
    const owned = new DisposableStack()
    try {
      const context = this.#context(circuit.parameters)
      const reader = await openKeySet(circuit.parameters, source)
      const free = (part: { free(): void }): void => part.free()
      const keys = owned.adopt(await loadSimdKeys(context, reader, rotationSteps(circuit)), free)
      const outputKey = await loadPublicKey(context, reader, circuit.output.level)
      owned.defer(() => outputKey.delete())
      const constants = this.#constantsOf(context, circuit)
      const program = owned.adopt(compileCircuit(context, circuit, keys, constants, this.#crew.threads), free)
      const loader = owned.adopt(new PairLoader(context), free)
      return this.#session({ context, circuit, keys, outputKey, constants, program, loader, owned })
    } catch (error) {
      owned.dispose()
      throw error
    }
  }

  /** Ends the threads. Sessions must not be run any more. */
  close(): Promise<void> {
    return this.#crew.close()
  }

  #session(parts: SessionParts): SimdSession {
    const { keys, constants, program, owned } = parts
    const { arena, scratch, tables } = program.sizes
    let runs = 0
    let isFreed = false
    const release = (): void => {
      // Nothing is given back that a run may still be at work on.
      if (isFreed && runs === 0) owned.dispose()
    }
    return {
      memory: { keys: keys.bytes, constants: constants.bytes, program: arena + scratch + tables },
      run: async (pairs, control) => {
        if (isFreed) throw new PolyVeilError('INTERNAL', 'A freed session is run')
        runs++
        try {
          return await this.#alone(() => this.#run(parts, pairs, control))
        } finally {
          runs--
          release()
        }
      },
      free() {
        isFreed = true
        release()
      },
    }
  }

  async #run(
    { context, circuit, program, loader, outputKey }: SessionParts,
    pairs: readonly PackedRlwe[],
    control: RunControl | undefined,
  ): Promise<FullRlwe> {
    requireInputs(program, pairs)
    pairs.forEach((pair, i) => {
      const [c0, c1] = program.inputs[i].polynomials
      loader.load(pair, c0, c1)
    })
    await this.#crew.run(program.program, control)
    return randomised(context, program, outputKey, circuit)
  }

  #context(parameters: CkksParameters): SimdContext {
    let context = this.#contexts.get(parameters.digest)
    if (context === undefined) {
      context = createSimdContext(this.#kernels, this.#heap, parameters)
      this.#contexts.set(parameters.digest, context)
    }
    return context
  }

  #constantsOf(context: SimdContext, circuit: Circuit): ConstantStore {
    let constants = this.#constants.get(circuit)
    if (constants === undefined) {
      constants = new ConstantStore(context, circuit.constants)
      this.#constants.set(circuit, constants)
    }
    return constants
  }

  #alone<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#last.then(body)
    this.#last = result.catch(() => {})
    return result
  }
}

interface SessionParts {
  readonly context: SimdContext
  readonly circuit: Circuit
  readonly keys: SimdKeys
  readonly outputKey: OutputKey
  readonly constants: ConstantStore
  readonly program: CircuitProgram
  readonly loader: PairLoader
  /** Frees all that is the session's own; disposing of it again does nothing. */
  readonly owned: DisposableStack
}

/** A run with less than all inputs would compute with what lies there from the last one. */
function requireInputs({ inputs }: CircuitProgram, pairs: readonly PackedRlwe[]): void {
  const fits =
    pairs.length === inputs.length && pairs.every(({ limbs }, i) => limbs.length === inputs[i].primes)
  if (fits) return
  throw new PolyVeilError(
    'TENSOR_MALFORMED',
    `The circuit takes ${inputs.length} ciphertexts at its input's level`,
    { expected: inputs.length, actual: pairs.length },
  )
}

/** The program's result as it may leave the server. */
function randomised(
  context: SimdContext,
  { result }: CircuitProgram,
  { ctx, publicKey }: OutputKey,
  circuit: Circuit,
): FullRlwe {
  const { level, scale, flooding } = circuit.output
  const [c0, c1] = result.polynomials.map((polynomial) =>
    halves(context.heap.words(polynomial, context.ring * result.primes)),
  )
  return withHeap((own) => {
    const ciphertext = own(ciphertextFromWire(ctx, { c0, c1 }, level, scale))
    return ciphertextToWire(ctx, own(rerandomise(ctx, publicKey, ciphertext, { flooding })))
  })
}

/** 32-bit residues as pairs of halves. */
function halves(residues: Uint32Array): Uint32Array {
  const out = new Uint32Array(2 * residues.length)
  for (let i = 0; i < residues.length; i++) out[2 * i] = residues[i]
  return out
}
