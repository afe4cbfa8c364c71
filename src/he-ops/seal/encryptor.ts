import type { CKKSEncoder, Encryptor, Evaluator, Plaintext, SecretKey } from 'node-seal'
import { isComplexVector } from '../../circuit/constants/slot-vector.ts'
import type { ComplexVector, SlotVector } from '../../circuit/types.ts'
import type { Rlwe, SeededRlwe } from '../../wire/index.ts'
import { decodePeriodic } from '../encoding/decode-periodic.ts'
import { requireEncodable } from '../encoding/encodable.ts'
import { decodeComplex, joinParts } from './complex-encoding.ts'
import type { SealContext } from './context.ts'
import { guarded, withHeap } from './runtime.ts'
import { ciphertextFromWire } from './serialization/ciphertexts.ts'
import { dataLevel, plaintextFromSeal, seededFromSeal } from './serialization/serialization.ts'
import { toSealOrder } from './slot-order.ts'

/**
 * Encrypts slot vectors under the secret key. The second polynomials are seeds.
 *
 * @param vectors at most N / 2 finite numbers each; missing slots are zero
 * @param level level of the ciphertexts
 * @param scale scale of the plaintexts
 * @throws TENSOR_OUT_OF_RANGE when a value is not finite, or too large for the level's modulus at this scale
 */
export function encryptSlots(
  ctx: SealContext,
  secretKey: SecretKey,
  vectors: readonly SlotVector[],
  level: number,
  scale: number,
): SeededRlwe[] {
  for (const vector of vectors) requireEncodable(ctx.parameters, vector, level, scale)
  return guarded(ctx.seal, () =>
    withHeap((own) => {
      const encoder = own(new ctx.seal.CKKSEncoder(ctx.context))
      const evaluator = own(new ctx.seal.Evaluator(ctx.context))
      // node-seal's Encryptor needs a public key, even for symmetric encryption.
      const publicKey = own(own(new ctx.seal.KeyGenerator(ctx.context, secretKey)).createPublicKey())
      const encryptor = own(new ctx.seal.Encryptor(ctx.context, publicKey, secretKey))
      const tools = { encoder, evaluator, encryptor }
      return vectors.map((vector) => encryptVector(ctx, tools, vector, level, scale))
    }),
  )
}

interface EncryptionTools {
  readonly encoder: CKKSEncoder
  readonly evaluator: Evaluator
  readonly encryptor: Encryptor
}

function encryptVector(
  ctx: SealContext,
  { encoder, evaluator, encryptor }: EncryptionTools,
  vector: SlotVector,
  level: number,
  scale: number,
): SeededRlwe {
  return withHeap((own) => {
    const encode = (part: Float64Array): Plaintext =>
      own(encodeReal(ctx, { encoder, evaluator }, part, level, scale))
    const plaintext = isComplexVector(vector)
      ? own(joinParts(ctx, evaluator, encode(vector.real), encode(vector.imaginary), level))
      : encode(vector)
    const ciphertext = own(encryptor.encryptSymmetricSerializable(plaintext))
    return seededFromSeal(
      dataLevel(ctx, level),
      ciphertext.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array,
    )
  })
}

function encodeReal(
  ctx: SealContext,
  { encoder, evaluator }: Pick<EncryptionTools, 'encoder' | 'evaluator'>,
  vector: Float64Array,
  level: number,
  scale: number,
): Plaintext {
  const plaintext = new ctx.seal.Plaintext()
  encoder.encode(toSealOrder(vector, ctx.parameters.slots), scale, plaintext)
  // node-seal encodes at the highest level only; symmetric encryption takes the plaintext's level.
  if (level < ctx.highestLevel) evaluator.plainModSwitchToInplace(plaintext, ctx.levelIds[level])
  return plaintext
}

/**
 * Decrypts the part of an answer that repeats after `period` slots; the rest is masked.
 *
 * @param pair that `decodeTensor` has checked, at `level`
 * @param scale scale of the message
 * @param period a power of two, at most N / 2
 */
export function decryptPeriodic(
  ctx: SealContext,
  secretKey: SecretKey,
  pair: Rlwe,
  level: number,
  scale: number,
  period: number,
): ComplexVector {
  return guarded(ctx.seal, () =>
    withHeap((own) => {
      const decryptor = own(new ctx.seal.Decryptor(ctx.context, secretKey))
      const plaintext = own(new ctx.seal.Plaintext())
      decryptor.decrypt(own(ciphertextFromWire(ctx, pair, level, scale)), plaintext)
      const bytes = plaintext.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array
      const { buffer } = plaintextFromSeal(dataLevel(ctx, level), bytes)
      return decodePeriodic(ctx.parameters, new BigUint64Array(buffer), level, scale, period)
    }),
  )
}

/**
 * Decrypts pairs that `decodeTensor` has checked.
 *
 * @param level level of the pairs
 * @param scale scale of the messages
 * @returns N / 2 slots for each pair
 */
export function decryptSlots(
  ctx: SealContext,
  secretKey: SecretKey,
  ciphertexts: readonly Rlwe[],
  level: number,
  scale: number,
): ComplexVector[] {
  return guarded(ctx.seal, () =>
    withHeap((own) => {
      const encoder = own(new ctx.seal.CKKSEncoder(ctx.context))
      const decryptor = own(new ctx.seal.Decryptor(ctx.context, secretKey))
      return ciphertexts.map((rlwe) =>
        withHeap((ownPair) => {
          const plaintext = ownPair(new ctx.seal.Plaintext())
          decryptor.decrypt(ownPair(ciphertextFromWire(ctx, rlwe, level, scale)), plaintext)
          return decodeComplex(ctx, encoder, plaintext, level)
        }),
      )
    }),
  )
}
