import type { KeyLevels } from '../../../circuit/keys.ts'
import { digitCount } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { switchingKeyBytes } from '../../../schedule/key-memory.ts'
import {
  type KeySetReader,
  keysMissing,
  type PackedRlwe,
  type RaiseKeyName,
  raiseKeysMissing,
} from '../../../wire/index.ts'
import { ExecutionStopped } from '../../executor.ts'
import type { SimdContext } from '../context.ts'
import { inlineRunner, type ProgramRunner } from '../threads/run.ts'
import { KeyLoader } from './key-loader.ts'
import type { RaiseKeys, SwitchingKey } from './switching-key.ts'

/** Keys that a program reads. */
export interface SimdKeys {
  /** Relinearisation key: from the square of the secret key. */
  readonly relinKey: SwitchingKey
  /**
   * By Galois element. Each key is permuted by the inverse of its automorphism, so that a sum of digits times
   * key is permuted once, afterwards.
   */
  readonly galoisKeys: ReadonlyMap<number, SwitchingKey>
  /** @throws KEYS_MISSING when nothing is raised */
  readonly raiseKeys: RaiseKeys
}

/**
 * The keys of one client in kernel memory, on the heap until `free`. Each circuit loads the keys that it
 * needs and that no circuit has loaded before. A key that was loaded up to a lower level is loaded again; the
 * programs that read the first copy keep it.
 */
export class SimdKeySet implements SimdKeys {
  readonly #context: SimdContext
  readonly #galoisKeys = new Map<number, SwitchingKey>()
  /** Bytes of all keys, by address. */
  readonly #keys = new Map<number, number>()
  readonly #raiseKeys: { down?: SwitchingKey; up?: SwitchingKey } = {}
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

  get raiseKeys(): RaiseKeys {
    const { down, up } = this.#raiseKeys
    if (down && up) return { down, up }
    throw raiseKeysMissing()
  }

