import type { Constant, ConstantId, Term, ValueId } from '../circuit/types.ts'
import { PolyVeilError } from '../errors/index.ts'

/** A weighted ciphertext of a `dot`. */
export interface DotTerm<Ct> {
  readonly ciphertext: Ct
  readonly constant: ConstantId
}

/**
 * Encrypted operations of circuits, on ciphertexts of type `Ct`. No operation changes its operands; each
 * returns a new ciphertext that the caller frees. Operands must agree in level, and in scale where they are
 * added.
 *
 * The clear evaluator defines the semantics; every evaluator passes `test/conformance`.
 *
 * @throws SCALE_MISMATCH, LEVEL_EXHAUSTED, KEYS_MISSING as the operation's law says
 */
export interface Evaluator<Ct> {
  readonly name: 'clear' | 'seal' | 'simd'
  levelOf(a: Ct): number
  scaleOf(a: Ct): number
  /** slots[s] = a[(s + steps) mod slots]. */
  rotate(a: Ct, steps: number): Ct
  /** slots[s] = the complex conjugate of a[s]. */
  conjugate(a: Ct): Ct
  /** slots[s] = i * a[s]. */
  timesI(a: Ct): Ct
  /** Sum of ciphertext * constant; scale is the operands' times `constantScale`. */
  dot(terms: readonly DotTerm<Ct>[], constantScale: number): Ct
  addPlain(a: Ct, constant: ConstantId): Ct
  add(a: Ct, b: Ct): Ct
  subtract(a: Ct, b: Ct): Ct
  /** The product has three polynomials; only `relinearise` and `free` take it. */
  multiply(a: Ct, b: Ct): Ct
  relinearise(a: Ct): Ct
  rescale(a: Ct): Ct
  dropLevel(a: Ct, level: number): Ct
  /**
   * The same message at the highest level, re-encrypted by the client.
   * @throws CONFIG_INVALID where there is no client
   */
  refresh(a: Ct): Ct
  /**
   * The same ciphertext modulo all primes. A multiple of the modulus of its level is added to each
   * coefficient of its message.
   *
   * @throws KEYS_MISSING without the keys of the ephemeral secret
   */
  raise(a: Ct): Ct
  free(a: Ct): void
}

/** The error of evaluators that have no client to decrypt values. */
export const noClient = (): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', 'This evaluator has no client that could refresh values')

export type { Constant, ConstantId, Term, ValueId }
