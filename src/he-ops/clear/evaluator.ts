import { valuesOf } from '../../circuit/constants/constant.ts'
import {
  allSlots,
  imaginaryOf,
  isComplexVector,
  largestModulus,
  mapParts,
  realOf,
} from '../../circuit/constants/slot-vector.ts'
import { type CiphertextType, largestAbsolute, log2Modulus, typeLaws } from '../../circuit/laws.ts'
import { EPHEMERAL_WEIGHT } from '../../circuit/parameters/ephemeral.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { Circuit, ComplexVector, SlotVector } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { Evaluator } from '../backend.ts'
import { asEncoded, complexSlotsOfPeriodic, embedPeriodicFast } from '../encoding/embedding-fft.ts'
import {
  complexEncodingNoise,
  encodingNoise,
  keySwitchingNoise,
  raisingNoise,
  refreshNoise,
  roundingNoise,
  symmetricEncryptionNoise,
} from '../noise.ts'
import { type Gaussian, seededGaussian } from './gaussian.ts'
import { conjugated, ProductSum, plus, timesImaginaryUnit } from './slots.ts'

/** A slot vector with the type of a ciphertext. Immutable until it is freed. */
export interface ClearCiphertext extends CiphertextType {
  /** Real where no operand had imaginary parts, and no noise. */
  readonly slots: SlotVector
}

export interface ClearOptions {
  /**
   * `model` rounds constants as encoding does, and adds normal noise with the deviations of `noise.ts`
   * wherever encryption adds noise; default `none`.
   */
  readonly noise?: 'none' | 'model'
  /** Seed of the noise; equal seeds give equal results. */
  readonly seed?: number
  /**
   * Called instead of an error for a value that would wrap, with the largest |coefficient| and the largest
   * that the level's modulus holds at this scale.
   */
  readonly overflow?: (largest: number, limit: number) => void
}

export interface ClearEvaluator extends Evaluator<ClearCiphertext> {
  /**
   * The value of a fresh encryption under the secret key.
   * @param slots at most N / 2 numbers; missing slots are zero
   */
  encrypt(slots: ArrayLike<number> | ComplexVector, level: number, scale: number): ClearCiphertext
  decrypt(a: ClearCiphertext): ComplexVector
  /** Number of values that are not freed. */
  readonly live: number
}

/** Deviations of the noise in both parts of each slot, in units of 1 / scale. */
interface Deviations {
  readonly real: number
  readonly imaginary: number
}

/**
 * The evaluator that defines the semantics of operations: complex slot vectors with exact levels and scales.
 * It throws where encrypted evaluators would.
 *
 * A value with a coefficient that, times the scale, reaches half of the level's modulus is reported as an
 * overflow.
 *
 * @throws TENSOR_OUT_OF_RANGE on an overflow, unless `overflow` is given; INTERNAL on the use of a freed
 *   value
 */
