import { valuesOf } from '../../circuit/constants/constant.ts'
import { type CiphertextType, largestAbsolute, log2Modulus, typeLaws } from '../../circuit/laws.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { Evaluator } from '../backend.ts'
import { asEncoded } from '../encoding/embedding-fft.ts'
import {
  encodingNoise,
  keySwitchingNoise,
  refreshNoise,
  roundingNoise,
  symmetricEncryptionNoise,
} from '../noise.ts'
import { type Gaussian, seededGaussian } from './gaussian.ts'

/** A slot vector with the type of a ciphertext. Immutable until it is freed. */
export interface ClearCiphertext extends CiphertextType {
  readonly slots: Float64Array
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
   * Called instead of an error for a value that would wrap, with the largest |slot| and the largest that the
   * level's modulus holds at this scale.
   */
  readonly overflow?: (largest: number, limit: number) => void
}

export interface ClearEvaluator extends Evaluator<ClearCiphertext> {
  /**
   * The value of a fresh encryption under the secret key.
   * @param slots at most N / 2 values; missing slots are zero
   */
  encrypt(slots: ArrayLike<number>, level: number, scale: number): ClearCiphertext
  decrypt(a: ClearCiphertext): Float64Array
  /** Number of values that are not freed. */
  readonly live: number
}

/**
 * The evaluator that defines the semantics of operations: real slot vectors with exact levels and scales. It
 * throws where encrypted evaluators would.
 *
 * A value whose |slot| * scale reaches half of the level's modulus is reported as an overflow. (Coefficients
 * are the numbers that wrap. None exceeds the largest slot, so that every wrap is reported.)
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
  const gaussian = noise === 'model' ? seededGaussian(seed) : undefined
  const largestInteger = parameters.primes.map((_, level) => 2 ** (log2Modulus(parameters, level) - 1))

  const use = (a: ClearCiphertext): ClearCiphertext => {
    if (!alive.has(a)) throw new PolyVeilError('INTERNAL', 'A freed value is used')
    return a
  }

  const make = (type: CiphertextType, slotAt: (s: number) => number): ClearCiphertext => {
    const slots = new Float64Array(parameters.slots)
    for (let s = 0; s < slots.length; s++) slots[s] = slotAt(s)
    const limit = largestInteger[type.level] / type.scale
    const largest = largestAbsolute(slots)
    if (!(largest < limit)) overflow(largest, limit)
    const { level, scale, polynomials } = type
    const made: ClearCiphertext = { level, scale, polynomials, slots }
    alive.add(made)
    return made
  }

  /** Fresh noise for each slot, with a deviation in units of 1 / scale. */
  const noisy = (deviation: number, { scale }: CiphertextType): (() => number) =>
    gaussian ? scaled(gaussian, deviation / scale) : () => 0

  const keySwitched = (type: CiphertextType): (() => number) =>
    noisy(keySwitchingNoise(parameters, type.level), type)

  /**
   * A constant's values after encoding at `scale`, one period. Noise would be a wrong model: equal and
   * repeated constants have equal errors.
   */
  const encoded = (id: number, scale: number): Float64Array => {
    const values = valuesOf(constants.at(id)!)
    return gaussian ? asEncoded(values, scale) : values
  }

  const sum = (a: ClearCiphertext, b: ClearCiphertext, sign: 1 | -1): ClearCiphertext =>
    make(laws.add(use(a), use(b)), (s) => a.slots[s] + sign * b.slots[s])

  return {
    name: 'clear',
    get live() {
      return alive.size
    },
    levelOf: (a) => use(a).level,
    scaleOf: (a) => use(a).scale,

    encrypt(slots, level, scale) {
      const type = laws.input(level, scale)
      const fresh = noisy(
        Math.hypot(symmetricEncryptionNoise(parameters), encodingNoise(parameters.slots)),
        type,
      )
      return make(type, (s) => (slots[s] ?? 0) + fresh())
    },

    decrypt: (a) => use(a).slots.slice(),

    rotate(a, steps) {
      const type = laws.rotate(use(a), steps)
      const error = keySwitched(type)
      return make(type, (s) => a.slots[(s + steps) % parameters.slots] + error())
    },

    dot(terms, constantScale) {
      const type = laws.dot(
        terms.map(({ ciphertext }) => use(ciphertext)),
        constantScale,
      )
      const total = new Float64Array(parameters.slots)
      for (const { ciphertext, constant } of terms) {
        const weights = encoded(constant, constantScale)
        const mask = weights.length - 1
        for (let s = 0; s < total.length; s++) total[s] += ciphertext.slots[s] * weights[s & mask]
      }
      return make(type, (s) => total[s])
    },

    addPlain(a, constant) {
      const type = laws.addPlain(use(a))
      const addend = encoded(constant, type.scale)
      return make(type, (s) => a.slots[s] + addend[s & (addend.length - 1)])
    },

    add: (a, b) => sum(a, b, 1),
    subtract: (a, b) => sum(a, b, -1),

    multiply: (a, b) => make(laws.multiply(use(a), use(b)), (s) => a.slots[s] * b.slots[s]),

    relinearise(a) {
      const type = laws.relinearise(use(a))
      const error = keySwitched(type)
      return make(type, (s) => a.slots[s] + error())
    },

    rescale(a) {
      const type = laws.rescale(use(a))
      const error = noisy(roundingNoise(parameters), type)
      return make(type, (s) => a.slots[s] + error())
    },

    dropLevel: (a, level) => make(laws.dropLevel(use(a), level), (s) => a.slots[s]),

    refresh(a) {
      const type = laws.refresh(use(a))
      const error = noisy(refreshNoise(parameters), type)
      return make(type, (s) => a.slots[s] + error())
    },

    free(a) {
      use(a)
      alive.delete(a)
    },
  }
}

const scaled =
  (gaussian: Gaussian, deviation: number): (() => number) =>
  () =>
    gaussian() * deviation

function throwOverflow(largest: number, limit: number): never {
  throw new PolyVeilError(
    'TENSOR_OUT_OF_RANGE',
    `A value of ${largest.toPrecision(3)} would wrap: the modulus holds ${limit.toPrecision(3)} at this scale`,
    { largest, limit },
  )
}
