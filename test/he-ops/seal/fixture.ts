import type { Ciphertext, Plaintext, SecretKey } from 'node-seal'
import { isComplexVector } from '../../../src/circuit/constants/slot-vector.ts'
import { conjugationElement, rotationElements } from '../../../src/circuit/keys.ts'
import { type CkksParameters, checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { ComplexVector, SlotVector } from '../../../src/circuit/types.ts'
import { decodeComplex, encodeComplex } from '../../../src/he-ops/seal/complex-encoding.ts'
import { createSealContext, type SealContext } from '../../../src/he-ops/seal/context.ts'
import type { EvaluationKeys } from '../../../src/he-ops/seal/keys/index.ts'
import { generateNativeKeys } from '../../../src/he-ops/seal/keys/native.ts'
import { loadSeal, withHeap } from '../../../src/he-ops/seal/runtime.ts'
import { fromSealOrder, toSealOrder } from '../../../src/he-ops/seal/slot-order.ts'

/**
 * Parameters of the smallest ring, 128 bits of security: data primes of the given sizes, then the special
 * ones.
 */
export function smallParameters(
  bits: readonly number[] = [50, 40, 30],
  ...special: readonly number[]
): CkksParameters {
  const primes = nttPrimes(8192, [...bits, ...(special.length > 0 ? special : [60])]).map(String)
  return checkParameters({
    ring: 8192,
    primes: primes.slice(0, bits.length),
    specialPrimes: primes.slice(bits.length),
  })
}

/** A SEAL context with a secret key, both made by node-seal, and functions that use them. */
export interface SealFixture {
  readonly ctx: SealContext
  readonly secretKey: SecretKey
  readonly keys: EvaluationKeys
  encode(values: Float64Array, scale: number, level: number): Plaintext
  encrypt(values: SlotVector, scale: number, level: number): Ciphertext
  /** A fresh public-key encryption of zero at SEAL's highest level. */
  encryptZero(scale: number): Ciphertext
  decrypt(ciphertext: Ciphertext): Float64Array
  /** Both parts of the slots; `decrypt` gives the real ones. */
  decryptComplex(ciphertext: Ciphertext): ComplexVector
  /** The secret key's polynomial over the data primes, in NTT form. */
  secretResidues(): BigUint64Array
  delete(): void
}

export async function sealFixture(
  parameters: CkksParameters,
  steps: readonly number[],
): Promise<SealFixture> {
  const seal = await loadSeal()
  const ctx = createSealContext(seal, parameters)
  const generator = new seal.KeyGenerator(ctx.context)
  const secretKey = generator.secretKey()
  const elements = [...rotationElements(parameters, steps), conjugationElement(parameters.ring)]
  const keys = generateNativeKeys(ctx, secretKey, elements)
  const encoder = new seal.CKKSEncoder(ctx.context)
  const encryptor = new seal.Encryptor(ctx.context, keys.publicKey, secretKey)
  const decryptor = new seal.Decryptor(ctx.context, secretKey)
  const evaluator = new seal.Evaluator(ctx.context)
  const objects = [generator, secretKey, keys]
  const tools = [encoder, encryptor, decryptor, evaluator]

  const encode = (values: Float64Array, scale: number, level: number): Plaintext => {
    const plaintext = new seal.Plaintext()
    encoder.encode(toSealOrder(values, parameters.slots), scale, plaintext)
    if (level < ctx.highestLevel) evaluator.plainModSwitchToInplace(plaintext, ctx.levelIds[level])
    return plaintext
  }
  const decrypt = (ciphertext: Ciphertext): Float64Array =>
    withHeap((own) => {
      const plaintext = own(new seal.Plaintext())
      decryptor.decrypt(ciphertext, plaintext)
      return fromSealOrder(encoder.decodeFloat64(plaintext) as Float64Array)
    })
  return {
    ctx,
    secretKey,
    keys,
    encode,
    encrypt: (values, scale, level) =>
      withHeap((own) => {
        const ciphertext = new seal.Ciphertext()
        const plaintext = isComplexVector(values)
          ? encodeComplex(ctx, values, scale, level)
          : encode(values, scale, level)
        encryptor.encryptSymmetric(own(plaintext), ciphertext)
        return ciphertext
      }),
    encryptZero(scale) {
      const ciphertext = new seal.Ciphertext()
      encryptor.encryptZero(ciphertext)
      ciphertext.setScale(scale)
      return ciphertext
    },
    decrypt,
    decryptComplex: (ciphertext) =>
      withHeap((own) => {
        const plaintext = own(new seal.Plaintext())
        decryptor.decrypt(ciphertext, plaintext)
        return decodeComplex(ctx, encoder, plaintext, ciphertext.coeffModulusSize() - 1)
      }),
    secretResidues: () =>
      residuesOf(secretKey, parameters.ring * (parameters.primes.length + parameters.specialPrimes.length)),
    delete() {
      for (const object of [...tools, ...objects].reverse()) object.delete()
      ctx.delete()
    },
  }
}

/** The last `count` 64-bit words of a serialized object: its residues. */
export function residuesOf(
  object: { saveToArray(mode: never): unknown },
  count: number,
  mode: unknown = NO_COMPRESSION,
): BigUint64Array {
  const bytes = object.saveToArray(mode as never) as Uint8Array
  return new BigUint64Array(bytes.slice(bytes.length - 8 * count).buffer)
}

const NO_COMPRESSION = (await loadSeal()).ComprModeType.none
