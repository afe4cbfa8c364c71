import type { Ciphertext } from 'node-seal'
import { PolyVeilError } from '../../../errors/index.ts'
import type { FullRlwe, Rlwe } from '../../../wire/index.ts'
import type { SealContext } from '../context.ts'
import { guarded } from '../runtime.ts'
import { ciphertextFromSeal, ciphertextToSeal, dataLevel } from './serialization.ts'

/**
 * A ciphertext on node-seal's heap, from a pair that `decodeTensor` has checked; a seeded c1 is expanded.
 *
 * @param level level of the pair's polynomials
 * @param scale scale of the ciphertext
 * @returns a ciphertext of two polynomials that the caller deletes
 */
export function ciphertextFromWire(ctx: SealContext, rlwe: Rlwe, level: number, scale: number): Ciphertext {
  const bytes = ciphertextToSeal(dataLevel(ctx, level), rlwe, scale)
  const ciphertext = new ctx.seal.Ciphertext()
  try {
    guarded(ctx.seal, () => ciphertext.loadFromArray(ctx.context, bytes))
    return ciphertext
  } catch (cause) {
    ciphertext.delete()
    throw cause
  }
}

/**
 * The residues of a ciphertext at its own level; the ciphertext is unchanged.
 *
 * @throws INTERNAL when it does not have two polynomials (relinearise first) or is not in NTT form
 */
export function ciphertextToWire(ctx: SealContext, ciphertext: Ciphertext): FullRlwe {
  if (ciphertext.size() !== 2) {
    throw new PolyVeilError('INTERNAL', `A ciphertext of ${ciphertext.size()} polynomials cannot be sent`)
  }
  const level = dataLevel(ctx, ciphertext.coeffModulusSize() - 1)
  const bytes = guarded(ctx.seal, () => ciphertext.saveToArray(ctx.seal.ComprModeType.none))
  return ciphertextFromSeal(level, bytes as Uint8Array)
}
