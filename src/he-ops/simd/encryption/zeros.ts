import type { Polynomial, SeededRlwe } from '../../../wire/index.ts'
import type { SealContext } from '../../seal/context.ts'
import { loadSecretKey } from '../../seal/keys-secret.ts'
import { type Deletable, guarded } from '../../seal/runtime.ts'
import { dataLevel, seededFromSeal } from '../../seal/serialization.ts'

/** Fresh encryptions of zero modulo one prime. Holds the secret key on node-seal's heap until `delete`. */
export interface ZeroSource {
  /** c0 = -(a * s + e) with a uniform and expanded from the seed, both and the error e sampled by node-seal. */
  next(): SeededRlwe
  delete(): void
}

/**
 * Encryptions of zero under a secret key modulo the first prime of its parameters, by node-seal's symmetric encryption.
 *
 * @param ctx restricted to level 0; not needed any more once this returns
 * @param secret the secret key's residues modulo all primes; read now, not kept
 */
export function createZeroSource(ctx: SealContext, secret: Polynomial): ZeroSource {
  const owned: Deletable[] = []
  const free = (): void => {
    for (const object of owned.splice(0).reverse()) object.delete()
  }
  try {
    const encrypt = guarded(ctx.seal, () => zeroEncryptor(ctx, secret, owned))
    return { next: () => guarded(ctx.seal, encrypt), delete: free }
  } catch (error) {
    free()
    throw error
  }
}

/**
 * @param secret residues modulo the context's two primes, and whatever follows
 * @param owned gets what has to be deleted
 */
function zeroEncryptor(ctx: SealContext, secret: Polynomial, owned: Deletable[]): () => SeededRlwe {
  const { seal, context } = ctx
  const own = <D extends Deletable>(object: D): D => {
    owned.push(object)
    return object
  }
  const secretKey = own(loadSecretKey(ctx, secret))
  // node-seal's Encryptor insists on a public key even where it encrypts under the secret one.
  const publicKey = own(own(new seal.KeyGenerator(context, secretKey)).createPublicKey())
  const encryptor = own(new seal.Encryptor(context, publicKey, secretKey))
  const zero = own(new seal.Plaintext())
  own(new seal.CKKSEncoder(context)).encode(Float64Array.of(0), 1, zero)
  const lowest = dataLevel(ctx, 0)
  return () => {
    const encrypted = encryptor.encryptSymmetricSerializable(zero)
    try {
      return seededFromSeal(lowest, encrypted.saveToArray(seal.ComprModeType.none) as Uint8Array)
    } finally {
      encrypted.delete()
    }
  }
}
