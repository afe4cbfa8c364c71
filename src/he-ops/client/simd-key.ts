import type { SecretKey } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import {
  type PackedFullRlwe,
  type PackedRlwe,
  type Polynomial,
  type Rlwe,
  writeKeySet,
} from '../../wire/index.ts'
import type { ComplexSlots } from '../encoding/decode-periodic.ts'
import type { SealContext } from '../seal/context.ts'
import type { RestrictedContexts } from '../seal/restricted-contexts.ts'
import { requireSecret } from '../secret.ts'
import { clientThreads } from '../simd/encryption/client-threads.ts'
import { KernelKey } from '../simd/encryption/kernel-key.ts'
import type { ClientKey } from './client-key.ts'
import { SealClientKey } from './seal-key.ts'

/**
 * A secret key that encrypts, refreshes and makes keys with the kernels. It decrypts with node-seal, in a
 * context of two primes.
 */
export class SimdClientKey implements ClientKey {
  readonly #parameters: CkksParameters
  readonly #secret: Polynomial
  readonly #seal: SealClientKey
  #kernels: Promise<KernelKey> | undefined

  /**
   * @param contexts of the key's parameters; deleted with it
   * @param secret the secret key's residues modulo all primes; overwritten by `delete`
   */
  constructor(contexts: RestrictedContexts, secret: Polynomial, fingerprint: string) {
    this.#parameters = contexts.parameters
    this.#secret = secret
    this.#seal = new SealClientKey(contexts, secret, fingerprint)
  }

  get fingerprint(): string {
    return this.#seal.fingerprint
  }

  async encryptSlots(
    vectors: readonly Float64Array[],
    level: number,
    scale: number,
  ): Promise<readonly PackedRlwe[]> {
    return (await this.#kernelKey()).encryptSlots(vectors, level, scale)
  }

  decryptPeriodic(pair: Rlwe, level: number, scale: number, period: number): ComplexSlots {
    return this.#seal.decryptPeriodic(pair, level, scale, period)
  }

  async refresh(masked: readonly PackedFullRlwe[], from: number, to: number): Promise<PackedRlwe[]> {
    return (await this.#kernelKey()).refresh(masked, from, to)
  }

  async *keySet(galoisElements: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    requireSecret(this.#secret)
    const key = await KernelKey.create(this.#parameters, this.#secret)
    const maker = key.keyMaker()
    try {
      yield* writeKeySet(
        this.#parameters,
        galoisElements.toSorted((a, b) => a - b),
        maker,
      )
    } finally {
      maker.delete()
      key.delete()
    }
  }

  loadInto(context: SealContext): SecretKey {
    return this.#seal.loadInto(context)
  }

  delete(): void {
    this.#seal.delete()
    this.#kernels?.then((key) => key.delete()).catch(() => {})
    this.#kernels = undefined
  }

  async #kernelKey(): Promise<KernelKey> {
    requireSecret(this.#secret)
    if (this.#kernels === undefined) {
      const kernels = KernelKey.create(this.#parameters, this.#secret, { threads: clientThreads() })
      kernels.catch(() => {
        this.#kernels = undefined
      })
      this.#kernels = kernels
    }
    return this.#kernels
  }
}
