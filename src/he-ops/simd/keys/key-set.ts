import { galoisElement } from '../../../circuit/keys.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { type KeySetReader, keysMissing, type PackedRlwe } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { inlineRunner, type ProgramRunner } from '../threads/run.ts'
import { KeyLoader } from './key-loader.ts'
import { type SwitchingKey, switchingKeyBytes } from './switching-key.ts'

/** What a program reads of a key set. */
export interface SimdKeys {
  /** For relinearisation, from the square of the secret key. */
  readonly relinKey: SwitchingKey
  /**
   * By rotation steps. Each is permuted by the inverse of its automorphism, so that sums of digits times key
   * are permuted afterwards, once.
   */
  readonly galoisKeys: ReadonlyMap<number, SwitchingKey>
}

/**
 * The keys of one client in kernel memory, loaded as circuits ask for them: what one circuit has brought in
 * serves the others. On the heap until `free`.
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
   * Loads what is not there yet, key by key, checking every residue on the way. One call at a time.
   *
   * @param wantedSteps rotation steps of a circuit; further keys of the set are not loaded
   * @param runner does the work; by default the calling thread
   * @throws KEYS_MISSING with the Galois elements that the set lacks, before anything is loaded;
   *   TENSOR_MALFORMED; TOO_LARGE when the memory does not suffice; what `runner` throws. Keys loaded before
   *   stay.
   */
  async load(
    reader: KeySetReader,
    wantedSteps: readonly number[],
    runner: ProgramRunner = inlineRunner(this.#context),
  ): Promise<void> {
    const wanted = this.#wanted(reader, wantedSteps)
    const loader = new KeyLoader(this.#context, runner)
    try {
      let next = wanted[0]?.read()
      for (const [i, { element, keep }] of wanted.entries()) {
        const pairs = await next
        // Read while this key is being worked on.
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

  /** The keys to load, the relinearisation key among them. */
  #wanted(reader: KeySetReader, steps: readonly number[]): WantedKey[] {
    const { ring } = this.#context
    const elements = new Map(steps.map((step) => [step, galoisElement(ring, step)]))
    const present = new Set(reader.galoisElements)
    const missing = [...elements.values()].filter((element) => !present.has(element))
    if (missing.length > 0) throw keysMissing(missing)
    const wanted: WantedKey[] = [...elements]
      .filter(([step]) => !this.#galoisKeys.has(step))
      .map(([step, element]) => ({
        element,
        read: () => reader.packedGaloisKey(element),
        keep: (key) => this.#galoisKeys.set(step, key),
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
  /** Of the automorphism by whose inverse the key is permuted; 1 for none. */
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
