import { bitReverse, log2Exact } from './order.ts'

/**
 * What `embedPeriodic` computes, by a fast Fourier transform: for real slots v of period p,
 * c_k = (1 / 2p) * Re(w^-k * sum over m of f_m * w^(-2km)), w = exp(i * pi / 2p), where f_m is the slot whose exponent
 * 3^i or -3^i is 2m + 1 modulo 4p.
 *
 * @param values one period of real slots; the length p is a power of two
 * @returns the 2p coefficients, unscaled; cost p log p
 */
export function embedPeriodicFast(values: Float64Array): Float64Array {
  const size = 2 * values.length
  const real = new Float64Array(size)
  const imaginary = new Float64Array(size)
  const bits = log2Exact(size)
  let exponent = 1
  for (const value of values) {
    real[bitReverse((exponent - 1) / 2, bits)] = value
    real[bitReverse((2 * size - exponent - 1) / 2, bits)] = value
    exponent = (exponent * 3) % (2 * size)
  }
  const circle = halfCircle(size)
  transform(real, imaginary, circle)
  const { cosines, sines } = circle
  const coefficients = new Float64Array(size)
  for (let k = 0; k < size; k++) {
    coefficients[k] = (real[k] * cosines[k] - imaginary[k] * sines[k]) / size
  }
  return coefficients
}

/** exp(-pi i k / size) for k below the size. */
interface HalfCircle {
  readonly cosines: Float64Array
  readonly sines: Float64Array
}

/** By size: a circuit has thousands of constants of few periods. */
const circles = new Map<number, HalfCircle>()

function halfCircle(size: number): HalfCircle {
  let circle = circles.get(size)
  if (circle === undefined) {
    circle = { cosines: new Float64Array(size), sines: new Float64Array(size) }
    for (let k = 0; k < size; k++) {
      circle.cosines[k] = Math.cos((-Math.PI * k) / size)
      circle.sines[k] = Math.sin((-Math.PI * k) / size)
    }
    circles.set(size, circle)
  }
  return circle
}

/** sum over m of x_m * exp(-2 pi i k m / size) in place; the input stands in bit-reversed order. */
function transform(real: Float64Array, imaginary: Float64Array, { cosines, sines }: HalfCircle): void {
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
