import { allSlots } from '../../../circuit/constants/slot-vector.ts'
import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import type { ComplexVector, SlotVector } from '../../../circuit/types.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { FullRlwe, PackedFullRlwe, PackedRlwe, Polynomial } from '../../../wire/index.ts'
import { decodePeriodic } from '../../encoding/decode-periodic.ts'
import { embedPeriodicFast } from '../../encoding/embedding-fft.ts'
import { requireEncodable } from '../../encoding/encodable.ts'
import { instantiateKernels } from '../../kernels/kernels.ts'
import { requireSecret } from '../../secret.ts'
import { createSimdContext, type SimdContext } from '../context.ts'
import { Heap } from '../memory/heap.ts'
import { inlineRunner, type ProgramRunner } from '../threads/run.ts'
import { createClientHeap } from './client-memory.ts'
import { decryptResidues } from './decryptor.ts'
import { KernelKeyMaker } from './key-maker.ts'
import { Refresher, type TakeFresh } from './refresher.ts'
import { negatedSecret } from './secret.ts'
import { SymmetricEncryptor } from './symmetric-encryptor.ts'

export interface KernelKeyOptions {
  /** Working memory: unused before, all zero after `delete`. Shared where there are several threads. */
  readonly memory?: WebAssembly.Memory
  /** Threads for refreshes and keys, the calling one included. More than `clientThreads` fail. Default 1. */
  readonly threads?: number
}

/** The threads of refreshes and of keys. */
type Threads = ProgramRunner & { close?(): Promise<void> }

/**
 * A client's secret key in kernel memory. It encrypts, decrypts, and makes the keys with which servers
 * evaluate. `delete` removes it from the memory; other threads hold nothing of it outside that memory.
 */
export class KernelKey {
  readonly context: SimdContext
  readonly #threads: number
  readonly #negated: number
  readonly #encryptor: SymmetricEncryptor
  /** By source level and target level. */
  readonly #refreshers = new Map<string, Refresher>()
  /** Started by the first refresh, or by the maker of keys. */
  #runner: Promise<Threads> | undefined
  /** Refreshes are sequential, because there is one memory and one set of threads. */
  #last: Promise<unknown> = Promise.resolve()
  #refreshes = 0
  #isDeleted = false

  private constructor(context: SimdContext, secret: Polynomial, threads: number) {
    this.context = context
    this.#threads = threads
    this.#negated = negatedSecret(context, secret)
    this.#encryptor = new SymmetricEncryptor(context, this.#negated)
  }

  /**
   * @param parameters with primes below 2^30
   * @param secret the secret key's residues modulo all primes; copied at once, so that the caller may
   *   overwrite it
   * @throws CONFIG_INVALID when a prime is too large for the kernels; INTERNAL when the secret is zero;
   *   TOO_LARGE when the platform does not give the memory
   */
  static async create(
    parameters: CkksParameters,
    secret: Polynomial,
    { threads = 1, memory }: KernelKeyOptions = {},
  ): Promise<KernelKey> {
    requireSecret(secret)
    const heap = memory ? new Heap(memory) : createClientHeap(threads > 1 ? 'shared' : 'unshared')
    const copy = secret.slice()
    try {
      const context = createSimdContext(await instantiateKernels(heap.memory), heap, parameters)
      return new KernelKey(context, copy, threads)
    } catch (error) {
      wipe(heap.memory)
      throw error
    } finally {
      copy.fill(0)
    }
  }

  /** As `encryptSlots` of `seal/encryptor.ts`, but faster. */
  encryptSlots(vectors: readonly SlotVector[], level: number, scale: number): PackedRlwe[] {
    this.#requirePresent()
    for (const vector of vectors) requireEncodable(this.context.parameters, vector, level, scale)
    return vectors.map((vector) =>
      this.#encrypt(level, (message) => this.#encode(vector, scale, level, message)),
    )
  }

