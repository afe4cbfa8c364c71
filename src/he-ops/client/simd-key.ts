import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { ComplexVector, SlotVector } from '../../circuit/types.ts'
import {
  type FullRlwe,
  keySetBytes,
  type PackedRlwe,
  type Polynomial,
  writeKeySet,
} from '../../wire/index.ts'
import { requireSecret } from '../secret.ts'
import { clientThreads } from '../simd/encryption/client-threads.ts'
import { KernelKey } from '../simd/encryption/kernel-key.ts'
import type { ClientKey } from './client-key.ts'

/** Smaller key sets are made before other threads have started. */
const THREADED_BYTES = 4 * 2 ** 20

/** A secret key in the kernels. */
export class SimdClientKey implements ClientKey {
  readonly fingerprint: string
  readonly #parameters: CkksParameters
  readonly #secret: Polynomial
  #kernels: Promise<KernelKey> | undefined

  /** @param secret the secret key's residues modulo all primes; overwritten by `delete` */
  constructor(parameters: CkksParameters, secret: Polynomial, fingerprint: string) {
    this.fingerprint = fingerprint
    this.#parameters = parameters
    this.#secret = secret
  }

  async encryptSlots(
    vectors: readonly SlotVector[],
    level: number,
    scale: number,
  ): Promise<readonly PackedRlwe[]> {
    return (await this.#kernelKey()).encryptSlots(vectors, level, scale)
  }

  async decryptPeriodic(
    pair: FullRlwe,
    level: number,
    scale: number,
    period: number,
  ): Promise<ComplexVector> {
    return (await this.#kernelKey()).decryptPeriodic(pair, level, scale, period)
  }

  async refresh(...round: Parameters<ClientKey['refresh']>): Promise<void> {
    await (await this.#kernelKey()).refresh(...round)
  }

  async *keySet(galoisElements: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    requireSecret(this.#secret)
    const isLarge = keySetBytes(this.#parameters, galoisElements) >= THREADED_BYTES
    const key = await KernelKey.create(this.#parameters, this.#secret, {
      threads: isLarge ? clientThreads() : 1,
    })
    try {
      yield* this.#keysOf(key, galoisElements)
    } finally {
      key.delete()
    }
  }

  async *#keysOf(
    key: KernelKey,
    galoisElements: readonly number[],
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const maker = await key.keyMaker()
    try {
      yield* writeKeySet(
        this.#parameters,
        galoisElements.toSorted((a, b) => a - b),
        maker,
      )
    } finally {
      maker.delete()
    }
  }

  copySecret(): Polynomial {
    requireSecret(this.#secret)
    return this.#secret.slice()
  }

  delete(): void {
    this.#secret.fill(0)
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
