import { galoisElement } from '../../circuit/keys.ts'
import { type CkksParameters, digitCount } from '../../circuit/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type KeySetReader, keysMissing, type PackedRlwe } from '../../wire/index.ts'
import type { SimdContext } from './context.ts'
import { PairLoader } from './loader.ts'

/** A key switching key in kernel memory, in Montgomery form and NTT form: a pair of polynomials for each digit. */
export interface SwitchingKey {
  /** Address of polynomial `p` of digit j's pair modulo `SimdContext.moduli[index]`. */
  address(j: number, p: number, index: number): number
}

/** Bytes of one key switching key in kernel memory. */
export const switchingKeyBytes = (parameters: CkksParameters): number =>
  2 *
  digitCount(parameters) *
  (parameters.primes.length + parameters.specialPrimes.length) *
  4 *
  parameters.ring

/** What a program reads of a key set. */
export interface SimdKeys {
  /** For relinearisation, from the square of the secret key. */
  readonly relinKey: SwitchingKey
  /**
   * By rotation steps. Each is permuted by the inverse of its automorphism, so that sums of digits times key are permuted
   * afterwards, once.
   */
  readonly galoisKeys: ReadonlyMap<number, SwitchingKey>
}

/**
 * The keys of one client in kernel memory, loaded as circuits ask for them: what one circuit has brought in serves the
 * others. On the heap until `free`.
 */
export class SimdKeySet implements SimdKeys {
  readonly #context: SimdContext
  readonly #galoisKeys = new Map<number, SwitchingKey>()
  /** Addresses of all keys. */
  readonly #keys: number[] = []
  #relinKey: SwitchingKey | undefined

  constructor(context: SimdContext) {
    this.#context = context
  }

  get relinKey(): SwitchingKey {
    if (this.#relinKey) return this.#relinKey
    throw new PolyVeilError('KEYS_MISSING', 'There is no relinearisation key')
  }

  get galoisKeys(): ReadonlyMap<number, SwitchingKey> {
    return this.#galoisKeys
  }

  /** Kernel memory that the keys take. */
  get bytes(): number {
    return this.#keys.length * switchingKeyBytes(this.#context.parameters)
  }

  /**
   * Loads what is not there yet, key by key, checking every residue on the way.
   *
   * @param wantedSteps rotation steps of a circuit; further keys of the set are not loaded
   * @throws KEYS_MISSING with the Galois elements that the set lacks, before anything is loaded; TENSOR_MALFORMED;
   *   TOO_LARGE when the memory does not suffice. Keys loaded before stay.
   */
  async load(reader: KeySetReader, wantedSteps: readonly number[]): Promise<void> {
    const { ring } = this.#context
    const present = new Set(reader.galoisElements)
    const elements = new Map(wantedSteps.map((steps) => [steps, galoisElement(ring, steps)]))
    const missing = [...elements.values()].filter((element) => !present.has(element))
    if (missing.length > 0) throw keysMissing(missing)
    const pairs = new PairLoader(this.#context)
    try {
      this.#relinKey ??= this.#loadKey(pairs, await reader.packedRelinKey(), 1)
      for (const [steps, element] of elements) {
        if (this.#galoisKeys.has(steps)) continue
        this.#galoisKeys.set(steps, this.#loadKey(pairs, await reader.packedGaloisKey(element), element))
      }
    } finally {
      pairs.free()
    }
  }

  free(): void {
    for (const key of this.#keys.splice(0)) this.#context.heap.free(key)
    this.#galoisKeys.clear()
    this.#relinKey = undefined
  }

  /** @param element of the automorphism whose inverse permutes the key; 1 for none */
  #loadKey(loader: PairLoader, pairs: readonly PackedRlwe[], element: number): SwitchingKey {
    const { heap, limbBytes, moduli, parameters } = this.#context
    const base = heap.allocate(switchingKeyBytes(parameters))
    const polynomialBytes = moduli.length * limbBytes
    const address = (j: number, p: number, index: number): number =>
      base + (2 * j + p) * polynomialBytes + index * limbBytes
    try {
      pairs.forEach((pair, j) => {
        loader.load(pair, address(j, 0, 0), address(j, 1, 0))
        for (let p = 0; p < 2; p++) this.#prepare(address(j, p, 0), element)
      })
    } catch (error) {
      heap.free(base)
      throw error
    }
    this.#keys.push(base)
    return { address }
  }

  /** To Montgomery form, permuted. */
  #prepare(polynomial: number, element: number): void {
    const { heap, galois, kernels, limbBytes, moduli, ring } = this.#context
    const table = element === 1 ? undefined : galois.table(inverseElement(element, ring))
    const scratch = heap.allocate(limbBytes)
    moduli.forEach(({ q, montgomery }, index) => {
      const at = polynomial + index * limbBytes
      const target = table === undefined ? at : scratch
      kernels.scale(target, at, 0, montgomery.w, montgomery.quotient, ring, q)
      if (table !== undefined) kernels.permute(at, scratch, table, galois.patterns, ring)
    })
    heap.free(scratch)
  }
}

/** The element, below 2N, of the inverse automorphism: units modulo 2N have orders that divide N / 2. */
export function inverseElement(element: number, ring: number): number {
  const modulus = 2n * BigInt(ring)
  let inverse = 1n
  for (let i = 1; i < ring / 2; i *= 2) inverse = (inverse * inverse * BigInt(element)) % modulus
  return Number(inverse)
}
