import type { GaloisKeys, KeyGenerator, SecretKey } from 'node-seal'
import { conjugationElement } from '../../../circuit/keys.ts'
import type { SealContext } from '../context.ts'
import { guarded } from '../runtime.ts'
import { type EvaluationKeys, type GaloisKeySource, heapBytes, type KeyedAutomorphism } from './load.ts'

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

/**
 * Galois keys that are made at their first use. SEAL's generator makes keys for powers of 3 and for
 * conjugation. Powers of 5 with an odd exponent are the negatives of powers of 3, so that their automorphism
 * is that of a power of 3 and then conjugation.
 */
class GaloisKeyCache implements GaloisKeySource {
  readonly #ctx: SealContext
  readonly #generator: KeyGenerator
  readonly #elements: ReadonlySet<number>
  readonly #most: number
  /** By element, in the order of their last use. */
  readonly #made = new Map<number, GaloisKeys>()
  #conjugation: GaloisKeys | undefined

  constructor(ctx: SealContext, generator: KeyGenerator, elements: readonly number[], most: number) {
    this.#ctx = ctx
    this.#generator = generator
    this.#elements = new Set(elements)
    this.#most = most
  }

  /** Number of elements that can be requested. */
  get size(): number {
    return this.#elements.size
  }

  get(element: number): readonly KeyedAutomorphism[] | undefined {
    if (!this.#elements.has(element)) return undefined
    const { ring } = this.#ctx.parameters
    const conjugation = conjugationElement(ring)
    if (element === conjugation) return [{ element, key: this.#conjugationKey() }]
    const steps = stepsOfPower(3, ring, element)
    if (steps !== undefined) return [{ element, key: this.#rotationKey(element, steps) }]
    const negative = 2 * ring - element
    return [
      { element: negative, key: this.#rotationKey(negative, stepsOfPower(3, ring, negative)!) },
      { element: conjugation, key: this.#conjugationKey() },
    ]
  }

  #rotationKey(element: number, steps: number): GaloisKeys {
    const key = this.#made.get(element) ?? this.#make(steps)
    this.#made.delete(element)
    this.#made.set(element, key)
    return key
  }

  #conjugationKey(): GaloisKeys {
    // SEAL names conjugation by 0 steps.
    this.#conjugation ??= this.#generate(0)
    return this.#conjugation
  }

  #make(steps: number): GaloisKeys {
    for (const [oldest, key] of this.#made) {
      if (this.#made.size < this.#most) break
      this.#made.delete(oldest)
      key.delete()
    }
    return this.#generate(steps)
  }

  /** @param steps as SEAL counts them, by powers of 3 */
  #generate(steps: number): GaloisKeys {
    return guarded(this.#ctx.seal, () => this.#generator.createGaloisKeysWithSteps(Int32Array.of(steps)))
  }

  delete(): void {
    for (const key of this.#made.values()) key.delete()
    this.#made.clear()
    this.#conjugation?.delete()
    this.#conjugation = undefined
  }
}

/** The exponent below N / 2 of a power modulo 2N; undefined when the element is no such power. */
function stepsOfPower(base: number, ring: number, element: number): number | undefined {
  let power = base
  for (let steps = 1; steps < ring / 2; steps++) {
    if (power === element) return steps
    power = (power * base) % (2 * ring)
  }
  return undefined
}
