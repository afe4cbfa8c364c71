import { PolyVeilError } from '../errors/index.ts'
import type { CkksParameters } from './parameters/parameters.ts'
import type { ValueType } from './types.ts'

/** Relative difference of scales below which two operands count as equally scaled. */
export const SCALE_TOLERANCE = 2 ** -40

/** The type of an encrypted value, known without decrypting it. */
export interface CiphertextType extends ValueType {
  /** 2, or 3 between `multiply` and `relinearise`. */
  readonly polynomials: 2 | 3
}

/** log2 of q_0 * .. * q_l for each level l. */
export function modulusBits({ primes }: Pick<CkksParameters, 'primes'>): number[] {
  let bits = 0
  return primes.map((prime) => {
    bits += Math.log2(Number(prime))
    return bits
  })
}

/** log2 of q_0 * .. * q_level. */
export const log2Modulus = (parameters: Pick<CkksParameters, 'primes'>, level: number): number =>
  modulusBits(parameters)[level]

/**
 * Bits of modulus that an encoded vector needs so that it does not wrap. No coefficient exceeds the largest
 * slot, and half of the modulus is for negative coefficients.
 *
 * @param largest largest |slot|
 */
export const encodedBits = (largest: number, scale: number): number => Math.log2(largest * scale + 1) + 1

/** The largest |value|; NaN when any is NaN. */
export function largestAbsolute(values: Float64Array): number {
  let most = 0
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]))
  return most
}

/**
 * The type of each operation's result, computed from its operands. The verifier and every backend use these
 * same functions, so that a circuit that passes also executes. Scales are IEEE doubles, computed in one fixed
 * order.
 *
 * @throws LEVEL_EXHAUSTED when operands differ in level, a level does not exist, or the scale reaches the
 *   modulus
 * @throws SCALE_MISMATCH when operands of a sum differ in scale by more than `SCALE_TOLERANCE`
 * @throws CONFIG_INVALID when a value of three polynomials is read by anything but `relinearise` and sums of
 *   such values, or steps are out of range
 */
export interface TypeLaws {
  input(level: number, scale: number): CiphertextType
  rotate(a: CiphertextType, steps: number): CiphertextType
  conjugate(a: CiphertextType): CiphertextType
  timesI(a: CiphertextType): CiphertextType
  dot(terms: readonly CiphertextType[], constantScale: number): CiphertextType
  addPlain(a: CiphertextType): CiphertextType
  /**
   * For `add` and `subtract`, also of two unrelinearised products; the result has the left operand's scale.
   */
  add(a: CiphertextType, b: CiphertextType): CiphertextType
  multiply(a: CiphertextType, b: CiphertextType): CiphertextType
  relinearise(a: CiphertextType): CiphertextType
  rescale(a: CiphertextType): CiphertextType
  dropLevel(a: CiphertextType, level: number): CiphertextType
  refresh(a: CiphertextType): CiphertextType
  raise(a: CiphertextType): CiphertextType
}

/** The parts of parameters that the laws depend on. A planner's draft has them too. */
export type ModulusChain = Pick<CkksParameters, 'slots' | 'primes' | 'topLevel'>

/** The laws under the given parameters. */
export function typeLaws(parameters: ModulusChain): TypeLaws {
  const bits = modulusBits(parameters)

  const typed = (level: number, scale: number, polynomials: 2 | 3 = 2): CiphertextType => {
    requireLevel(level, parameters.topLevel)
    requireFits(scale, bits[level], level)
    return { level, scale, polynomials }
  }

  return {
    input: (level, scale) => typed(level, scale),
    rotate(a, steps) {
      requireTwo(a, 'rotate')
      if (!Number.isInteger(steps) || steps <= 0 || steps >= parameters.slots) {
        throw invalid(`A rotation by ${steps} is not between 1 and ${parameters.slots - 1}`)
      }
      return a
    },
    conjugate(a) {
      requireTwo(a, 'conjugate')
      return a
    },
    timesI(a) {
      requireTwo(a, 'timesI')
      return a
    },
    dot(terms, constantScale) {
      if (terms.length === 0) throw invalid('A dot needs at least one term')
      requireScale(constantScale)
      const [first] = terms
      for (const term of terms) {
        requireTwo(term, 'dot')
        requireSummands(first, term)
      }
      return typed(first.level, first.scale * constantScale)
    },
    addPlain(a) {
      requireTwo(a, 'addPlain')
      return a
    },
    add(a, b) {
      if (a.polynomials !== b.polynomials) {
        throw invalid('A product that is not relinearised can be added to another one only')
      }
      requireSummands(a, b)
      return a
    },
    multiply(a, b) {
      requireTwo(a, 'multiply')
      requireTwo(b, 'multiply')
      requireSameLevel(a, b)
      return typed(a.level, a.scale * b.scale, 3)
    },
    relinearise(a) {
      if (a.polynomials !== 3) throw invalid('relinearise takes the result of a multiply')
      return typed(a.level, a.scale)
    },
    rescale(a) {
      requireTwo(a, 'rescale')
      if (a.level === 0) throw exhausted('No prime is left to rescale by', { level: 0 })
      return typed(a.level - 1, a.scale / Number(parameters.primes[a.level]))
    },
    dropLevel(a, level) {
      requireTwo(a, 'dropLevel')
      if (level >= a.level) throw exhausted(`Level ${a.level} cannot be dropped to ${level}`, { level })
      return typed(level, a.scale)
    },
    refresh(a) {
      requireTwo(a, 'refresh')
      return typed(parameters.topLevel, a.scale)
    },
    raise(a) {
      requireTwo(a, 'raise')
      return typed(parameters.topLevel, a.scale)
    },
  }
}

function requireTwo(a: CiphertextType, kind: string): void {
  if (a.polynomials !== 2) throw invalid(`${kind} takes no unrelinearised product`)
}

function requireLevel(level: number, topLevel: number): void {
  if (!Number.isInteger(level) || level < 0 || level > topLevel) {
    throw exhausted(`Level ${level} is not between 0 and ${topLevel}`, { level, topLevel })
  }
}

function requireScale(scale: number): void {
  if (!Number.isFinite(scale) || scale <= 0) throw invalid(`${scale} is no scale`)
}

function requireFits(scale: number, haveBits: number, level: number): void {
  requireScale(scale)
  const needBits = Math.log2(scale)
  if (needBits >= haveBits) {
    const facts = { level, needBits: round2(needBits), haveBits: round2(haveBits) }
    throw exhausted(
      `A scale of 2^${facts.needBits} does not fit the ${facts.haveBits} bits of level ${level}`,
      facts,
    )
  }
}

function requireSummands(a: CiphertextType, b: CiphertextType): void {
  requireSameLevel(a, b)
  if (Math.abs(a.scale - b.scale) > SCALE_TOLERANCE * Math.max(a.scale, b.scale)) {
    throw new PolyVeilError('SCALE_MISMATCH', `Scales ${a.scale} and ${b.scale} differ`, {
      left: a.scale,
      right: b.scale,
    })
  }
}

function requireSameLevel(a: CiphertextType, b: CiphertextType): void {
  if (a.level !== b.level) {
    throw exhausted(`Operands are at levels ${a.level} and ${b.level}; drop the higher one first`, {
      left: a.level,
      right: b.level,
    })
  }
}

const round2 = (bits: number): number => Math.round(bits * 100) / 100

const invalid = (message: string): PolyVeilError => new PolyVeilError('CONFIG_INVALID', message)

const exhausted = (message: string, facts: Record<string, number>): PolyVeilError =>
  new PolyVeilError('LEVEL_EXHAUSTED', message, facts)
