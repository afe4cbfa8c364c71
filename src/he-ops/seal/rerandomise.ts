import type { Ciphertext, Evaluator, PublicKey } from 'node-seal'
import { PolyVeilError } from '../../errors/index.ts'
import { uniformResidues } from '../random.ts'
import type { SealContext } from './context.ts'
import { guarded, withHeap } from './runtime.ts'

const BYTES_PER_RESIDUE = 8

/**
 * Re-randomises a ciphertext: the result has the same logits, and reveals nothing else of the computation. A
 * fresh public-key encryption of zero is added, since the second polynomial of ciphertext * weights is a
 * multiple of the weights, by which a client could divide. A mask is added to the first polynomial, in exact
 * residues: uniform modulo the level's primes, except on the coefficients that carry logits, which get the
 * given integers.
 *
 * @param ciphertext two polynomials at any level; unchanged
 * @param flooding integers for the coefficients 0, N / n, 2N / n and so on; their number n divides N
 * @returns a new ciphertext at the same level and scale, which the caller frees
 * @throws INTERNAL when the ciphertext has three polynomials
 */
export function rerandomise(
  ctx: SealContext,
  publicKey: PublicKey,
  ciphertext: Ciphertext,
  flooding: Float64Array,
): Ciphertext {
  if (ciphertext.size() !== 2)
    throw new PolyVeilError('INTERNAL', 'Only relinearised results are re-randomised')
  const { seal } = ctx
  const scale = ciphertext.scale()
  const level = ciphertext.coeffModulusSize() - 1
  return guarded(seal, () =>
    withHeap((own) => {
      const evaluator = own(new seal.Evaluator(ctx.context))
      const zero = own(encryptZero(ctx, evaluator, publicKey, level))
      addMask(ctx, evaluator, zero, flooding)
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

/** Adds the mask to the first polynomial: out of NTT form, in residues, and back. */
function addMask(ctx: SealContext, evaluator: Evaluator, zero: Ciphertext, flooding: Float64Array): void {
  const { seal, context, parameters } = ctx
  const { ring } = parameters
  const primes = parameters.primes.slice(0, zero.coeffModulusSize())
  evaluator.cipherTransformFromNttInplace(zero)
  const bytes = zero.saveToArray(seal.ComprModeType.none) as Uint8Array
  // A serialized ciphertext ends with its residues: polynomial by polynomial, prime by prime.
  const polynomialBytes = primes.length * ring * BYTES_PER_RESIDUE
  const start = bytes.length - 2 * polynomialBytes
  const residues = new BigUint64Array(bytes.slice(start, start + polynomialBytes).buffer)
  primes.forEach((prime, i) => {
    addModulo(residues.subarray(i * ring, (i + 1) * ring), maskModulo(prime, ring, flooding), prime)
  })
  bytes.set(new Uint8Array(residues.buffer), start)
  zero.loadFromArray(context, bytes)
  evaluator.cipherTransformToNttInplace(zero)
}

/**
 * The residues of a mask modulo one prime. Uniform residues modulo each prime of a level are a mask uniform
 * modulo the primes' product.
 */
function maskModulo(prime: bigint, ring: number, flooding: Float64Array): BigUint64Array {
  const mask = uniformResidues(ring, prime)
  const stride = ring / flooding.length
  flooding.forEach((integer, k) => {
    const rest = BigInt(integer) % prime
    mask[k * stride] = rest < 0n ? rest + prime : rest
  })
  return mask
}

function addModulo(residues: BigUint64Array, mask: BigUint64Array, prime: bigint): void {
  for (let k = 0; k < residues.length; k++) residues[k] = (residues[k] + mask[k]) % prime
}
