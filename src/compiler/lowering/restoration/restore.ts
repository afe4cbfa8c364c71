import type { ValueId } from '../../../circuit/types.ts'
import { roundingNoise } from '../../../he-ops/noise.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'
import { cosineRange, lowerSine } from './cosine.ts'
import { lowerFactor } from './factor.ts'
import {
  HIGH_PRIMES,
  plusNumber,
  primesBetween,
  type RestorationShape,
  raiseModulus,
  rescaledTo,
  timesNumber,
} from './shape.ts'
import { coefficientsToSlots, slotsToCoefficients, type TransformFactor } from './transform.ts'

/**
 * log2 of the gain of the noise of a rescale, at the scale between the transforms, to the restored value
 * where its range is 1. Measured on the clear backend (test/compiler/lowering/restoration).
 */
const NOISE_GAIN_BITS = 6.8

/** Root mean square of the sine's deviation from its argument, for normally distributed messages. */
const sineError = (rms: number, rangeBits: number): number =>
  (Math.sqrt(15) * rms ** 3 * ((2 * Math.PI) / 2 ** rangeBits) ** 2) / 6

/** log2 of the least scale of values that are rotated in slots-to-coefficients. */
const LIFTED_BITS = 38

/** The factors of both transforms. */
interface Transforms {
  readonly down: readonly TransformFactor[]
  readonly up: readonly TransformFactor[]
}

/**
 * Restores the levels of values at the server: CKKS bootstrapping with slots-to-coefficients first. Holds the
 * transforms of its shape, which take memory and time to make.
 *
 * Sources: Cheon et al., ePrint 2018/153; Bossuat et al., ePrint 2020/1203 and 2022/024.
 */
export class Restorer {
  readonly shape: RestorationShape
  #transforms: Transforms | undefined

  constructor(shape: RestorationShape) {
    this.shape = shape
  }

  /**
   * @param value at the refresh level or above. Its slots hold any complex numbers with parts up to
   *   2^rangeBits / 2; smaller ones are more precise
   * @returns the same slots at the network's level
   */
  restore(builder: CircuitBuilder, value: ValueId): ValueId {
    const { levels } = this.shape
    const raised = builder.raise(this.#toCoefficients(builder, builder.dropTo(value, levels.refresh)))
    const { scale } = builder.type(raised)
    const modulus = raiseModulus(builder, this.shape)
    const joined = this.#toSlots(builder, raised, scale / modulus)
    const sines = this.#sines(builder, joined)
    // The sine of 2 pi m / Q is near 2 pi m / Q. It becomes m by a scale that is less by as much; the
    // constant is encoded as the number 1.
    const factor = modulus / (2 * Math.PI * scale)
    return timesNumber(builder, sines, factor, builder.type(sines).scale / factor)
  }

  /**
   * Variance of the error that a restoration adds to each real element.
   *
   * @param slots of a ciphertext
   * @param rms root mean square of the elements
   */
  errorVariance(slots: number, rms: number): number {
    const { rangeBits, scaleBits } = this.shape
    const noise = roundingNoise({ ring: 2 * slots }) * 2 ** (NOISE_GAIN_BITS + rangeBits - scaleBits)
    return noise ** 2 + sineError(rms, rangeBits) ** 2
  }

  #toCoefficients(builder: CircuitBuilder, value: ValueId): ValueId {
    const { shape } = this
    const { down } = this.#transformsOf(builder)
    const { refresh } = shape.levels
    const target = raiseModulus(builder, shape) / 2 ** shape.rangeBits
    let id = this.#lifted(builder, value)
    const start = builder.type(id).scale
    down.forEach((factor, i) => {
      const level = refresh - 1 - i
      // Scales descend evenly from that of the lifted value to the last one.
      const scale = start * (target / start) ** ((i + 1) / down.length)
      const constantScale = (scale * primesBetween(builder, level, level + 1)) / builder.type(id).scale
      id = rescaledTo(builder, lowerFactor(builder, id, factor, shape.rotations, constantScale), level)
    })
    return id
  }

  /** Multiplies a value by an integer, so that the noise of rotations is small beside it. */
  #lifted(builder: CircuitBuilder, value: ValueId): ValueId {
    const { scale } = builder.type(value)
    const factor = Math.round(2 ** LIFTED_BITS / scale)
    return factor > 1 ? timesNumber(builder, value, 1, scale * factor) : value
  }

  /**
   * @param unit the message 1, in multiples of Q, as the coefficients have it
   * @returns t / (2 range) for both coefficients t in a slot, in multiples of Q
   */
  #toSlots(builder: CircuitBuilder, raised: ValueId, unit: number): ValueId {
    const { shape } = this
    const { up } = this.#transformsOf(builder)
    const target = 2 ** shape.scaleBits
    let id = raised
    up.forEach((factor, i) => {
      const { level, scale } = builder.type(id)
      const below = level - HIGH_PRIMES
      const constantScale = (target * primesBetween(builder, below, level)) / scale
      const gain = i === 0 ? unit / (2 * cosineRange(shape.bound)) : 1
      const sum = lowerFactor(builder, id, factor, shape.rotations, constantScale, gain)
      id = rescaledTo(builder, sum, below)
    })
    return id
  }

  /** The sines of both parts, in a slot again. */
  #sines(builder: CircuitBuilder, joined: ValueId): ValueId {
    const { bound } = this.shape
    const conjugate = builder.conjugate(joined)
    const parts = [builder.add(joined, conjugate), builder.timesI(builder.subtract(conjugate, joined))]
    const [real, imaginary] = parts.map((part) =>
      lowerSine(builder, plusNumber(builder, part, -1 / (4 * cosineRange(bound))), bound),
    )
    return builder.add(real, builder.timesI(imaginary))
  }

  #transformsOf({ chain }: CircuitBuilder): Transforms {
    const { stages } = this.shape
    this.#transforms ??= {
      down: slotsToCoefficients(chain.slots, stages),
      up: coefficientsToSlots(chain.slots, stages),
    }
    return this.#transforms
  }
}
