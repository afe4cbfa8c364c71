import { PolyVeilError } from '../../../errors/index.ts'
import { type KeySetReader, keysMissing, type PackedRlwe } from '../../../wire/index.ts'
import { ExecutionStopped } from '../../executor.ts'
import type { SimdContext } from '../context.ts'
import { inlineRunner, type ProgramRunner } from '../threads/run.ts'
import { KeyLoader } from './key-loader.ts'
import { type SwitchingKey, switchingKeyBytes } from './switching-key.ts'

/** Keys that a program reads. */
export interface SimdKeys {
  /** Relinearisation key: from the square of the secret key. */
  readonly relinKey: SwitchingKey
  /**
   * By Galois element. Each key is permuted by the inverse of its automorphism, so that a sum of digits times
   * key is permuted once, afterwards.
   */
  readonly galoisKeys: ReadonlyMap<number, SwitchingKey>
}

/**
 * The keys of one client in kernel memory, on the heap until `free`. Each circuit loads the keys that it
 * needs and that no circuit has loaded before.
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

  /** Bytes of kernel memory that the keys take. */
  get bytes(): number {
    return this.#keys.length * switchingKeyBytes(this.#context.parameters)
  }

  /**
   * Loads the missing keys one after the other, and checks every residue. Only one call at a time.
   *
   * @param elements Galois elements of a circuit; further keys of the set are not loaded
   * @param runner of the loading programs; by default the calling thread
   * @param shouldStop asked before each key
   * @throws ExecutionStopped; KEYS_MISSING with the Galois elements that the set lacks, before anything is
   *   loaded; TENSOR_MALFORMED; TOO_LARGE when the memory does not suffice; errors of `runner`. Keys that
   *   were loaded before stay.
   */
  async load(
    reader: KeySetReader,
    elements: readonly number[],
    runner: ProgramRunner = inlineRunner(this.#context),
    shouldStop: () => boolean = () => false,
  ): Promise<void> {
    const wanted = this.#wanted(reader, elements)
    const loader = new KeyLoader(this.#context, runner)
    try {
      let next = wanted[0]?.read()
      for (const [i, { element, keep }] of wanted.entries()) {
        const pairs = await next
        if (shouldStop()) throw new ExecutionStopped(0)
        // Read ahead, while this key is loaded.
        next = wanted[i + 1]?.read()
        next?.catch(() => {})
        keep(await this.#loadKey(loader, pairs, element))
      }
    } finally {
      loader.free()
    }
  }

  free(): void {
    for (const key of this.#keys.splice(0)) this.#context.heap.free(key)
    this.#galoisKeys.clear()
    this.#relinKey = undefined
  }

  /** The keys to load, including the relinearisation key. */
  #wanted(reader: KeySetReader, elements: readonly number[]): WantedKey[] {
    const present = new Set(reader.galoisElements)
    const missing = elements.filter((element) => !present.has(element))
    if (missing.length > 0) throw keysMissing(missing)
    const wanted: WantedKey[] = elements
      .filter((element) => !this.#galoisKeys.has(element))
      .map((element) => ({
        element,
        read: () => reader.packedGaloisKey(element),
        keep: (key) => this.#galoisKeys.set(element, key),
      }))
    if (this.#relinKey === undefined) {
      wanted.unshift({
        element: 1,
        read: () => reader.packedRelinKey(),
        keep: (key) => {
          this.#relinKey = key
        },
      })
    }
    return wanted
  }

  async #loadKey(loader: KeyLoader, pairs: readonly PackedRlwe[], element: number): Promise<SwitchingKey> {
    const { galois, heap, limbBytes, moduli, parameters, ring } = this.#context
    const table = element === 1 ? undefined : galois.table(inverseElement(element, ring))
    const base = heap.allocate(switchingKeyBytes(parameters))
    const address = (j: number, p: number, index: number): number =>
      base + ((2 * j + p) * moduli.length + index) * limbBytes
    try {
      await loader.load(pairs, { address }, table)
      this.#keys.push(base)
      return { address }
    } catch (error) {
      heap.free(base)
      throw error
    }
  }
}

/** A key that is to be loaded. */
interface WantedKey {
  /** The Galois element of the automorphism whose inverse permutes the key; 1 for no permutation. */
  readonly element: number
  read(): Promise<readonly PackedRlwe[]>
  keep(key: SwitchingKey): void
}

/** The element, below 2N, of the inverse automorphism: units modulo 2N have orders that divide N / 2. */
export function inverseElement(element: number, ring: number): number {
  const modulus = 2n * BigInt(ring)
  let inverse = 1n
  for (let i = 1; i < ring / 2; i *= 2) inverse = (inverse * inverse * BigInt(element)) % modulus
  return Number(inverse)
}
