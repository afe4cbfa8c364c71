import type { SecretKey } from 'node-seal'
import { decodeSecretKey, encodeSecretKey, type Polynomial, polynomialHalves } from '../../../wire/index.ts'
import { requireSecret } from '../../secret.ts'
import type { SealContext } from '../context.ts'
import { guarded, withHeap } from '../runtime.ts'
import { keyLevel, plaintextFromSeal, plaintextToSeal } from '../serialization/serialization.ts'

/** A fresh ternary secret key from the platform's CSPRNG, on node-seal's heap; the caller deletes it. */
export function generateSecretKey(ctx: SealContext): SecretKey {
  return guarded(ctx.seal, () => withHeap((own) => own(new ctx.seal.KeyGenerator(ctx.context)).secretKey()))
}

/**
 * The secret key as a frame bound to the parameters. The frame is as secret as the key: encrypt it before it
 * is stored.
 */
export function exportSecretKey(ctx: SealContext, secretKey: SecretKey): Uint8Array {
  const secret = secretPolynomial(ctx, secretKey)
  const frame = encodeSecretKey(ctx.parameters, secret)
  secret.fill(0)
  return frame
}

/** A copy of the secret key's residues modulo all primes; the caller overwrites it. */
export function secretPolynomial(ctx: SealContext, secretKey: SecretKey): Polynomial {
  const bytes = secretKey.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array
  const secret = plaintextFromSeal(keyLevel(ctx), bytes)
  bytes.fill(0)
  return secret
}

/**
 * The inverse of `exportSecretKey`.
 *
 * @returns a key on node-seal's heap that the caller deletes
 * @throws PARAMETERS_MISMATCH when the key was made for other parameters; TENSOR_MALFORMED when it is damaged
 */
export function importSecretKey(ctx: SealContext, frame: Uint8Array): SecretKey {
  const secret = decodeSecretKey(ctx.parameters, frame)
  try {
    return loadSecretKey(ctx, secret)
  } finally {
    secret.fill(0)
  }
}

/**
 * A secret key in a context of all primes of its parameters, or of the first ones.
 *
 * @param secret residues, prime after prime, in the order of all primes; residues beyond the context's primes
 *   are not read
 * @returns a key on node-seal's heap that the caller deletes
 * @throws INTERNAL when the secret is zero
 */
export function loadSecretKey(ctx: SealContext, secret: Polynomial): SecretKey {
  requireSecret(secret)
  const level = keyLevel(ctx)
  const bytes = plaintextToSeal(level, secret.subarray(0, polynomialHalves(level)), 1)
  const key = new ctx.seal.SecretKey()
  try {
    guarded(ctx.seal, () => key.loadFromArray(ctx.context, bytes))
    return key
  } catch (cause) {
    key.delete()
    throw cause
  } finally {
    bytes.fill(0)
  }
}

/**
 * The secret key's residues in NTT form modulo the data primes, N 32-bit words for each; all primes below
 * 2^32. As secret as the key.
 */
export function secretResidues(ctx: SealContext, secretKey: SecretKey): Uint32Array {
  const { ring, primes } = ctx.parameters
  const bytes = secretKey.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array
  const halves = plaintextFromSeal(keyLevel(ctx), bytes)
  const residues = Uint32Array.from({ length: ring * primes.length }, (_, i) => halves[2 * i])
  bytes.fill(0)
  halves.fill(0)
  return residues
}
