import type { Ciphertext, Evaluator, PublicKey } from 'node-seal'
import { PolyVeilError } from '../../errors/index.ts'
import { floodingBound } from '../flooding.ts'
import { uniformIntegers } from '../random.ts'
import type { SealContext } from './context.ts'
import { guarded, withHeap } from './runtime.ts'

const BYTES_PER_RESIDUE = 8

export interface RerandomiseOptions {
  /** Deviation of the flooding noise in the slots, in the message's units; 0 adds none. */
  readonly flooding: number
}

/**
 * A ciphertext of the same message that tells nothing of how it was computed but through its noise, and that noise
 * drowned. It adds a fresh public-key encryption of zero, since the second polynomial of ciphertext * weights is a
 * multiple of the weights that whoever holds the secret key (or only the first ciphertext) can divide out; and to the
 * first polynomial integers drawn uniformly per coefficient, as exact residues, since the noise depends on the weights
 * too.
 *
 * @param ciphertext two polynomials at any level; unchanged
 * @returns a new ciphertext at the same level and scale, the caller's to free
 * @throws LEVEL_EXHAUSTED when the flooding does not fit the modulus of the ciphertext's level; INTERNAL when the
 *   ciphertext has three polynomials
 */
export function rerandomise(
  ctx: SealContext,
  publicKey: PublicKey,
  ciphertext: Ciphertext,
  { flooding }: RerandomiseOptions,
): Ciphertext {
  if (ciphertext.size() !== 2)
    throw new PolyVeilError('INTERNAL', 'Only relinearised results are re-randomised')
  const { seal, parameters } = ctx
  const scale = ciphertext.scale()
  const level = ciphertext.coeffModulusSize() - 1
  const bound = floodingBound(parameters, level, flooding * scale)
  return guarded(seal, () =>
    withHeap((own) => {
      const evaluator = own(new seal.Evaluator(ctx.context))
      const zero = own(encryptZero(ctx, evaluator, publicKey, level))
      if (bound > 0) addIntegers(ctx, evaluator, zero, uniformIntegers(parameters.ring, bound))
      zero.setScale(scale)
      const result = new seal.Ciphertext()
      try {
        evaluator.add(ciphertext, zero, result)
        return result
      } catch (cause) {
        result.delete()
        throw cause
      }
    }),
  )
}

function encryptZero(
  ctx: SealContext,
  evaluator: Evaluator,
  publicKey: PublicKey,
  level: number,
): Ciphertext {
  const { seal, context, levelIds, highestLevel } = ctx
  const zero = new seal.Ciphertext()
  try {
    withHeap((own) => own(new seal.Encryptor(context, publicKey)).encryptZero(zero))
    if (level < highestLevel) evaluator.cipherModSwitchToInplace(zero, levelIds[level])
    return zero
  } catch (cause) {
    zero.delete()
    throw cause
  }
}

/** Adds integers to the coefficients of the first polynomial, exactly: out of NTT form, in residues, and back. */
function addIntegers(ctx: SealContext, evaluator: Evaluator, zero: Ciphertext, integers: Float64Array): void {
  const { seal, context, parameters } = ctx
  const primes = parameters.primes.slice(0, zero.coeffModulusSize())
  evaluator.cipherTransformFromNttInplace(zero)
  const bytes = zero.saveToArray(seal.ComprModeType.none) as Uint8Array
  // A serialized ciphertext ends with its residues: polynomial by polynomial, prime by prime.
  const polynomialBytes = primes.length * parameters.ring * BYTES_PER_RESIDUE
  const start = bytes.length - 2 * polynomialBytes
  const residues = new BigUint64Array(bytes.slice(start, start + polynomialBytes).buffer)
  primes.forEach((prime, i) => {
    addModulo(residues.subarray(i * parameters.ring, (i + 1) * parameters.ring), integers, prime)
  })
  bytes.set(new Uint8Array(residues.buffer), start)
  zero.loadFromArray(context, bytes)
  evaluator.cipherTransformToNttInplace(zero)
}

function addModulo(residues: BigUint64Array, integers: Float64Array, prime: bigint): void {
  for (let k = 0; k < residues.length; k++) {
    const sum = (residues[k] + BigInt(integers[k])) % prime
    residues[k] = sum < 0n ? sum + prime : sum
  }
}
