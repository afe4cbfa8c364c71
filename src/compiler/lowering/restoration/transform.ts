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

/** One factor of the transform. */
export interface TransformFactor {
  readonly map: DiagonalMap
  /** All shifts are multiples of it. */
  readonly unit: number
}

/**
 * The factors of slots-to-coefficients: slots z become the slots of a polynomial whose coefficients are z, in
 * bit-reversed order.
 *
 * @param stages number of stages in each group, in the order of application; their sum is log2 of the slots
 */
export function slotsToCoefficients(slots: number, stages: readonly number[]): TransformFactor[] {
  const groups = grouped(slots, stages, forwardStage)
  // The first groups have the small units. Each rotates its output so far that its own shifts are positive.
  let before = 0
  return groups.map(({ map, unit, isWhole }) => {
    const after = isWhole ? 0 : modulo(reachOf(map, unit, before), slots)
    const factor = { map: turned(map, before, after), unit }
    before = after
    return factor
  })
}

/**
 * The factors of coefficients-to-slots, the inverse: from the slots of a polynomial to its coefficients in
 * bit-reversed order.
 *
 * @param stages as for `slotsToCoefficients`; the groups are applied in the opposite order
 */
export function coefficientsToSlots(slots: number, stages: readonly number[]): TransformFactor[] {
  const groups = grouped(slots, stages, inverseStage)
  // The last groups have the small units. Each wants its input rotated so far that its shifts are positive.
  let after = 0
  const turnedGroups = groups.map(({ map, unit, isWhole }) => {
    const before = isWhole ? 0 : modulo(-reachOf(map, unit, -after), slots)
    const factor = { map: turned(map, before, after), unit }
    after = before
    return factor
  })
  return turnedGroups.reverse()
}

/**
 * The rotation after which all shifts of a group are positive: the least multiple of the next group's unit
 * that suffices.
 *
 * @param offset by which the shifts are less, because of the rotation on the other side
 */
function reachOf({ slots, diagonals }: DiagonalMap, unit: number, offset: number): number {
  const next = unit * 2 ** Math.round(Math.log2((diagonals.size + 1) / 2))
  const lowest = Math.max(...[...diagonals.keys()].map((shift) => (shift > slots / 2 ? slots - shift : 0)))
  return Math.ceil((lowest + offset) / next) * next
}

interface Group {
  readonly map: DiagonalMap
  readonly unit: number
  /** Whether its shifts are all multiples of the unit, modulo the slots. */
  readonly isWhole: boolean
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
    const map = ordered.map((half) => stageOf(slots, half)).reduce(composed)
    const group = { map, unit, isWhole: map.period === slots }
    unit *= 2 ** count
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
