import type { ValueId } from '../../../circuit/types.ts'
import { roundingNoise } from '../../../he-ops/noise.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'
import { sumOfCopies } from './copies.ts'
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
const sineError = (rms: number): number =>
  (Math.sqrt(15) * rms ** 3 * ((2 * Math.PI) / 2 ** RANGE_BITS) ** 2) / 6

/**
 * A message of 1, in the unit of its restoration, is raised as Q / 2^RANGE_BITS. The unit is a power of two
 * that follows from the message's size: the sine deviates from larger messages, and noise is larger beside
 * smaller ones.
 */
const RANGE_BITS = 12
const LEAST_UNIT_BITS = -6
const MOST_UNIT_BITS = 10

/** log2 of the least scale of values that are rotated in slots-to-coefficients. */
const LIFTED_BITS = 38

/**
 * A value as a multiple of it, at a scale that is smaller by as much. The encoded constant is the number 1.
 */
const rescaledBy = (builder: CircuitBuilder, value: ValueId, factor: number): ValueId =>
  timesNumber(builder, value, factor, builder.type(value).scale / factor)

/** The ring of a builder's ciphertexts. Images whose levels are restored share no ciphertexts. */
export const ringOf = ({ chain: { slots }, copies }: CircuitBuilder): number => 2 * slots * copies

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
   * @param value at the refresh level or above. Its slots hold any complex numbers
   * @param rms expected root mean square of their parts. Parts up to some hundred times of it come back
   * @returns the same slots at the network's level
   */
  restore(builder: CircuitBuilder, value: ValueId, rms: number): ValueId {
    const { levels } = this.shape
    const unit = 2 ** this.#unitBits(ringOf(builder), rms)
    const low = this.#toCoefficients(builder, builder.dropTo(value, levels.refresh), 1 / unit)
    // The slots repeat for each copy of the image, so the message has coefficients at multiples of the number
    // of copies alone. The sum over the copies removes the multiples of Q of the others.
    const raised = sumOfCopies(builder, builder.raise(low))
    const { scale } = builder.type(raised)
    const inMultiplesOfQ = rescaledBy(
      builder,
      raised,
      scale / raiseModulus(builder, this.shape) / builder.copies,
    )
    const sines = this.#sines(builder, this.#toSlots(builder, inMultiplesOfQ))
    // The sine of 2 pi m / Q is near 2 pi m / Q, which becomes m in units of the message.
    return rescaledBy(builder, sines, (unit * 2 ** RANGE_BITS) / (2 * Math.PI))
  }

  /**
   * Variance of the error that a restoration adds to each real element.
   *
   * @param ring of the ciphertexts
   * @param rms root mean square of the elements
   */
  errorVariance(ring: number, rms: number): number {
    return this.#varianceAt(ring, rms, this.#unitBits(ring, rms))
  }

  /** log2 of the unit in which messages are raised, for the least error. */
  #unitBits(ring: number, rms: number): number {
    const choices = Array.from(
      { length: MOST_UNIT_BITS - LEAST_UNIT_BITS + 1 },
      (_, i) => LEAST_UNIT_BITS + i,
    )
    const errors = choices.map((bits) => this.#varianceAt(ring, rms, bits))
    return choices[errors.indexOf(Math.min(...errors))]
  }

  #varianceAt(ring: number, rms: number, unitBits: number): number {
    const gain = 2 ** (NOISE_GAIN_BITS + RANGE_BITS - this.shape.scaleBits)
    const noise = roundingNoise({ ring }) * gain
    return (noise ** 2 + sineError(rms / 2 ** unitBits) ** 2) * 4 ** unitBits
  }

  /** @param gain by which the message is multiplied */
  #toCoefficients(builder: CircuitBuilder, value: ValueId, gain: number): ValueId {
    const { shape } = this
    const { down } = this.#transformsOf(builder)
    const { refresh } = shape.levels
    const start = 2 ** LIFTED_BITS
    const target = raiseModulus(builder, shape) / 2 ** RANGE_BITS
    let id = this.#lifted(builder, value)
    down.forEach((factor, i) => {
      const level = refresh - 1 - i
      // The first factor, whose diagonals are the shortest, brings all values to one scale, so that the
      // constants of the others are those of all restorations. Scales descend evenly to the last one.
      const scale = start * (target / start) ** ((i + 1) / down.length)
      const constantScale = (scale * primesBetween(builder, level, level + 1)) / builder.type(id).scale
      const sum = lowerFactor(builder, id, factor, shape.rotations, constantScale, i === 0 ? gain : 1)
      id = rescaledTo(builder, sum, level)
    })
    return id
  }

  /** Multiplies a value by an integer, so that the noise of rotations is small beside it. */
  #lifted(builder: CircuitBuilder, value: ValueId): ValueId {
    const { scale } = builder.type(value)
    const factor = Math.round(2 ** LIFTED_BITS / scale)
    return factor > 1 ? timesNumber(builder, value, 1, scale * factor) : value
  }

  /** @returns t / (2 range) for both coefficients t in a slot, in multiples of Q */
  #toSlots(builder: CircuitBuilder, raised: ValueId): ValueId {
    const { shape } = this
    const { up } = this.#transformsOf(builder)
    const target = 2 ** shape.scaleBits
    let id = raised
    up.forEach((factor, i) => {
      const { level, scale } = builder.type(id)
      const below = level - HIGH_PRIMES
      const constantScale = (target * primesBetween(builder, below, level)) / scale
      const gain = i === 0 ? 1 / (2 * cosineRange(shape.bound)) : 1
      const sum = lowerFactor(builder, id, factor, shape.rotations, constantScale, gain)
      id = rescaledTo(builder, sum, below)
    })
    return id
  }

  /** The sines of all coefficients, those of a slot in one slot again. */
  #sines(builder: CircuitBuilder, value: ValueId): ValueId {
    const conjugate = builder.conjugate(value)
    const real = builder.add(value, conjugate)
    if (builder.copies > 1) return this.#sinesOfCopies(builder, real)
    const imaginary = builder.timesI(builder.subtract(conjugate, value))
    return builder.add(this.#sine(builder, real), builder.timesI(this.#sine(builder, imaginary)))
  }

  /** The sines where the second copy of the slots has what becomes the imaginary parts. */
  #sinesOfCopies(builder: CircuitBuilder, value: ValueId): ValueId {
    const apart = this.#sine(builder, value, Math.PI / 2)
    return builder.add(apart, builder.rotateCopies(apart, 1))
  }

  /** @param angle as for `lowerSine` */
  #sine(builder: CircuitBuilder, value: ValueId, angle = 0): ValueId {
    const { bound } = this.shape
    return lowerSine(builder, plusNumber(builder, value, -1 / (4 * cosineRange(bound))), bound, angle)
  }

  #transformsOf({ chain: { slots }, copies }: CircuitBuilder): Transforms {
    const { stages } = this.shape
    this.#transforms ??= {
      down: slotsToCoefficients(slots, stages),
      up: coefficientsToSlots(slots, stages, copies > 1 ? 'apart' : 'joined'),
    }
    return this.#transforms
  }
}
