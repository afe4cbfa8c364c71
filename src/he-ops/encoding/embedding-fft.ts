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
  const { size, first, second, real, imaginary, circle } = workspaceOf(2 * values.length)
  imaginary.fill(0)
  for (let i = 0; i < values.length; i++) {
    real[first[i]] = values[i]
    real[second[i]] = values[i]
  }
  transform(real, imaginary, circle)
  const { cosines, sines } = circle
  const coefficients = new Float64Array(size)
  for (let k = 0; k < size; k++) {
    coefficients[k] = (real[k] * cosines[k] - imaginary[k] * sines[k]) / size
  }
  return coefficients
}

/** What embeddings of one size need, made once: circuits have hundreds of thousands of constants of few periods. */
interface Workspace {
  readonly size: number
  /** Where each slot goes: the places of 3^i and of -3^i. */
  readonly first: Uint32Array
  readonly second: Uint32Array
  readonly real: Float64Array
  readonly imaginary: Float64Array
  readonly circle: HalfCircle
}

const workspaces = new Map<number, Workspace>()

function workspaceOf(size: number): Workspace {
  let workspace = workspaces.get(size)
  if (workspace === undefined) {
    workspace = newWorkspace(size)
    workspaces.set(size, workspace)
  }
  return workspace
}

function newWorkspace(size: number): Workspace {
  const bits = log2Exact(size)
  const first = new Uint32Array(size / 2)
  const second = new Uint32Array(size / 2)
  let exponent = 1
  for (let i = 0; i < size / 2; i++) {
    first[i] = bitReverse((exponent - 1) / 2, bits)
    second[i] = bitReverse((2 * size - exponent - 1) / 2, bits)
    exponent = (exponent * 3) % (2 * size)
  }
  const real = new Float64Array(size)
  const imaginary = new Float64Array(size)
  return { size, first, second, real, imaginary, circle: halfCircle(size) }
}

/** exp(-pi i k / size) for k below the size. */
interface HalfCircle {
  readonly cosines: Float64Array
  readonly sines: Float64Array
}

function halfCircle(size: number): HalfCircle {
  const cosines = new Float64Array(size)
  const sines = new Float64Array(size)
  for (let k = 0; k < size; k++) {
    cosines[k] = Math.cos((-Math.PI * k) / size)
    sines[k] = Math.sin((-Math.PI * k) / size)
  }
  return { cosines, sines }
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