export function createClearEvaluator(
  { parameters, constants }: Pick<Circuit, 'parameters' | 'constants'>,
  { noise = 'none', seed = 1, overflow = throwOverflow }: ClearOptions = {},
): ClearEvaluator {
  const laws = typeLaws(parameters)
  const alive = new Set<ClearCiphertext>()
  const hasNoise = noise === 'model'
  // Real parts have a sequence of their own, which does not depend on imaginary parts.
  const gaussians = { real: seededGaussian(seed), imaginary: seededGaussian(~seed) }
  const largestInteger = parameters.primes.map((_, level) => 2 ** (log2Modulus(parameters, level) - 1))

  const use = (a: ClearCiphertext): ClearCiphertext => {
    if (!alive.has(a)) throw new PolyVeilError('INTERNAL', 'A freed value is used')
    return a
  }

  const make = (type: CiphertextType, slots: SlotVector): ClearCiphertext => {
    const limit = largestInteger[type.level] / type.scale
    const largest = largestCoefficient(slots, limit)
    if (!(largest < limit)) overflow(largest, limit)
    const { level, scale, polynomials } = type
    const made: ClearCiphertext = { level, scale, polynomials, slots }
    alive.add(made)
    return made
  }

  /** Makes a value with fresh noise. */
  const makeNoisy = (type: CiphertextType, slots: SlotVector, deviations: Deviations): ClearCiphertext =>
    make(type, hasNoise ? withNoise(slots, deviations, type.scale, gaussians) : slots)

  const keySwitched = (type: CiphertextType, slots: SlotVector): ClearCiphertext =>
    makeNoisy(type, slots, inBoth(keySwitchingNoise(parameters, type.level)))

  /**
   * A constant's values after encoding at `scale`, one period. Noise would be a wrong model: equal and
   * repeated constants have equal errors.
   */
  const encoded = (id: number, scale: number): SlotVector => {
    const values = valuesOf(constants.at(id)!)
    return hasNoise ? asEncoded(values, scale) : values
  }

  const sum = (a: ClearCiphertext, b: ClearCiphertext, sign: 1 | -1): ClearCiphertext =>
    make(laws.add(use(a), use(b)), plus(a.slots, b.slots, sign))

  return {
    name: 'clear',
    get live() {
      return alive.size
    },
    levelOf: (a) => use(a).level,
    scaleOf: (a) => use(a).scale,

    encrypt(slots, level, scale) {
      const type = laws.input(level, scale)
      const whole = allSlots('imaginary' in slots ? slots : Float64Array.from(slots), parameters.slots)
      return makeNoisy(type, whole, encryptionDeviations(parameters, whole))
    },

    decrypt(a) {
      const { slots } = use(a)
      return {
        real: realOf(slots).slice(),
        imaginary: imaginaryOf(slots)?.slice() ?? new Float64Array(parameters.slots),
      }
    },

    rotate(a, steps) {
      const type = laws.rotate(use(a), steps)
      return keySwitched(
        type,
        mapParts(a.slots, (part) => rotated(part, steps)),
      )
    },

    conjugate: (a) => keySwitched(laws.conjugate(use(a)), conjugated(a.slots)),

    timesI: (a) => make(laws.timesI(use(a)), timesImaginaryUnit(a.slots)),

    dot(terms, constantScale) {
      const type = laws.dot(
        terms.map(({ ciphertext }) => use(ciphertext)),
        constantScale,
      )
      const total = new ProductSum(parameters.slots)
      for (const { ciphertext, constant } of terms) {
        total.add(ciphertext.slots, encoded(constant, constantScale))
      }
      return make(type, total.slots())
    },

    addPlain(a, constant) {
      const type = laws.addPlain(use(a))
      return make(type, plus(a.slots, encoded(constant, type.scale), 1))
    },

    add: (a, b) => sum(a, b, 1),
    subtract: (a, b) => sum(a, b, -1),

    multiply: (a, b) =>
      make(laws.multiply(use(a), use(b)), new ProductSum(parameters.slots).add(a.slots, b.slots).slots()),

    relinearise: (a) => keySwitched(laws.relinearise(use(a)), a.slots),

    rescale: (a) => makeNoisy(laws.rescale(use(a)), a.slots, inBoth(roundingNoise(parameters))),

    dropLevel: (a, level) => make(laws.dropLevel(use(a), level), a.slots),

    raise(a) {
      const type = laws.raise(use(a))
      const slots = raised(a, log2Modulus(parameters, a.level), gaussians.real)
      return makeNoisy(type, slots, inBoth(raisingNoise(parameters, a.level)))
    },

    refresh: (a) => makeNoisy(laws.refresh(use(a)), a.slots, inBoth(refreshNoise(parameters))),

    free(a) {
      use(a)
      alive.delete(a)
    },
  }
}

const rotated = (values: Float64Array, steps: number): Float64Array => {
  const result = new Float64Array(values.length)
  result.set(values.subarray(steps))
  result.set(values.subarray(0, steps), values.length - steps)
  return result
}

/**
 * The largest coefficient, or an upper bound of it that is below `limit`: no coefficient exceeds the largest
 * slot.
 */
function largestCoefficient(slots: SlotVector, limit: number): number {
  const largest = largestModulus(slots)
  return largest < limit ? largest : largestAbsolute(embedPeriodicFast(slots))
}

/**
 * The slots of a value after its modulus Q was raised: each coefficient is reduced modulo Q, and a multiple
 * of Q is added whose factor is distributed as with an ephemeral secret (`circuit/raise.ts`).
 *
 * @param bits log2 of Q
 */
function raised({ slots, scale }: ClearCiphertext, bits: number, gaussian: Gaussian): SlotVector {
  const modulus = 2 ** bits / scale
  const deviation = Math.sqrt((EPHEMERAL_WEIGHT + 1) / 12)
  const coefficients = embedPeriodicFast(slots)
  for (let k = 0; k < coefficients.length; k++) {
    const multiple = Math.round(gaussian() * deviation) - Math.round(coefficients[k] / modulus)
    coefficients[k] += multiple * modulus
  }
  return complexSlotsOfPeriodic(coefficients)
}

const inBoth = (deviation: number): Deviations => ({ real: deviation, imaginary: deviation })

/** Noise of a fresh encryption. All rounding errors of an encoded real vector are real. */
function encryptionDeviations(parameters: CkksParameters, slots: SlotVector): Deviations {
  const encryption = symmetricEncryptionNoise(parameters)
  if (isComplexVector(slots)) return inBoth(Math.hypot(encryption, complexEncodingNoise(parameters.slots)))
  return { real: Math.hypot(encryption, encodingNoise(parameters.slots)), imaginary: encryption }
}

function withNoise(
  slots: SlotVector,
  deviations: Deviations,
  scale: number,
  gaussians: { readonly real: Gaussian; readonly imaginary: Gaussian },
): ComplexVector {
  const real = realOf(slots)
  const imaginary = imaginaryOf(slots) ?? new Float64Array(real.length)
  const [inReal, inImaginary] = [deviations.real / scale, deviations.imaginary / scale]
  return {
    real: real.map((value) => value + gaussians.real() * inReal),
    imaginary: imaginary.map((value) => value + gaussians.imaginary() * inImaginary),
  }
}

function throwOverflow(largest: number, limit: number): never {
  throw new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `A value of ${largest.toPrecision(3)} would wrap: the modulus holds ${limit.toPrecision(3)} at this scale`,
    { largest, limit },
  )
}
