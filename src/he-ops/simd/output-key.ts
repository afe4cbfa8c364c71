import type { PublicKey } from 'node-seal'
import { checkParameters, parametersLiteral } from '../../circuit/parameters.ts'
import type { KeySetReader } from '../../wire/index.ts'
import { createSealContext, type SealContext } from '../seal/context.ts'
import { guarded, loadSeal } from '../seal/runtime.ts'
import { ciphertextToSeal, keyLevel } from '../seal/serialization.ts'
import type { SimdContext } from './context.ts'
import { PairLoader } from './loader.ts'

/** The client's public key, restricted to the primes of one level and one more, in a SEAL context of just these. */
export interface OutputKey {
  readonly ctx: SealContext
  readonly publicKey: PublicKey
  delete(): void
}

/**
 * Loads what encrypts zeros to add to results. A public key modulo fewer primes is still one, and encrypting under it is
 * as much faster as the primes are fewer.
 *
 * @param reader of a key set whose digest has been checked; every residue of its public key is checked here
 * @param level of the results; it becomes the context's highest
 * @returns on node-seal's heap until `delete`; nothing is left in kernel memory
 * @throws TENSOR_MALFORMED when a residue is not below its prime; TOO_LARGE
 */
export async function loadPublicKey(
  context: SimdContext,
  reader: KeySetReader,
  level: number,
): Promise<OutputKey> {
  const { parameters } = context
  const { ring, primes, specialPrimes } = parametersLiteral(parameters)
  const all = [...primes, ...specialPrimes]
  const ctx = createSealContext(
    await loadSeal(),
    // SEAL encrypts under one prime more and divides by it: any will do.
    checkParameters({ ring, primes: all.slice(0, level + 1), specialPrimes: [all[level + 1]] }),
  )
  const publicKey = new ctx.seal.PublicKey()
  try {
    const [c0, c1] = await publicPolynomials(context, reader, level + 2)
    const bytes = ciphertextToSeal(keyLevel(ctx), { c0, c1 }, 1)
    guarded(ctx.seal, () => publicKey.loadFromArray(ctx.context, bytes))
    return {
      ctx,
      publicKey,
      delete() {
        publicKey.delete()
        ctx.delete()
      },
    }
  } catch (error) {
    publicKey.delete()
    ctx.delete()
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
