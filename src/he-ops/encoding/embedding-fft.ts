import { isComplexVector } from '../../circuit/constants/slot-vector.ts'
import type { ComplexVector, SlotVector } from '../../circuit/types.ts'
import { bitReverse, log2Exact } from './order.ts'

/**
 * What `embedPeriodic` computes, by fast Fourier transforms of p points. The imaginary unit is Y^p: the
 * polynomial of complex slots is a + Y^p * b, where a and b are the polynomials of the real and of the
 * imaginary parts.
 *
 * @param values one period of slots; their number p is a power of two
 * @returns the 2p coefficients, unscaled; cost p log p
 */
export function embedPeriodicFast(values: SlotVector): Float64Array {
  if (!isComplexVector(values)) return embedReal(values)
  const a = embedReal(values.real)
  const b = embedReal(values.imaginary)
  const period = a.length / 2
  // a_(2p - k) is -a_k, and b likewise; Y^2p is -1.
  const coefficients = new Float64Array(2 * period)
  coefficients[0] = a[0]
  coefficients[period] = b[0]
  for (let k = 1; k < period; k++) {
    coefficients[k] = a[k] + b[period - k]
    coefficients[2 * period - k] = b[period - k] - a[k]
  }
  return coefficients
}

/**
 * The polynomial of real slots v of period p: c_k = (1 / p) * sum over m < p of f_m * cos(pi k (2m + 1) /
 * 2p), where f_m is the slot whose exponent 5^i or -5^i is 2m + 1 modulo 4p. Slots being real, the rest
 * follows: c_p = 0 and c_(2p - k) = -c_k.
 *
 * Source: Makhoul, "A Fast Cosine Transform in One and Two Dimensions", IEEE Transactions on Acoustics,
 * Speech, and Signal Processing 28 (1980): of x_n = f_2n and x_(p - 1 - n) = f_(2n + 1) with transform X, c_k
 * is the real part of exp(-pi i k / 2p) * X_k / p.
 */
function embedReal(values: Float64Array): Float64Array {
  const period = values.length
  const { places, real, imaginary, circle, half } = workspaceOf(period)
  imaginary.fill(0)
  for (let i = 0; i < period; i++) real[places[i]] = values[i]
  transform(real, imaginary, circle)
  const coefficients = new Float64Array(2 * period)
  coefficients[0] = real[0] / period
  for (let k = 1; k < period; k++) {
    const coefficient = (real[k] * half.cosines[k] - imaginary[k] * half.sines[k]) / period
    coefficients[k] = coefficient
    coefficients[2 * period - k] = -coefficient
  }
  return coefficients
}

/**
 * The other way round: the complex slots of any polynomial. Its parts a and b, as in `embedPeriodicFast`, are
 * a_k = (c_k - c_(2p - k)) / 2 and b_(p - k) = (c_k + c_(2p - k)) / 2.
 *
 * @param coefficients 2p of them; p is a power of two
 * @returns one period of slots
 */
export function complexSlotsOfPeriodic(coefficients: Float64Array): ComplexVector {
  const period = coefficients.length / 2
  const a = new Float64Array(2 * period)
  const b = new Float64Array(2 * period)
  a[0] = coefficients[0]
  b[0] = coefficients[period]
  for (let k = 1; k < period; k++) {
    a[k] = (coefficients[k] - coefficients[2 * period - k]) / 2
    b[period - k] = (coefficients[k] + coefficients[2 * period - k]) / 2
  }
  return { real: slotsOfPeriodic(a), imaginary: slotsOfPeriodic(b) }
}

/**
 * The real slots of a polynomial whose slots are real, f_m = c_0 + 2 * sum over 0 < k < p of c_k *
 * cos(pi k (2m + 1) / 2p). By the same source, the transform's real part for points exp(-pi i k / 2p) * (c_k
 * + i * c_(p - k)).
 *
 * @param coefficients 2p of them, as `embedPeriodicFast` makes them of real slots: of pairs of opposite
 *   numbers the first ones are read
 * @returns one period of slots
 */
