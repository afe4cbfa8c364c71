import { rotationSteps } from '../../circuit/keys.ts'
import type { CkksParameters } from '../../circuit/parameters.ts'
import type { Circuit } from '../../circuit/types.ts'
import { type ByteSource, type FullRlwe, openKeySet, type PackedRlwe } from '../../wire/index.ts'
import { createKernelMemory, instantiateKernels, type Kernels } from '../kernels/kernels.ts'
import { ciphertextFromWire, ciphertextToWire } from '../seal/ciphertexts.ts'
import { rerandomise } from '../seal/rerandomise.ts'
import { withHeap } from '../seal/runtime.ts'
import { type CircuitProgram, compileCircuit } from './circuit-program.ts'
import { ConstantStore } from './constants.ts'
import { createSimdContext, type SimdContext } from './context.ts'
import { Heap } from './heap.ts'
import { SimdKeySet } from './keys.ts'
import { PairLoader } from './loader.ts'
import { loadPublicKey, type OutputKey } from './output-key.ts'
import { Crew, type RunControl } from './threads/crew.ts'

export interface SimdEngineOptions {
  /** Threads that work at one inference, the calling one included. */
  readonly threads: number
  /** Most bytes of kernel memory. */
  readonly memoryBytes?: number
}

/** Bytes of kernel memory that a session takes, beside its keys. */
export interface SessionMemory {
  /** Encoded constants, shared by all sessions of the circuit. */
  readonly constants: number
  /** Values, temporaries, scratch and tables: the most that a run needs at once. */
  readonly program: number
}

/** A circuit ready to run under one client's keys. */
export interface SimdSession {
  readonly memory: SessionMemory
  /**
   * Runs the circuit on fresh encryptions.
   *
   * @param pairs one for each input, at the input's level; every residue is checked
   * @returns the result, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, ExecutionStopped, WORKER_LOST
   */
  run(pairs: readonly PackedRlwe[], control?: RunControl): Promise<FullRlwe>
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

  static async create({ threads, memoryBytes }: SimdEngineOptions): Promise<SimdEngine> {
    const memory = createKernelMemory()
    const kernels = await instantiateKernels(memory)
    return new SimdEngine(kernels, new Heap(memory, memoryBytes), await Crew.create(memory, kernels, threads))
  }

  /** Bytes of kernel memory in use, and the most there have been. */
  get memory(): { readonly used: number; readonly peak: number } {
    return { used: this.#heap.used, peak: this.#heap.peak }
  }

  /** An empty set of keys for one client, to be filled by `open` and freed by the caller, after all its sessions. */
  newKeySet(parameters: CkksParameters): SimdKeySet {
    return new SimdKeySet(this.#context(parameters))
  }

  /**
   * Loads the keys that a circuit needs and builds its program.
   *
   * @param keys where keys are and go
   * @param source the key set's frame
   * @throws KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; TOO_LARGE when memory does not suffice
   */
  async open(circuit: Circuit, keys: SimdKeySet, source: ByteSource): Promise<SimdSession> {
    const context = this.#context(circuit.parameters)
    const reader = await openKeySet(circuit.parameters, source)
    await keys.load(reader, rotationSteps(circuit))
    const outputKey = await loadPublicKey(context, reader, circuit.output.level)
    try {
      const constants = this.#constantsOf(context, circuit)
      const program = compileCircuit(context, circuit, keys, constants, this.#crew.threads)
      return this.#session({ context, circuit, outputKey, constants, program })
    } catch (error) {
      outputKey.delete()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#crew.close()
  }

  #session(parts: SessionParts): SimdSession {
    const { context, circuit, outputKey, constants, program } = parts
    const loader = new PairLoader(context)
    const { arena, scratch, tables } = program.sizes
    return {
      memory: { constants: constants.bytes, program: arena + scratch + tables },
      run: (pairs, control) =>
        this.#alone(async () => {
          pairs.forEach((pair, i) => {
            const [c0, c1] = program.inputs[i].polynomials
            loader.load(pair, c0, c1)
          })
          await this.#crew.run(program.program, control)
          return randomised(context, program, outputKey, circuit)
        }),
      free() {
        loader.free()
        program.free()
        outputKey.delete()
      },
    }
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
  readonly outputKey: OutputKey
  readonly constants: ConstantStore
  readonly program: CircuitProgram
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
