import type { Ciphertext, RelinKeys } from 'node-seal'
import { invert } from '../../circuit/parameters/primes.ts'
import type { FullRlwe, Polynomial } from '../../wire/index.ts'
import type { SealContext } from './context.ts'
import { guarded, withHeap } from './runtime.ts'
import { ciphertextToWire } from './serialization/ciphertexts.ts'
import { dataLevel, type PolynomialForm, polynomialsToSeal } from './serialization/serialization.ts'

/** The keys of the ephemeral secret on node-seal's heap. */
export interface SealRaiseKeys {
  /** The context of the primes of the raise level, and the special prime. */
  readonly ephemeral: SealContext
  /** The key to the ephemeral secret, in its context. */
  readonly down: RelinKeys
  /** The key from the ephemeral secret. */
  readonly up: RelinKeys
}

/**
 * Raises the modulus of a ciphertext as the simd engine does, with SEAL's key switching: for comparisons, not
 * for speed. Its digits are those of SEAL, so that its noise is larger.
 *
 * @param a two polynomials at the raise level; unchanged
 * @param out is written, at the highest level
 */
export function raiseModulus(
  ctx: SealContext,
  { ephemeral, down, up }: SealRaiseKeys,
  a: Ciphertext,
  out: Ciphertext,
): void {
  const { parameters, seal } = ctx
  const level = a.coeffModulusSize() - 1
  const pair = ciphertextToWire(ctx, a)
  guarded(seal, () =>
    withHeap((own) => {
      const low = own(new seal.Ciphertext())
      switchKey(ephemeral, level, pair, 'ntt', down, low)
      const [c0, c1] = coefficientsOf(ephemeral, low).map((residues) =>
        extend(residues, parameters.ring, parameters.primes, level + 1),
      )
      switchKey(ctx, parameters.topLevel, { c0, c1 }, 'coefficients', up, out)
    }),
  )
}

/**
 * Switches a pair to another secret. SEAL relinearises (c0, 0, c1) with a key that has the pair's secret in
 * the place of the square of the other one.
 */
function switchKey(
  ctx: SealContext,
  level: number,
  { c0, c1 }: FullRlwe,
  form: PolynomialForm,
  key: RelinKeys,
  out: Ciphertext,
): void {
  const zero = new Uint32Array(c0.length)
  out.loadFromArray(ctx.context, polynomialsToSeal(dataLevel(ctx, level), [c0, zero, c1], 1, form))
  withHeap((own) => {
    const evaluator = own(new ctx.seal.Evaluator(ctx.context))
    if (form === 'coefficients') evaluator.cipherTransformToNttInplace(out)
    evaluator.relinearizeInplace(out, key)
  })
}

/** Residues of the coefficients of both polynomials, prime after prime. The ciphertext changes its form. */
function coefficientsOf({ seal, context }: SealContext, ciphertext: Ciphertext): BigUint64Array[] {
  withHeap((own) => own(new seal.Evaluator(context)).cipherTransformFromNttInplace(ciphertext))
  const bytes = ciphertext.saveToArray(seal.ComprModeType.none) as Uint8Array
  // A serialized ciphertext ends with its residues: polynomial by polynomial, prime by prime.
  const count = ciphertext.coeffModulusSize() * ciphertext.polyModulusDegree()
  const residues = new BigUint64Array(bytes.slice(-16 * count).buffer)
  return [residues.subarray(0, count), residues.subarray(count)]
}

/** Extends a polynomial, read as integers of least absolute value, from its first primes to all, exactly. */
function extend(
  residues: BigUint64Array,
  ring: number,
  primes: readonly bigint[],
  count: number,
): Polynomial {
  const own = primes.slice(0, count)
  const modulus = own.reduce((product, prime) => product * prime, 1n)
  const weights = own.map((prime) => (modulus / prime) * invert((modulus / prime) % prime, prime))
  const extended = new BigUint64Array(ring * primes.length)
  for (let k = 0; k < ring; k++) {
    const sum = weights.reduce((total, weight, i) => total + weight * residues[i * ring + k], 0n) % modulus
    const integer = sum > modulus / 2n ? sum - modulus : sum
    primes.forEach((prime, i) => {
      extended[i * ring + k] = ((integer % prime) + prime) % prime
    })
  }
  return new Uint32Array(extended.buffer)
}
