import type { SecretKey } from 'node-seal'
import type { PackedFullRlwe, PackedRlwe, Rlwe, SeededRlwe } from '../../wire/index.ts'
import type { ComplexSlots } from '../encoding/decode-periodic.ts'
import type { SealContext } from '../seal/context.ts'

/** A client's secret key in use. Every method but `delete` throws INTERNAL once the key is deleted. */
export interface ClientKey {
  /** Names the secret key without telling anything of it: a digest over 128 bits of entropy and more. */
  readonly fingerprint: string
  /**
   * Encrypts slot vectors under the secret key. The second polynomials are seeds.
   *
   * @param vectors at most N / 2 finite values each; missing slots are zero
   * @returns one pair for each vector, at `level` and `scale`
   * @throws TENSOR_OUT_OF_RANGE when a value is not finite, or too large for the level at this scale
   */
  encryptSlots(
    vectors: readonly Float64Array[],
    level: number,
    scale: number,
  ): Promise<readonly (SeededRlwe | PackedRlwe)[]>
  /**
   * Decrypts the first of the values that an answer repeats after `period` slots; its other coefficients are
   * masked.
   *
   * @param pair checked by `decodeTensor`, at `level`
   * @param period a power of two, at most N / 2
   */
  decryptPeriodic(pair: Rlwe, level: number, scale: number, period: number): ComplexSlots
  /**
   * Decrypts masked ciphertexts to integers, exactly, and encrypts these anew.
   *
   * @param masked at level `from`
   * @param to level of the fresh encryptions
   * @throws CONFIG_INVALID when a prime is too large for the kernels; TENSOR_MALFORMED when a residue is not
   *   below its prime; WORKER_LOST
   */
  refresh(masked: readonly PackedFullRlwe[], from: number, to: number): Promise<PackedRlwe[]>
  /**
   * Makes a key set and writes its frame in chunks of one key each, a Galois key being made when it is asked
   * for: memory holds one key at a time. The key may be deleted once the first chunk is there.
   *
   * @param rotationSteps 1 to slots - 1, in any order
   */
  keySet(rotationSteps: readonly number[]): AsyncGenerator<Uint8Array, void, undefined>
  /** The secret key in a context of node-seal's with all primes, for the caller to delete. */
  loadInto(context: SealContext): SecretKey
  /** Overwrites the secret key and frees its memory. */
  delete(): void
}
