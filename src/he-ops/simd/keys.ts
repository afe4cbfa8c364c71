import { galoisElement } from '../../circuit/keys.ts'
import { type CkksParameters, digitCount } from '../../circuit/parameters.ts'
import { type KeySetReader, keysMissing, type PackedRlwe } from '../../wire/index.ts'
import type { SimdContext } from './context.ts'
import { PairLoader } from './loader.ts'

/** A key switching key in kernel memory, in Montgomery form and NTT form: a pair of polynomials for each digit. */
export interface SwitchingKey {
  /** Address of polynomial `p` of digit j's pair modulo `SimdContext.moduli[index]`. */
  address(j: number, p: number, index: number): number
}

/** What a server evaluates with; on the heap until `free`. */
export interface SimdKeys {
  /** For relinearisation, from the square of the secret key. */
  readonly relinKey: SwitchingKey
  /**
   * By rotation steps. Each is permuted by the inverse of its automorphism, so that sums of digits times key are permuted
   * afterwards, once.
   */
  readonly galoisKeys: ReadonlyMap<number, SwitchingKey>
  /** Kernel memory that the keys take. */
  readonly bytes: number
  /** Gives the keys back; programs that read them must not be run any more. */
  free(): void
}

/** Bytes of one key switching key in kernel memory. */
export const switchingKeyBytes = (parameters: CkksParameters): number =>
  2 *
  digitCount(parameters) *
  (parameters.primes.length + parameters.specialPrimes.length) *
  4 *
  parameters.ring

/**
 * Loads the keys that a circuit needs from a key set, key by key, checking every residue on the way.
 *
 * @param reader of a key set whose digest has been checked
 * @param wantedSteps rotation steps of the circuit; further keys of the set are not loaded
 * @throws KEYS_MISSING with the Galois elements that the set lacks; TENSOR_MALFORMED, TOO_LARGE; no key is left then
 */
export async function loadSimdKeys(
  context: SimdContext,
  reader: KeySetReader,
  wantedSteps: readonly number[],
): Promise<SimdKeys> {
  const { ring } = context
  const elements = new Map(wantedSteps.map((steps) => [steps, galoisElement(ring, steps)]))
  const present = new Set(reader.galoisElements)
  const missing = [...elements.values()].filter((element) => !present.has(element))
  if (missing.length > 0) throw keysMissing(missing)
  const loader = new KeyLoader(context)
  try {
    const relinKey = loader.load(await reader.packedRelinKey(), 1)
    const galoisKeys = new Map<number, SwitchingKey>()
    for (const [steps, element] of elements) {
      galoisKeys.set(steps, loader.load(await reader.packedGaloisKey(element), element))
    }
    return { relinKey, galoisKeys, bytes: loader.bytes, free: () => loader.free() }
  } catch (error) {
    loader.free()
    throw error
  }
}

class KeyLoader {
  readonly #context: SimdContext
  readonly #pairs: PairLoader
  readonly #keys: number[] = []

  constructor(context: SimdContext) {
    this.#context = context
    this.#pairs = new PairLoader(context)
  }

  get bytes(): number {
    return this.#keys.length * switchingKeyBytes(this.#context.parameters)
  }

  /** @param element of the automorphism whose inverse permutes the key; 1 for none */
  load(pairs: readonly PackedRlwe[], element: number): SwitchingKey {
    const { heap, limbBytes, moduli, parameters } = this.#context
    const base = heap.allocate(switchingKeyBytes(parameters))
    this.#keys.push(base)
    const polynomialBytes = moduli.length * limbBytes
    const address = (j: number, p: number, index: number): number =>
      base + (2 * j + p) * polynomialBytes + index * limbBytes
    pairs.forEach((pair, j) => {
      this.#pairs.load(pair, address(j, 0, 0), address(j, 1, 0))
      for (let p = 0; p < 2; p++) this.#prepare(address(j, p, 0), element)
    })
    return { address }
  }

  free(): void {
    for (const key of this.#keys.splice(0)) this.#context.heap.free(key)
    this.#pairs.free()
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
