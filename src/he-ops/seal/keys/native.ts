import type { GaloisKeys, KeyGenerator, SecretKey } from 'node-seal'
import { galoisElement } from '../../../circuit/keys.ts'
import { PolyVeilError } from '../../../errors/index.ts'
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
 * @param galoisElements of the Galois keys
 */
export function generateNativeKeys(
  ctx: SealContext,
  secretKey: SecretKey,
  galoisElements: readonly number[],
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
    const galoisKeys = new GaloisKeyCache(ctx, generator, galoisElements, most)
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

/** Galois keys by their elements, made at their first use. A key stays valid until the next call. */
class GaloisKeyCache {
  readonly #ctx: SealContext
  readonly #generator: KeyGenerator
  readonly #elements: ReadonlySet<number>
  readonly #most: number
  /** In the order of their last use. */
  readonly #made = new Map<number, GaloisKeys>()

  constructor(ctx: SealContext, generator: KeyGenerator, elements: readonly number[], most: number) {
    this.#ctx = ctx
    this.#generator = generator
    this.#elements = new Set(elements)
    this.#most = most
  }

  /** Number of keys that can be requested. */
  get size(): number {
    return this.#elements.size
  }

  get(element: number): GaloisKeys | undefined {
    if (!this.#elements.has(element)) return undefined
    const key = this.#made.get(element) ?? this.#make(element)
    this.#made.delete(element)
    this.#made.set(element, key)
    return key
  }

  #make(element: number): GaloisKeys {
    for (const [oldest, key] of this.#made) {
      if (this.#made.size < this.#most) break
      this.#made.delete(oldest)
      key.delete()
    }
    return guarded(this.#ctx.seal, () =>
      this.#generator.createGaloisKeysWithSteps(Int32Array.of(sealSteps(this.#ctx.parameters.ring, element))),
    )
  }

  delete(): void {
    for (const key of this.#made.values()) key.delete()
    this.#made.clear()
  }
}

/** The rotation steps of a Galois element, by which SEAL's generator names it. */
function sealSteps(ring: number, element: number): number {
  for (let steps = 1; steps < ring / 2; steps++) if (galoisElement(ring, steps) === element) return steps
  throw new PolyVeilError('INTERNAL', `${element} is the Galois element of no rotation`)
}
