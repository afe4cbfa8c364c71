import type { ComplexVector } from '../../../circuit/types.ts'
import { composed, type DiagonalMap, modulo, turned } from './diagonals.ts'

// A polynomial's coefficients as n complex numbers u_k = c_k + i c_(k + n), where n is the number of slots,
// and its slots z_j, the values at zeta^(5^j), are related by z = U u. U is a product of log2 n stages of
// butterflies after a permutation by bit reversal. The permutation is left out: the numbers between the two
// transforms are in bit-reversed order, and what is computed on them is the same for all.
//
// Stages are multiplied together in groups, so that the transform takes few levels. Rotations of a group's
// input and output make all shifts of all groups positive, so that baby and giant steps take one key each.
//
// Sources: Cheon, Kim, Kim and Song, ePrint 2016/421, for the butterflies; Han and Ki, ePrint 2019/688, and
// Chen, Chillotti and Song, ePrint 2018/1043, for groups of stages.

/** One factor of the transform, a group of stages. */
export interface TransformFactor {
  /** All shifts are multiples of it. */
  readonly unit: number
  /** Length of its diagonals. */
  readonly period: number
  /** The shifts of its diagonals in units, ascending and not negative. */
  readonly shifts: readonly number[]
  /** Computes the diagonals when it is first called. Drafts never call it. */
  map(): DiagonalMap
}

/**
 * The factors of slots-to-coefficients: slots z become the slots of a polynomial whose coefficients are z, in
 * bit-reversed order.
 *
 * @param stages number of stages in each group, in the order of application; their sum is log2 of the slots
 */
export function slotsToCoefficients(slots: number, stages: readonly number[]): TransformFactor[] {
  // The first groups have the small units. Each rotates its output so far that its own shifts are positive.
  let before = 0
  return grouped(slots, stages, forwardStage).map((group) => {
    const after = group.isWhole ? 0 : reachOf(group, before)
    const factor = turnedGroup(group, before, after)
    before = after
    return factor
  })
}

/** Where coefficients-to-slots puts the coefficients c_k and c_(k + n). */
export type Parts =
  /** As the real and the imaginary part of a slot. */
  | 'joined'
  /** As the real parts of slots in two copies of n slots. What is in the imaginary parts is of no use. */
  | 'apart'

/**
 * The factors of coefficients-to-slots, the inverse: from the slots of a polynomial to its coefficients in
 * bit-reversed order.
 *
 * @param stages as for `slotsToCoefficients`; the groups are applied in the opposite order
 * @param parts apart only where the polynomial's slots repeat
 */
export function coefficientsToSlots(
  slots: number,
  stages: readonly number[],
  parts: Parts = 'joined',
): TransformFactor[] {
  // The last groups have the small units. Each wants its input rotated so far that its shifts are positive.
  let after = 0
  const factors = grouped(slots, stages, inverseStage).map((group) => {
    const before = group.isWhole ? 0 : -reachOf(group, -after)
    const factor = turnedGroup(group, before, after)
    // The other factors work within blocks of slots, so the first one can take the parts apart.
    const chosen = group.isWhole && parts === 'apart' ? factorApart(factor, slots, after) : factor
    after = before
    return chosen
  })
  return factors.reverse()
}

/** Stages that are one factor. */
interface Group {
  readonly slots: number
  readonly unit: number
  readonly period: number
  readonly map: () => DiagonalMap
  /** Whether its shifts are all multiples of the unit, modulo the slots. */
  readonly isWhole: boolean
}

/**
 * The rotation after which all shifts of a group are positive: the least multiple of the next group's unit
 * that suffices.
 *
 * @param offset by which the shifts are less, because of the rotation on the other side
 */
const reachOf = ({ unit, period }: Group, offset: number): number =>
  Math.ceil((period - unit + offset) / period) * period

/** @param before rotation of the input @param after rotation of the output */
function turnedGroup(
  { slots, unit, period, map, isWhole }: Group,
  before: number,
  after: number,
): TransformFactor {
  const reach = period / unit - 1
  const first = isWhole ? 0 : -reach + (after - before) / unit
  const count = isWhole ? reach + 1 : 2 * reach + 1
  let made: DiagonalMap | undefined
  return {
    unit,
    period,
    shifts: Array.from({ length: count }, (_, i) => first + i),
    map() {
      made ??= turned(map(), modulo(before, slots), modulo(after, slots))
      return made
    },
  }
}