  /**
   * Encrypts integer polynomials.
   *
   * @param polynomials each in NTT form modulo q_0 .. q_level, N words for each prime
   */
  encryptResidues(polynomials: readonly Uint32Array[], level: number): PackedRlwe[] {
    this.#requirePresent()
    return polynomials.map((polynomial) =>
      this.#encrypt(level, (message) => {
        this.context.heap.words(message, polynomial.length).set(polynomial)
      }),
    )
  }

  /** As `decryptPeriodic` of `seal/encryptor.ts`, but faster. */
  decryptPeriodic(pair: FullRlwe, level: number, scale: number, period: number): ComplexVector {
    this.#requirePresent()
    const residues = decryptResidues(this.context, this.#negated, pair, level)
    const slots = decodePeriodic(this.context.parameters, residues, level, scale, period)
    residues.fill(0n)
    return slots
  }

  /**
   * Decrypts masked ciphertexts to integers, exactly, and encrypts these integers anew, with all threads.
   *
   * @param masked at level `from`
   * @param to level of the fresh encryptions, not lower
   * @param take called once for each index with the fresh encryption, whose bytes are valid during the call
   * @throws TENSOR_MALFORMED when a residue is not below its prime; INTERNAL when the key is deleted
   *   meanwhile, after which what was taken is of no use; WORKER_LOST
   */
  async refresh(masked: readonly PackedFullRlwe[], from: number, to: number, take: TakeFresh): Promise<void> {
    this.#refreshes++
    const done = this.#last.then(() => this.#refresh(masked, from, to, take))
    this.#last = done.catch(() => {})
    try {
      await done
    } finally {
      this.#refreshes--
      this.#release()
    }
  }

  /** A maker of keys for servers, with all threads. Delete it before this key. */
  async keyMaker(): Promise<KernelKeyMaker> {
    const runner = await this.#threadsOfKey()
    this.#requirePresent()
    return new KernelKeyMaker(this.context, runner, this.#encryptor, this.#negated)
  }

  /** Overwrites all of the memory: at once, or after the refresh that is running, which then fails. */
  delete(): void {
    this.#isDeleted = true
    this.#release()
  }

  async #refresh(
    masked: readonly PackedFullRlwe[],
    from: number,
    to: number,
    take: TakeFresh,
  ): Promise<void> {
    this.#requirePresent()
    const runner = await this.#threadsOfKey()
    this.#requirePresent()
    const levels = `${from} ${to}`
    let refresher = this.#refreshers.get(levels)
    if (refresher === undefined) {
      refresher = new Refresher(this.context, runner, this.#negated, from, to)
      this.#refreshers.set(levels, refresher)
    }
    await refresher.refresh(masked, take)
    this.#requirePresent()
  }

  #threadsOfKey(): Promise<Threads> {
    this.#runner ??= startThreads(this.context, this.#threads)
    return this.#runner
  }

  #requirePresent(): void {
    if (this.#isDeleted) throw new PolyVeilError('INTERNAL', 'A secret key is used after it was deleted')
  }

  /** Waits for running refreshes: no thread may use memory that is overwritten. */
  #release(): void {
    if (!this.#isDeleted || this.#refreshes > 0) return
    wipe(this.context.heap.memory)
    this.#runner?.then((runner) => runner.close?.()).catch(() => {})
    this.#runner = undefined
  }

  /**
   * @param write is called with the address of the message, and writes its residues modulo q_0 .. q_level, in
   *   NTT form
   */
  #encrypt(level: number, write: (message: number) => void): PackedRlwe {
    const { heap, limbBytes, ring } = this.context
    const message = heap.allocate((level + 1) * limbBytes)
    try {
      write(message)
      return this.#encryptor.encrypt(level + 1, (i) => message + i * limbBytes)
    } finally {
      heap.words(message, (level + 1) * ring).fill(0)
      heap.free(message)
    }
  }

  /** Encodes a vector: coefficients times the scale, rounded to the nearest integers. */
  #encode(vector: SlotVector, scale: number, level: number, message: number): void {
    const { heap, call, limbBytes, moduli, parameters, ring } = this.context
    const coefficients = heap.allocate(8 * ring)
    const doubles = new Float64Array(heap.memory.buffer, coefficients, ring)
    doubles.set(embedPeriodicFast(allSlots(vector, parameters.slots)))
    for (let i = 0; i <= level; i++) {
      const { q, forward, quotients } = moduli[i]
      const at = message + i * limbBytes
      call('reduceMessage', { out: at, values: coefficients, scale, size: ring, q })
      call('nttForward', { values: at, table: forward, quotients, size: ring, q })
    }
    doubles.fill(0)
    heap.free(coefficients)
  }
}

const wipe = ({ buffer }: WebAssembly.Memory): unknown => new Uint8Array(buffer).fill(0)

/** The pool is loaded only where it is used. */
async function startThreads(context: SimdContext, threads: number): Promise<Threads> {
  if (threads === 1) return inlineRunner(context)
  const { ThreadPool } = await import('../threads/thread-pool.ts')
  return ThreadPool.create(context.heap.memory, context.kernels, threads)
}
