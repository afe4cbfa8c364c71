import type { FullRlwe, PackedRlwe, Polynomial } from '../../../wire/index.ts'
import { embedPeriodicFast } from '../../encoding/embedding-fft.ts'
import { createKernelMemory, instantiateKernels } from '../../kernels/kernels.ts'
import { requireEncodable } from '../../seal/encryptor.ts'
import { requireSecret } from '../../seal/keys-secret.ts'
import type { RestrictedContexts } from '../../seal/restricted-contexts.ts'
import { createSimdContext, type SimdContext } from '../context.ts'
import { Heap } from '../heap.ts'
import { Lifter } from '../refresh/lift.ts'
import { KernelKeyMaker } from './key-maker.ts'
import { negatedSecret, plainSecret } from './secret.ts'
import { SymmetricEncryptor } from './symmetric-encryptor.ts'
import { createZeroSource, type ZeroSource } from './zeros.ts'

export interface KernelKeyOptions {
  /** To work in: unused before, all zero after `delete`. By default one that is not shared, as browsers have it. */
  readonly memory?: WebAssembly.Memory
  /** Deleted with the key. */
  readonly zeros?: ZeroSource
}

/**
 * A client's secret key in kernel memory, and what is made with it there: encryptions, and the keys that servers evaluate
 * with. It is gone from the memory with `delete`.
 */
export class KernelKey {
  readonly context: SimdContext
  readonly #zeros: ZeroSource
  readonly #negated: number
  readonly #encryptor: SymmetricEncryptor
  /** By the level of what they decrypt. */
  readonly #lifters = new Map<number, Lifter>()

  private constructor(context: SimdContext, zeros: ZeroSource, secret: Polynomial) {
    this.context = context
    this.#zeros = zeros
    this.#negated = negatedSecret(context, secret)
    this.#encryptor = new SymmetricEncryptor(context, zeros, this.#negated)
  }

  /**
   * @param contexts of parameters with primes below 2^30; needed until this returns, not until the promise is kept
   * @param secret the secret key's residues modulo all primes; copied at once, so that the caller may overwrite it
   * @throws CONFIG_INVALID when a prime is too large for the kernels; INTERNAL when the secret is zero
   */
  static async create(
    contexts: RestrictedContexts,
    secret: Polynomial,
    { memory = createKernelMemory('unshared'), zeros }: KernelKeyOptions = {},
  ): Promise<KernelKey> {
    requireSecret(secret)
    const { parameters } = contexts
    const copy = secret.slice()
    const source = zeros ?? createZeroSource(contexts.at(0), copy)
    try {
      const context = createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
      return new KernelKey(context, source, copy)
    } catch (error) {
      source.delete()
      wipe(memory)
      throw error
    } finally {
      copy.fill(0)
    }
  }

  /** As `encryptSlots` of `seal/encryptor.ts`, of which this is the faster twin. */
  encryptSlots(vectors: readonly Float64Array[], level: number, scale: number): PackedRlwe[] {
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
    return polynomials.map((polynomial) =>
      this.#encrypt(level, (message) => {
        this.context.heap.words(message, polynomial.length).set(polynomial)
      }),
    )
  }

  /**
   * Decrypts masked ciphertexts to integers, exactly, and encrypts these anew.
   *
   * @param masked at level `from`, residues checked; integers within a quarter of that level's modulus
   * @param to level of the fresh encryptions
   */
  refresh(masked: readonly FullRlwe[], from: number, to: number): PackedRlwe[] {
    const lifter = this.#lifter(from)
    return masked.map((ciphertext) => {
      const integers = lifter.lift(ciphertext)
      const { ring } = this.context
      const [fresh] = this.encryptResidues([integers.subarray(0, (to + 1) * ring)], to)
      integers.fill(0)
      return fresh
    })
  }

  /** Makes keys for servers; has to be deleted before this. */
  keyMaker(): KernelKeyMaker {
    return new KernelKeyMaker(this.context, this.#encryptor, this.#negated)
  }

  delete(): void {
    this.#zeros.delete()
    wipe(this.context.heap.memory)
  }

  #lifter(level: number): Lifter {
    let lifter = this.#lifters.get(level)
    if (lifter === undefined) {
      const secret = plainSecret(this.context, this.#negated, level + 1)
      lifter = new Lifter(this.context, secret, level)
      secret.fill(0)
      this.#lifters.set(level, lifter)
    }
    return lifter
  }

  /** @param write gets the address where the message's residues modulo q_0 .. q_level go, in NTT form */
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

  /** The vector's polynomial, its coefficients times the scale rounded to the nearest integers. */
  #encode(vector: Float64Array, scale: number, level: number, message: number): void {
    const { heap, kernels, limbBytes, moduli, parameters, ring } = this.context
    const slots = new Float64Array(parameters.slots)
    slots.set(vector)
    const coefficients = heap.allocate(8 * ring)
    const doubles = new Float64Array(heap.memory.buffer, coefficients, ring)
    doubles.set(embedPeriodicFast(slots))
    for (let i = 0; i <= level; i++) {
      const { q, forward, quotients } = moduli[i]
      const at = message + i * limbBytes
      kernels.reduceDoubles(at, coefficients, scale, ring, q)
      kernels.nttForward(at, forward, quotients, ring, q)
    }
    doubles.fill(0)
    heap.free(coefficients)
  }
}

const wipe = ({ buffer }: WebAssembly.Memory): unknown => new Uint8Array(buffer).fill(0)