export function slotsOfPeriodic(coefficients: Float64Array): Float64Array {
  const period = coefficients.length / 2
  const { places, reversed, real, imaginary, circle, half } = workspaceOf(period)
  for (let k = 0; k < period; k++) {
    const mirrored = k === 0 ? 0 : coefficients[period - k]
    real[reversed[k]] = coefficients[k] * half.cosines[k] - mirrored * half.sines[k]
    imaginary[reversed[k]] = coefficients[k] * half.sines[k] + mirrored * half.cosines[k]
  }
  transform(real, imaginary, circle)
  const values = new Float64Array(period)
  for (let i = 0; i < period; i++) values[i] = real[reversed[places[i]]]
  return values
}

/**
 * A periodic vector after encoding and decoding: its polynomial's coefficients are rounded to integers at the
 * scale.
 *
 * @param values one period of slots
 * @returns one period, again in units of the values; real where the values are
 */
export function asEncoded(values: Float64Array, scale: number): Float64Array
export function asEncoded(values: SlotVector, scale: number): SlotVector
export function asEncoded(values: SlotVector, scale: number): SlotVector {
  const coefficients = embedPeriodicFast(values)
  for (let k = 0; k < coefficients.length; k++) coefficients[k] = Math.round(coefficients[k] * scale) / scale
  return isComplexVector(values) ? complexSlotsOfPeriodic(coefficients) : slotsOfPeriodic(coefficients)
}

/**
 * Tables for embeddings of one period, made once: circuits have hundreds of thousands of constants with few
 * periods.
 */
interface Workspace {
  /** The index of each slot among the transform's points, in bit-reversed order. */
  readonly places: Uint32Array
  /** The bit-reversed order itself. */
  readonly reversed: Uint32Array
  readonly real: Float64Array
  readonly imaginary: Float64Array
  readonly circle: Angles
  readonly half: Angles
}

const workspaces = new Map<number, Workspace>()

function workspaceOf(period: number): Workspace {
  let workspace = workspaces.get(period)
  if (workspace === undefined) {
    workspace = newWorkspace(period)
    workspaces.set(period, workspace)
  }
  return workspace
}

const newWorkspace = (period: number): Workspace => ({
  places: placesOf(period),
  reversed: Uint32Array.from({ length: period }, (_, k) => bitReverse(k, log2Exact(period))),
  real: new Float64Array(period),
  imaginary: new Float64Array(period),
  circle: anglesOf(period, Math.PI / period),
  half: anglesOf(period, Math.PI / (2 * period)),
})

function placesOf(period: number): Uint32Array {
  const bits = log2Exact(period)
  const places = new Uint32Array(period)
  let exponent = 1
  for (let i = 0; i < period; i++) {
    // Of the exponents 5^i and -5^i the one below 2p.
    const m = (Math.min(exponent, 4 * period - exponent) - 1) / 2
    const n = m % 2 === 0 ? m / 2 : period - (m + 1) / 2
    places[i] = bitReverse(n, bits)
    exponent = (exponent * 5) % (4 * period)
  }
  return places
}

/** exp(-i k step) for k below the count. */
interface Angles {
  readonly cosines: Float64Array
  readonly sines: Float64Array
}

function anglesOf(count: number, step: number): Angles {
  const cosines = new Float64Array(count)
  const sines = new Float64Array(count)
  for (let k = 0; k < count; k++) {
    cosines[k] = Math.cos(k * step)
    sines[k] = -Math.sin(k * step)
  }
  return { cosines, sines }
}

/** sum over m of x_m * exp(-2 pi i k m / size) in place; the input stands in bit-reversed order. */
function transform(real: Float64Array, imaginary: Float64Array, { cosines, sines }: Angles): void {
  const size = real.length
  for (let half = 1; half < size; half *= 2) {
    const stride = size / half
    for (let start = 0; start < size; start += 2 * half) {
      for (let j = 0; j < half; j++) {
        const a = start + j
        const b = a + half
        const c = cosines[j * stride]
        const s = sines[j * stride]
        const re = real[b] * c - imaginary[b] * s
        const im = real[b] * s + imaginary[b] * c
        real[b] = real[a] - re
        imaginary[b] = imaginary[a] - im
        real[a] += re
        imaginary[a] += im
      }
    }
  }
}