  /** Bytes of kernel memory that the keys take. */
  get bytes(): number {
    return [...this.#keys.values()].reduce((sum, bytes) => sum + bytes, 0)
  }

  /**
   * Loads the missing keys one after the other, and checks every residue that it loads: the relinearisation
   * key, those of the ephemeral secret if the parameters have a raise level, and Galois keys. Only one call
   * at a time.
   *
   * @param levels up to which a circuit uses its keys; further keys of the set, and primes of higher levels,
   *   are not loaded
   * @param runner of the loading programs; by default the calling thread
   * @param shouldStop asked before each key
   * @throws ExecutionStopped; KEYS_MISSING with the Galois elements that the set lacks, before anything is
   *   loaded; TENSOR_MALFORMED; TOO_LARGE when the memory does not suffice; errors of `runner`. Keys that
   *   were loaded before stay.
   */
  async load(
    reader: KeySetReader,
    levels: KeyLevels,
    runner: ProgramRunner = inlineRunner(this.#context),
    shouldStop: () => boolean = () => false,
  ): Promise<void> {
    const wanted = this.#wanted(reader, levels)
    const loaders = this.#loaders(wanted, runner)
    try {
      let next = wanted[0]?.read()
      for (const [i, { context, element, level, keep }] of wanted.entries()) {
        const pairs = await next
        if (shouldStop()) throw new ExecutionStopped(0)
        // Read ahead, while this key is loaded.
        next = wanted[i + 1]?.read()
        next?.catch(() => {})
        keep(await this.#loadKey(context, loaders.get(context)!, pairs, element, level))
      }
    } finally {
      for (const loader of loaders.values()) loader.free()
    }
  }

  free(): void {
    for (const key of this.#keys.keys()) this.#context.heap.free(key)
    this.#keys.clear()
    this.#galoisKeys.clear()
    this.#relinKey = undefined
    this.#raiseKeys.down = undefined
    this.#raiseKeys.up = undefined
  }

  /** A loader for each context of the keys. Their memory is allocated before that of the keys. */
  #loaders(wanted: readonly WantedKey[], runner: ProgramRunner): ReadonlyMap<SimdContext, KeyLoader> {
    const contexts = [...new Set(wanted.map(({ context }) => context))]
    return this.#context.heap.attempt(
      () => new Map(contexts.map((context) => [context, new KeyLoader(context, runner)])),
    )
  }

  /** The keys to load. */
  #wanted(reader: KeySetReader, { relin, galois }: KeyLevels): WantedKey[] {
    const present = new Set(reader.galoisElements)
    const missing = [...galois.keys()].filter((element) => !present.has(element))
    if (missing.length > 0) throw keysMissing(missing)
    const context = this.#context
    const wanted: WantedKey[] = [...galois]
      .filter(([element, level]) => isBelow(this.#galoisKeys.get(element), level))
      .map(([element, level]) => ({
        context,
        element,
        level,
        read: () => reader.packedGaloisKey(element),
        keep: (key) => this.#galoisKeys.set(element, key),
      }))
    return [...this.#wantedRelinKey(reader, relin), ...this.#wantedRaiseKeys(reader), ...wanted]
  }

  #wantedRelinKey(reader: KeySetReader, level: number | undefined): WantedKey[] {
    if (level === undefined || !isBelow(this.#relinKey, level)) return []
    const keep = (key: SwitchingKey): void => {
      this.#relinKey = key
    }
    return [{ context: this.#context, element: 1, level, read: () => reader.packedRelinKey(), keep }]
  }

  #wantedRaiseKeys(reader: KeySetReader): WantedKey[] {
    const { ephemeral } = this.#context
    if (ephemeral === undefined) return []
    const wanted = (name: RaiseKeyName, context: SimdContext): WantedKey[] => {
      if (this.#raiseKeys[name] !== undefined) return []
      const keep = (key: SwitchingKey): void => {
        this.#raiseKeys[name] = key
      }
      const level = context.parameters.topLevel
      return [{ context, element: 1, level, read: () => reader.packedRaiseKey(name), keep }]
    }
    return [...wanted('down', ephemeral), ...wanted('up', this.#context)]
  }

  async #loadKey(
    { galois, heap, limbBytes, moduli, parameters, ring }: SimdContext,
    loader: KeyLoader,
    pairs: readonly PackedRlwe[],
    element: number,
    level: number,
  ): Promise<SwitchingKey> {
    const table = element === 1 ? undefined : galois.table(inverseElement(element, ring))
    const bytes = switchingKeyBytes(parameters, level)
    const base = heap.allocate(bytes)
    const left = parameters.topLevel - level
    const indices = moduli.map((_, index) => index).filter((index) => index <= level || index > level + left)
    const placeOf = (index: number): number => (index <= level ? index : index - left)
    const address = (j: number, p: number, index: number): number =>
      base + ((2 * j + p) * indices.length + placeOf(index)) * limbBytes
    const key = { level, digits: digitCount(parameters, level), indices, address }
    try {
      await loader.load(pairs, key, table)
      this.#keys.set(base, bytes)
      return key
    } catch (error) {
      heap.free(base)
      throw error
    }
  }
}

/** A key that is to be loaded. */
interface WantedKey {
  /** The context of its primes. */
  readonly context: SimdContext
  /** The Galois element of the automorphism whose inverse permutes the key; 1 for no permutation. */
  readonly element: number
  /** Up to which it is used. */
  readonly level: number
  read(): Promise<readonly PackedRlwe[]>
  keep(key: SwitchingKey): void
}

/** Whether a key is absent, or cannot be used at a level. */
const isBelow = (key: SwitchingKey | undefined, level: number): boolean =>
  key === undefined || key.level < level

/** The element, below 2N, of the inverse automorphism: units modulo 2N have orders that divide N / 2. */
export function inverseElement(element: number, ring: number): number {
  const modulus = 2n * BigInt(ring)
  let inverse = 1n
  for (let i = 1; i < ring / 2; i *= 2) inverse = (inverse * inverse * BigInt(element)) % modulus
  return Number(inverse)
}
