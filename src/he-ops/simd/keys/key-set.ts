import type { KeyLevels } from '../../../circuit/keys.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import { type FarStorage, NOTHING_FAR } from '../../../schedule/far-storage.ts'
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
import { keyLayout } from './key-layout.ts'
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
 * The keys of one client in an engine's memory, on the heap until `free`. Each circuit loads the keys that it
 * needs and that no circuit has loaded before. A key that was loaded up to a lower level is loaded again; the
 * programs that read the first copy keep it.
 */
export class SimdKeySet implements SimdKeys {
  readonly #context: SimdContext
  readonly #galoisKeys = new Map<number, SwitchingKey>()
  /** The memory of all keys. */
  readonly #owned: { readonly bytes: number; free(): void }[] = []
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

  /** Bytes of memory that the keys take. */
  get bytes(): number {
    return this.#owned.reduce((sum, { bytes }) => sum + bytes, 0)
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
   * @param isFarKey says which of the missing keys are kept in far memory
   * @throws ExecutionStopped; KEYS_MISSING with the Galois elements that the set lacks, before anything is
   *   loaded; TENSOR_MALFORMED; TOO_LARGE when the memory does not suffice; errors of `runner`. Keys that
   *   were loaded before stay.
   */
  async load(
    reader: KeySetReader,
    levels: KeyLevels,
    runner: ProgramRunner = inlineRunner(this.#context),
    shouldStop: () => boolean = () => false,
    isFarKey: FarStorage['isFarKey'] = NOTHING_FAR.isFarKey,
  ): Promise<void> {
    const wanted = this.#wanted(reader, levels, isFarKey)
    const loaders = this.#loaders(wanted, runner)
    try {
      let next = wanted[0]?.read()
      for (const [i, key] of wanted.entries()) {
        const pairs = await next
        if (shouldStop()) throw new ExecutionStopped(0)
        // Read ahead, while this key is loaded.
        next = wanted[i + 1]?.read()
        next?.catch(() => {})
        const { context } = key
        key.keep(await this.#loadKey(context, loaders.get(context)!, pairs, key))
      }
    } finally {
      for (const loader of loaders.values()) loader.free()
    }
  }

  free(): void {
    for (const key of this.#owned.splice(0)) key.free()
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
  #wanted(reader: KeySetReader, { relin, galois }: KeyLevels, isFarKey: FarStorage['isFarKey']): WantedKey[] {
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
        isFar: isFarKey(element),
        read: () => reader.packedGaloisKey(element),
        keep: (key) => this.#galoisKeys.set(element, key),
      }))
    return [
      ...this.#wantedRelinKey(reader, relin, isFarKey('relin')),
      ...this.#wantedRaiseKeys(reader, isFarKey('up')),
      ...wanted,
    ]
  }

  #wantedRelinKey(reader: KeySetReader, level: number | undefined, isFar: boolean): WantedKey[] {
    if (level === undefined || !isBelow(this.#relinKey, level)) return []
    const keep = (key: SwitchingKey): void => {
      this.#relinKey = key
    }
    return [{ context: this.#context, element: 1, level, isFar, read: () => reader.packedRelinKey(), keep }]
  }

  /** @param isFar whether the key of the switch back is kept in far memory */
  #wantedRaiseKeys(reader: KeySetReader, isFar: boolean): WantedKey[] {
    const { ephemeral } = this.#context
    if (ephemeral === undefined) return []
    const wanted = (name: RaiseKeyName, context: SimdContext, isFar: boolean): WantedKey[] => {
      if (this.#raiseKeys[name] !== undefined) return []
      const keep = (key: SwitchingKey): void => {
        this.#raiseKeys[name] = key
      }
      const level = context.parameters.topLevel
      return [{ context, element: 1, level, isFar, read: () => reader.packedRaiseKey(name), keep }]
    }
    return [...wanted('down', ephemeral, false), ...wanted('up', this.#context, isFar)]
  }

  async #loadKey(
    context: SimdContext,
    loader: KeyLoader,
    pairs: readonly PackedRlwe[],
    { element, level, isFar }: WantedKey,
  ): Promise<SwitchingKey> {
    const { galois, heap, parameters, ring } = context
    const table = element === 1 ? undefined : galois.table(inverseElement(element, ring))
    const bytes = switchingKeyBytes(parameters, level)
    const near = heap.allocate(bytes)
    let base = near
    try {
      await loader.load(pairs, keyLayout(context, level, near), table)
      if (isFar) {
        base = heap.far.allocate(bytes)
        heap.far.write(base, heap.bytes(near, bytes))
        heap.free(near)
      }
    } catch (error) {
      heap.free(near)
      throw error
    }
    const memory = isFar ? heap.far : heap
    this.#owned.push({ bytes, free: () => memory.free(base) })
    return keyLayout(context, level, base, isFar)
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
  /** Whether it is kept in far memory. */
  readonly isFar: boolean
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
