import type { SecretKey } from 'node-seal'
import type { ComplexSlots } from '../../he-ops/encoding/decode-periodic.ts'
import { backendFor } from '../../he-ops/execution/backend-for.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import { decryptPeriodic, encryptSlots } from '../../he-ops/seal/encryptor.ts'
import { generateKeySet, keySetOf, loadSecretKey } from '../../he-ops/seal/keys/index.ts'
import { requireSecret } from '../../he-ops/seal/keys/secret.ts'
import type { RestrictedContexts } from '../../he-ops/seal/restricted-contexts.ts'
import { clientThreads } from '../../he-ops/simd/encryption/client-threads.ts'
import { KernelKey } from '../../he-ops/simd/encryption/kernel-key.ts'
import type { PackedFullRlwe, PackedRlwe, Polynomial, Rlwe, SeededRlwe } from '../../wire/index.ts'

/**
 * A secret key in use. node-seal sees it in contexts of the primes that are needed, for it takes seconds to make one of all;
 * where the kernels take the primes they do what needs many of them.
 */
export class UnlockedKey {
  /** Names the secret key without telling anything of it: a digest over 128 bits of entropy and more. */
  readonly fingerprint: string
  readonly #secret: Polynomial
  readonly #contexts: RestrictedContexts
  /** By the level of the contexts that they are in. */
  readonly #restricted = new Map<number, SecretKey>()
  #kernels: Promise<KernelKey> | undefined

  /**
   * @param contexts of the key's parameters; deleted with it
   * @param secret the secret key's residues modulo all primes; overwritten by `delete`
   */
  constructor(contexts: RestrictedContexts, secret: Polynomial, fingerprint: string) {
    this.fingerprint = fingerprint
    this.#secret = secret
    this.#contexts = contexts
  }

  /** As `encryptSlots` of `he-ops/seal/encryptor.ts`. */
  async encryptSlots(
    vectors: readonly Float64Array[],
    level: number,
    scale: number,
  ): Promise<readonly (SeededRlwe | PackedRlwe)[]> {
    requireSecret(this.#secret)
    if (this.#takesKernels) return (await this.#kernelKey()).encryptSlots(vectors, level, scale)
    return encryptSlots(...this.#at(level), vectors, level, scale)
  }

  /** As `decryptPeriodic` of `he-ops/seal/encryptor.ts`. */
  decryptPeriodic(pair: Rlwe, level: number, scale: number, period: number): ComplexSlots {
    return decryptPeriodic(...this.#at(level), pair, level, scale, period)
  }

  /**
   * Decrypts masked ciphertexts to integers, exactly, and encrypts these anew.
   *
   * @param masked at level `from`
   * @param to level of the fresh encryptions
   * @throws CONFIG_INVALID when a prime is too large for the kernels; TENSOR_MALFORMED when a residue is not below its prime;
   *   INTERNAL when the key is deleted meanwhile; WORKER_LOST
   */
  async refresh(masked: readonly PackedFullRlwe[], from: number, to: number): Promise<PackedRlwe[]> {
    requireSecret(this.#secret)
    return (await this.#kernelKey()).refresh(masked, from, to)
  }

  /** As `generateKeySet` of `he-ops/seal/keys.ts`. The key may be deleted once the first chunk is there. */
  async *keySet(rotationSteps: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    requireSecret(this.#secret)
    const { parameters, seal } = this.#contexts
    if (this.#takesKernels) {
      const key = await KernelKey.create(parameters, this.#secret)
      try {
        yield* keySetOf({ parameters }, rotationSteps, key.keyMaker())
      } finally {
        key.delete()
      }
      return
    }
    const context = createSealContext(seal, parameters, 'highest level')
    const secretKey = this.loadInto(context)
    try {
      yield* generateKeySet(context, secretKey, rotationSteps)
    } finally {
      secretKey.delete()
      context.delete()
    }
  }

  /** The secret key in a context of all primes, for the caller to delete. */
  loadInto(context: SealContext): SecretKey {
    return loadSecretKey(context, this.#secret)
  }

  /** Frees what the key takes, having overwritten it; every other method throws INTERNAL from then on. */
  delete(): void {
    this.#secret.fill(0)
    for (const key of this.#restricted.values()) key.delete()
    this.#restricted.clear()
    this.#contexts.delete()
    this.#kernels?.then((key) => key.delete()).catch(() => {})
    this.#kernels = undefined
  }

  get #takesKernels(): boolean {
    return backendFor(this.#contexts.parameters) === 'simd'
  }

  #kernelKey(): Promise<KernelKey> {
    if (this.#kernels === undefined) {
      const { parameters } = this.#contexts
      const kernels = KernelKey.create(parameters, this.#secret, { threads: clientThreads() })
      kernels.catch(() => {
        this.#kernels = undefined
      })
      this.#kernels = kernels
    }
    return this.#kernels
  }

  /** The context of a level, and the key in it. */
  #at(level: number): [SealContext, SecretKey] {
    requireSecret(this.#secret)
    const context = this.#contexts.at(level)
    let key = this.#restricted.get(level)
    if (key === undefined) {
      key = this.loadInto(context)
      this.#restricted.set(level, key)
    }
    return [context, key]
  }
}
