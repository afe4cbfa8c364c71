import type { PublicKey } from 'node-seal'
import type { FullRlwe, KeySetReader } from '../../wire/index.ts'
import { ciphertextFromWire, ciphertextToWire } from '../seal/ciphertexts.ts'
import type { SealContext } from '../seal/context.ts'
import { rerandomise } from '../seal/rerandomise.ts'
import type { RestrictedContexts } from '../seal/restricted-contexts.ts'
import { guarded, withHeap } from '../seal/runtime.ts'
import { ciphertextToSeal, keyLevel } from '../seal/serialization.ts'
import type { SimdContext } from './context.ts'
import { PairLoader } from './loader.ts'

/** The client's public key, restricted to the primes of one level and one more, in a SEAL context of just these. */
interface OutputKey {
  readonly ctx: SealContext
  readonly publicKey: PublicKey
}

/** What re-randomises the ciphertexts that leave the server, one key for each level at which some do. */
export class OutputKeys {
  readonly #keys: ReadonlyMap<number, OutputKey>

  private constructor(keys: ReadonlyMap<number, OutputKey>) {
    this.#keys = keys
  }

  /**
   * @param contexts where the keys live; they outlive them
   * @param levels of the ciphertexts that leave
   */
  static async load(
    context: SimdContext,
    contexts: RestrictedContexts,
    reader: KeySetReader,
    levels: readonly number[],
  ): Promise<OutputKeys> {
    const keys = new Map<number, OutputKey>()
    try {
      for (const level of new Set(levels)) {
        keys.set(level, await loadOutputKey(context, contexts.at(level), reader))
      }
      return new OutputKeys(keys)
    } catch (error) {
      free(keys)
      throw error
    }
  }

  /**
   * A ciphertext of the same message that tells nothing of how it was computed; see `rerandomise`.
   *
   * @param ciphertext at `level`
   */
  rerandomise(
    ciphertext: FullRlwe,
    level: number,
    { scale, flooding }: { readonly scale: number; readonly flooding: number },
  ): FullRlwe {
    const { ctx, publicKey } = this.#keys.get(level)!
    return withHeap((own) => {
      const loaded = own(ciphertextFromWire(ctx, ciphertext, level, scale))
      return ciphertextToWire(ctx, own(rerandomise(ctx, publicKey, loaded, { flooding })))
    })
  }

  delete(): void {
    free(this.#keys)
  }
}

function free(keys: ReadonlyMap<number, OutputKey>): void {
  for (const { publicKey } of keys.values()) publicKey.delete()
}

/**
 * Loads what encrypts zeros to add to ciphertexts that leave. A public key modulo fewer primes is still one, and
 * encrypting under it is as much faster as the primes are fewer.
 *
 * @param reader of a key set whose digest has been checked; every residue of its public key is checked here
 * @param ctx restricted to the ciphertexts' level: SEAL encrypts under one prime more and divides by it
 * @returns on node-seal's heap; nothing is left in kernel memory
 * @throws TENSOR_MALFORMED when a residue is not below its prime; TOO_LARGE
 */
async function loadOutputKey(
  context: SimdContext,
  ctx: SealContext,
  reader: KeySetReader,
): Promise<OutputKey> {
  const level = keyLevel(ctx)
  const publicKey = new ctx.seal.PublicKey()
  try {
    const [c0, c1] = await publicPolynomials(context, reader, level.primes.length)
    const bytes = ciphertextToSeal(level, { c0, c1 }, 1)
    guarded(ctx.seal, () => publicKey.loadFromArray(ctx.context, bytes))
    return { ctx, publicKey }
  } catch (error) {
    publicKey.delete()
    throw error
  }
}

/** The first `count` primes' residues of both polynomials, as pairs of halves. */
async function publicPolynomials(
  context: SimdContext,
  reader: KeySetReader,
  count: number,
): Promise<Uint32Array[]> {
  const { heap, limbBytes, moduli, ring } = context
  const pair = await reader.packedPublicKey()
  return heap.attempt(() => {
    const loader = new PairLoader(context)
    const addresses = [0, 1].map(() => heap.allocate(limbBytes * moduli.length))
    loader.load(pair, addresses[0], addresses[1])
    const polynomials = addresses.map((address) => {
      const out = new Uint32Array(2 * ring * count)
      heap.words(address, ring * count).forEach((residue, i) => {
        out[2 * i] = residue
      })
      return out
    })
    for (const address of addresses) heap.free(address)
    loader.free()
    return polynomials
  })
}
