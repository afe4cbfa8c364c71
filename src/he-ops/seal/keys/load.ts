import type { GaloisKeys, PublicKey, RelinKeys } from 'node-seal'
import { ephemeralChain } from '../../../circuit/parameters/ephemeral.ts'
import {
  type CkksParameters,
  digitSize,
  ephemeralParameters,
  type KeySwitchingChain,
} from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import {
  type ByteSource,
  type KeySetReader,
  keysMissing,
  openKeySet,
  type Rlwe,
} from '../../../wire/index.ts'
import { createSealContext, type SealContext } from '../context.ts'
import type { SealRaiseKeys } from '../raise.ts'
import { type Deletable, guarded } from '../runtime.ts'
import { ciphertextToSeal, keyLevel, switchingKeyToSeal } from '../serialization/serialization.ts'

/** An automorphism that SEAL applies, with the one key that it needs. */
export interface KeyedAutomorphism {
  readonly element: number
  readonly key: GaloisKeys
}

/** Galois keys by Galois element. */
export interface GaloisKeySource {
  readonly size: number
  /**
   * The automorphisms that SEAL applies one after the other for the automorphism of `element`; undefined when
   * there is no key for it. Keys stay valid until the next call.
   */
  get(element: number): readonly KeyedAutomorphism[] | undefined
}

/** A source with one key for each element. */
export const singleKeys = (keys: ReadonlyMap<number, GaloisKeys>): GaloisKeySource => ({
  size: keys.size,
  get(element) {
    const key = keys.get(element)
    return key && [{ element, key }]
  },
})

/** A server's evaluation keys, on node-seal's heap until `delete`. */
export interface EvaluationKeys {
  readonly publicKey: PublicKey
  readonly relinKeys: RelinKeys
  readonly galoisKeys: GaloisKeySource
  /** Absent where nothing is raised, and with several special primes. */
  readonly raiseKeys?: SealRaiseKeys
  /** Heap bytes of the keys' residues. */
  readonly bytes: number
  delete(): void
}

/**
 * Loads the keys that a circuit needs from a key set, and checks everything before node-seal reads it. SEAL's
 * key switching needs exactly one special prime.
 *
 * @param source the frame; read key by key
 * @param wanted Galois elements of the circuit; further keys of the set are not loaded
 * @throws CONFIG_INVALID when the parameters have several special primes
 * @throws KEYS_MISSING with the Galois elements that the set lacks
 * @throws PARAMETERS_MISMATCH, TENSOR_MALFORMED, TOO_LARGE as `openKeySet`
 */
export async function loadKeySet(
  ctx: SealContext,
  source: ByteSource,
  wanted: readonly number[],
): Promise<EvaluationKeys> {
  if (digitSize(ctx.parameters) > 1) {
    throw new PolyVeilError('CONFIG_INVALID', 'The seal backend cannot use keys of several special primes')
  }
  const reader = await openKeySet(ctx.parameters, source)
  const present = new Set(reader.galoisElements)
  const missing = wanted.filter((element) => !present.has(element))
  if (missing.length > 0) throw keysMissing(missing)
  const loader = keyLoader(ctx, reader)
  try {
    const publicKey = await loader.publicKey()
    const relinKeys = await loader.relinKeys()
    const galoisKeys = new Map<number, GaloisKeys>()
    for (const element of wanted) galoisKeys.set(element, await loader.galoisKey(element))
    const raiseKeys = await loader.raiseKeys()
    return {
      publicKey,
      relinKeys,
      galoisKeys: singleKeys(galoisKeys),
      ...(raiseKeys && { raiseKeys }),
      bytes: heapBytes(ctx.parameters, galoisKeys.size),
      delete: loader.free,
    }
  } catch (cause) {
    loader.free()
    throw cause
  }
}

/** Copies keys from a reader to node-seal's heap, one at a time. `free` deletes all of them. */
function keyLoader(ctx: SealContext, reader: KeySetReader) {
  const { seal, context, parameters } = ctx
  const level = keyLevel(ctx)
  const owned: Deletable[] = []
  const load = <K extends Loadable>(key: K, bytes: Uint8Array, into = context): K => {
    owned.push(key)
    guarded(seal, () => key.loadFromArray(into, bytes))
    return key
  }
  const asRelinKeys = (pairs: readonly Rlwe[], into = ctx): RelinKeys => {
    const bytes = switchingKeyToSeal(keyLevel(into), pairs, { vectors: 1, vector: 0 })
    return load(new seal.RelinKeys(), bytes, into.context)
  }
  return {
    publicKey: async () => load(new seal.PublicKey(), ciphertextToSeal(level, await reader.publicKey(), 1)),
    relinKeys: async () => asRelinKeys(await reader.relinKey()),
    async raiseKeys(): Promise<SealRaiseKeys | undefined> {
      const restricted = ephemeralParameters(parameters)
      if (restricted === undefined) return undefined
      const ephemeral = createSealContext(seal, restricted)
      owned.push(ephemeral)
      return {
        ephemeral,
        down: asRelinKeys(await reader.raiseKey('down'), ephemeral),
        up: asRelinKeys(await reader.raiseKey('up')),
      }
    },
    async galoisKey(element: number) {
      const place = { vectors: parameters.ring, vector: (element - 1) / 2 }
      const bytes = switchingKeyToSeal(level, await reader.galoisKey(element), place)
      return load(new seal.GaloisKeys(), bytes)
    },
    free() {
      for (const object of owned.splice(0).reverse()) object.delete()
    },
  }
}

interface Loadable extends Deletable {
  loadFromArray(context: SealContext['context'], bytes: Uint8Array): void
}

/**
 * Heap of a public key, 1 + `galoisKeys` key switching keys, and the keys of the ephemeral secret: two
 * polynomials of 8-byte residues for the public key and for each of SEAL's digits, which have one prime each.
 */
export function heapBytes(parameters: CkksParameters, galoisKeys: number): number {
  const { ring, raiseLevel } = parameters
  const keys = 1 + galoisKeys + (raiseLevel === undefined ? 0 : 1)
  const own = pairsBytes(ring, parameters, 1 + keys * digitsOf(parameters))
  if (raiseLevel === undefined) return own
  const down = ephemeralChain(parameters, raiseLevel)
  return own + pairsBytes(ring, down, digitsOf(down))
}

/** SEAL has one special prime, and takes the other ones for data primes. */
const digitsOf = ({ primes, specialPrimes }: KeySwitchingChain): number =>
  primes.length + specialPrimes.length - 1

const pairsBytes = (ring: number, { primes, specialPrimes }: KeySwitchingChain, pairs: number): number =>
  pairs * 2 * (primes.length + specialPrimes.length) * ring * 8
