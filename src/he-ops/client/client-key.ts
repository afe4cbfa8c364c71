import type { ComplexVector, SlotVector } from '../../circuit/types.ts'
import type { FullRlwe, PackedFullRlwe, PackedRlwe, Polynomial, SeededRlwe } from '../../wire/index.ts'

/** A client's secret key in use. After `delete` every other method throws INTERNAL. */
export interface ClientKey {
  /** Identifies the secret key without revealing it: a digest over at least 128 bits of entropy. */
  readonly fingerprint: string
  /**
   * Encrypts slot vectors under the secret key. The second polynomials are seeds.
   *
   * @param vectors at most N / 2 finite numbers each; missing slots are zero
   * @returns one pair for each vector, at `level` and `scale`
   * @throws TENSOR_OUT_OF_RANGE when a value is not finite, or too large for the level at this scale
   */
  encryptSlots(
    vectors: readonly SlotVector[],
    level: number,
    scale: number,
  ): Promise<readonly (SeededRlwe | PackedRlwe)[]>
  /**
   * Decrypts the part of an answer that repeats after `period` slots; all other coefficients are masked.
   *
   * @param pair checked by `decodeTensor`, at `level`
   * @param period a power of two, at most N / 2
   */
  decryptPeriodic(pair: FullRlwe, level: number, scale: number, period: number): Promise<ComplexVector>
  /**
   * Decrypts masked ciphertexts to integers, exactly, and encrypts these integers anew.
   *
   * @param masked at level `from`
   * @param to level of the fresh encryptions
   * @param take called once for each index with the fresh encryption, whose bytes are valid during the call
   * @throws CONFIG_INVALID when a prime is too large for the kernels; TENSOR_MALFORMED when a residue is not
   *   below its prime; WORKER_LOST
   */
  refresh(
    masked: readonly PackedFullRlwe[],
    from: number,
    to: number,
    take: (index: number, fresh: PackedRlwe) => void,
  ): Promise<void>
  /**
   * Makes a key set and yields its frame in chunks of one key each. Each Galois key is made when its chunk is
   * requested, so that memory holds one key at a time. The key may be deleted after the first chunk.
   *
   * @param galoisElements of the keys, in any order
   */
  keySet(galoisElements: readonly number[]): AsyncGenerator<Uint8Array, void, undefined>
  /** A copy of the secret key: residues modulo all primes, in NTT form. The caller overwrites it. */
  copySecret(): Polynomial
  /** Overwrites the secret key and frees its memory. */
  delete(): void
}