/**
 * A factor whose second copy of the slots is multiplied by -i, so that imaginary parts become real ones.
 *
 * @param turn rotation of the factor's output
 */
function factorApart(factor: TransformFactor, slots: number, turn: number): TransformFactor {
  let made: DiagonalMap | undefined
  return {
    ...factor,
    period: 2 * slots,
    map() {
      made ??= timesMinusIAbove(factor.map(), slots, turn)
      return made
    },
  }
}

/** The map whose output is multiplied by -i in the second of two copies of the slots. */
function timesMinusIAbove(map: DiagonalMap, slots: number, turn: number): DiagonalMap {
  const isAbove = (s: number): boolean => modulo(s + turn, 2 * slots) >= slots
  const diagonals = new Map<number, ComplexVector>()
  for (const [shift, { real, imaginary }] of map.diagonals) {
    const at = (s: number): number => s % map.period
    const length = { length: 2 * slots }
    diagonals.set(shift, {
      real: Float64Array.from(length, (_, s) => (isAbove(s) ? imaginary[at(s)] : real[at(s)])),
      imaginary: Float64Array.from(length, (_, s) => (isAbove(s) ? -real[at(s)] : imaginary[at(s)])),
    })
  }
  return { slots, period: 2 * slots, diagonals }
}

/** @param stageOf the map of the stage of butterflies between elements `half` apart */
function grouped(
  slots: number,
  stages: readonly number[],
  stageOf: (slots: number, half: number) => DiagonalMap,
): Group[] {
  let unit = 1
  return stages.map((count) => {
    const halves = Array.from({ length: count }, (_, i) => unit * 2 ** i)
    const ordered = stageOf === forwardStage ? halves : halves.toReversed()
    const period = unit * 2 ** count
    const map = () => ordered.map((half) => stageOf(slots, half)).reduce(composed)
    const group = { slots, unit, period, map, isWhole: period === slots }
    unit = period
    return group
  })
}

/** y_j = x_j + w_j x_(j + half) and y_(j + half) = x_j - w_j x_(j + half), in each block of 2 half slots. */
function forwardStage(slots: number, half: number): DiagonalMap {
  const w = twiddles(half)
  return stage(slots, half, {
    own: (j, upper) => (upper ? [-w.real[j], -w.imaginary[j]] : [1, 0]),
    other: (j, upper) => (upper ? [1, 0] : [w.real[j], w.imaginary[j]]),
  })
}

/** The inverse: x_j = (y_j + y_(j + half)) / 2 and x_(j + half) = conj(w_j) (y_j - y_(j + half)) / 2. */
function inverseStage(slots: number, half: number): DiagonalMap {
  const w = twiddles(half)
  return stage(slots, half, {
    own: (j, upper) => (upper ? [-w.real[j] / 2, w.imaginary[j] / 2] : [1 / 2, 0]),
    other: (j, upper) => (upper ? [w.real[j] / 2, -w.imaginary[j] / 2] : [1 / 2, 0]),
  })
}

type Complex = readonly [real: number, imaginary: number]

/** The factors of a butterfly's outputs: of the element in the same place, and of the one `half` away. */
interface Butterfly {
  own(j: number, upper: boolean): Complex
  other(j: number, upper: boolean): Complex
}

function stage(slots: number, half: number, { own, other }: Butterfly): DiagonalMap {
  const period = 2 * half
  const diagonals = new Map<number, ComplexVector>()
  const set = (shift: number, s: number, [real, imaginary]: Complex): void => {
    const known = diagonals.get(shift)
    const diagonal = known ?? { real: new Float64Array(period), imaginary: new Float64Array(period) }
    if (known === undefined) diagonals.set(shift, diagonal)
    diagonal.real[s] = real
    diagonal.imaginary[s] = imaginary
  }
  for (let s = 0; s < period; s++) {
    const upper = s >= half
    const j = s % half
    set(0, s, own(j, upper))
    set(modulo(upper ? -half : half, slots), s, other(j, upper))
  }
  return { slots, period, diagonals }
}

/** exp(2 pi i (5^j mod 8 half) / 8 half), for j below half. */
function twiddles(half: number): ComplexVector {
  const real = new Float64Array(half)
  const imaginary = new Float64Array(half)
  let power = 1
  for (let j = 0; j < half; j++) {
    const angle = (2 * Math.PI * power) / (8 * half)
    real[j] = Math.cos(angle)
    imaginary[j] = Math.sin(angle)
    power = (power * 5) % (8 * half)
  }
  return { real, imaginary }
}
