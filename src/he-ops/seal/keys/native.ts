import type { GaloisKeys, KeyGenerator, SecretKey } from 'node-seal'
import type { SealContext } from '../context.ts'
import { guarded } from '../runtime.ts'
import { type EvaluationKeys, heapBytes } from './load.ts'

export interface NativeKeyOptions {
  /**
   * Heap for Galois keys; beyond it the least recently used ones are dropped, and made again when needed.
   * Default 2 GB.
   */
  readonly maxBytes?: number
}

/**
 * Keys of SEAL's own generator, for its own key switching with one special prime: the oracle for circuits
 * with several special primes, whose hybrid keys SEAL cannot use. They are far larger than hybrid keys and
 * are never sent. Each Galois key is made at its first use.
 *
 * @param secretKey copied
 * @param rotationSteps 1 to slots - 1
 */
export function generateNativeKeys(
  ctx: SealContext,
  secretKey: SecretKey,
  rotationSteps: readonly number[],
  { maxBytes = 2 ** 31 }: NativeKeyOptions = {},
): EvaluationKeys {
  const { seal, context } = ctx
  return guarded(seal, () => {
    const generator = new seal.KeyGenerator(context, secretKey)
    const publicKey = generator.createPublicKey()
    const relinKeys = generator.createRelinKeys()
    const most = Math.max(
      1,
      Math.floor(maxBytes / (heapBytes(ctx.parameters, 1) - heapBytes(ctx.parameters, 0))),
    )
    const galoisKeys = new GaloisKeyCache(ctx, generator, rotationSteps, most)
    return {
      publicKey,
      relinKeys,
      galoisKeys,
      bytes: heapBytes(ctx.parameters, Math.min(most, galoisKeys.size)),
      delete() {
        for (const object of [galoisKeys, relinKeys, publicKey, generator]) object.delete()
      },
    }
  })
}

/** Galois keys by rotation steps, made at their first use. A key stays valid until the next call. */
class GaloisKeyCache {
  readonly #ctx: SealContext
  readonly #generator: KeyGenerator
  readonly #steps: ReadonlySet<number>
  readonly #most: number
  /** In the order of their last use. */
  readonly #made = new Map<number, GaloisKeys>()

  constructor(ctx: SealContext, generator: KeyGenerator, steps: readonly number[], most: number) {
    this.#ctx = ctx
    this.#generator = generator
    this.#steps = new Set(steps)
    this.#most = most
  }

  /** Number of keys that can be requested. */
  get size(): number {
    return this.#steps.size
  }

  get(steps: number): GaloisKeys | undefined {
    if (!this.#steps.has(steps)) return undefined
    const key = this.#made.get(steps) ?? this.#make(steps)
    this.#made.delete(steps)
    this.#made.set(steps, key)
    return key
  }

  #make(steps: number): GaloisKeys {
    for (const [oldest, key] of this.#made) {
      if (this.#made.size < this.#most) break
      this.#made.delete(oldest)
      key.delete()
    }
    return guarded(this.#ctx.seal, () => this.#generator.createGaloisKeysWithSteps(Int32Array.of(steps)))
  }

  delete(): void {
    for (const key of this.#made.values()) key.delete()
    this.#made.clear()
  }
}
