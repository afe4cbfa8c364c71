import type { CKKSEncoder, Evaluator, Plaintext } from 'node-seal'
import type { ComplexVector } from '../../circuit/types.ts'
import type { FullRlwe } from '../../wire/index.ts'
import { embedPeriodicFast } from '../encoding/embedding-fft.ts'
import { expandPlaintext, PeriodicEncoder } from '../encoding/periodic.ts'
import type { SealContext } from './context.ts'
import { guarded, withHeap } from './runtime.ts'
import {
  ciphertextFromSeal,
  ciphertextToSeal,
  dataLevel,
  plaintextFromSeal,
  plaintextToSeal,
} from './serialization/serialization.ts'
import { fromSealOrder } from './slot-order.ts'

// node-seal encodes and decodes real slots only. Complex ones are encoded here, and transformed by SEAL.

const UNIT: ComplexVector = { real: Float64Array.of(0), imaginary: Float64Array.of(1) }

/**
 * The plaintext X^(N/2), which is i in every slot, at scale 1.
 *
 * @returns a plaintext on node-seal's heap that the caller deletes
 */
export function imaginaryUnit(ctx: SealContext, level: number): Plaintext {
  const residues = new BigUint64Array(ctx.parameters.ring * (level + 1))
  expandPlaintext(new PeriodicEncoder(ctx.parameters).encode(UNIT, 1, level), residues)
  return loadPlaintext(ctx, level, new Uint32Array(residues.buffer), 1)
}

/**
 * Encodes complex slots: coefficients times the scale, rounded to the nearest integers. The time depends on
 * the values, so secret values are encoded by node-seal, and joined by `joinParts`.
 *
 * @param values one period; their number is a power of two, at most N / 2
 * @returns a plaintext in NTT form, on node-seal's heap, that the caller deletes
 */
export function encodeComplex(
  ctx: SealContext,
  values: ComplexVector,
  scale: number,
  level: number,
): Plaintext {
  const { ring, primes } = ctx.parameters
  const coefficients = embedPeriodicFast(values)
  const stride = ring / coefficients.length
  const residues = new BigUint64Array(ring * (level + 1))
  coefficients.forEach((coefficient, k) => {
    const integer = BigInt(Math.round(coefficient * scale))
    for (let i = 0; i <= level; i++) {
      const rest = integer % primes[i]
      residues[i * ring + k * stride] = rest < 0n ? rest + primes[i] : rest
    }
  })
  return loadPlaintext(ctx, level, transformed(ctx, level, new Uint32Array(residues.buffer)), scale)
}

/**
 * The plaintext real + i imaginary. node-seal computes it, in a time that does not depend on the values.
 *
 * @param real in NTT form at `level`; unchanged
 * @param imaginary of the same scale, in NTT form at `level`; unchanged
 * @returns a plaintext at `level` and of the same scale, on node-seal's heap, that the caller deletes
 * @throws INTERNAL, within `guarded`, when node-seal refuses an operand
 */
export function joinParts(
  ctx: SealContext,
  evaluator: Evaluator,
  real: Plaintext,
  imaginary: Plaintext,
  level: number,
): Plaintext {
  const { seal, context } = ctx
  const place = dataLevel(ctx, level)
  const polynomial = plaintextFromSeal(place, imaginary.saveToArray(seal.ComprModeType.none) as Uint8Array)
  // SEAL multiplies ciphertexts by plaintexts only.
  const pair = asFirstOfTwo(polynomial)
  return withHeap((own) => {
    const ciphertext = own(new seal.Ciphertext())
    ciphertext.loadFromArray(context, ciphertextToSeal(place, pair, imaginary.scale()))
    const product = own(new seal.Ciphertext())
    evaluator.multiplyPlain(ciphertext, own(imaginaryUnit(ctx, level)), product)
    evaluator.addPlainInplace(product, real)
    const { c0 } = ciphertextFromSeal(place, product.saveToArray(seal.ComprModeType.none) as Uint8Array)
    return loadPlaintext(ctx, level, c0, real.scale())
  })
}

/**
 * Decodes complex slots.
 *
 * @param plaintext in NTT form at `level`; unchanged
 */
export function decodeComplex(
  ctx: SealContext,
  encoder: CKKSEncoder,
  plaintext: Plaintext,
  level: number,
): ComplexVector {
  const realParts = (of: Plaintext): Float64Array => fromSealOrder(encoder.decodeFloat64(of) as Float64Array)
  return withHeap((own) => {
    // node-seal decodes real parts only, and the real part of i z is minus the imaginary part of z.
    const turned = own(timesImaginaryUnit(ctx, plaintext, level))
    return { real: realParts(plaintext), imaginary: realParts(turned).map((value) => -value) }
  })
}

function timesImaginaryUnit(ctx: SealContext, plaintext: Plaintext, level: number): Plaintext {
  const { ring, primes } = ctx.parameters
  const bytes = plaintext.saveToArray(ctx.seal.ComprModeType.none) as Uint8Array
  const polynomial = plaintextFromSeal(dataLevel(ctx, level), bytes)
  const residues = new BigUint64Array(polynomial.buffer, polynomial.byteOffset, polynomial.length / 2)
  const unit = new PeriodicEncoder(ctx.parameters).encode(UNIT, 1, level)
  residues.forEach((residue, r) => {
    residues[r] = (residue * unit.residues[Math.floor(r / unit.block)]) % primes[Math.floor(r / ring)]
  })
  return loadPlaintext(ctx, level, polynomial, plaintext.scale())
}

/** A polynomial in NTT form. SEAL transforms ciphertexts only. */
function transformed(ctx: SealContext, level: number, polynomial: Uint32Array): Uint32Array {
  const { seal, context } = ctx
  const place = dataLevel(ctx, level)
  const pair = asFirstOfTwo(polynomial)
  return guarded(seal, () =>
    withHeap((own) => {
      const evaluator = own(new seal.Evaluator(context))
      const ciphertext = own(new seal.Ciphertext())
      ciphertext.loadFromArray(context, ciphertextToSeal(place, pair, 1, 'coefficients'))
      evaluator.cipherTransformToNttInplace(ciphertext)
      return ciphertextFromSeal(place, ciphertext.saveToArray(seal.ComprModeType.none) as Uint8Array).c0
    }),
  )
}

/**
 * A ciphertext whose first polynomial this is. The second one is not zero, since SEAL refuses results in
 * which it is.
 */
const asFirstOfTwo = (polynomial: Uint32Array): FullRlwe => ({
  c0: polynomial,
  c1: new Uint32Array(new BigUint64Array(polynomial.length / 2).fill(1n).buffer),
})

function loadPlaintext(ctx: SealContext, level: number, polynomial: Uint32Array, scale: number): Plaintext {
  const plaintext = new ctx.seal.Plaintext()
  try {
    guarded(ctx.seal, () =>
      plaintext.loadFromArray(ctx.context, plaintextToSeal(dataLevel(ctx, level), polynomial, scale)),
    )
    return plaintext
  } catch (cause) {
    plaintext.delete()
    throw cause
  }
}
