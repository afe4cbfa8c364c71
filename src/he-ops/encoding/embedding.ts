import { isComplexVector } from '../../circuit/constants/slot-vector.ts'
import type { ComplexVector, SlotVector } from '../../circuit/types.ts'

/**
 * The inverse canonical embedding of a periodic slot vector, at its own small size.
 *
 * Slot i is the value of the polynomial at zeta^(5^i), zeta = exp(i * pi / N). All powers of 5 are 1 modulo
 * 4, so that X^(N / 2) is the imaginary unit in every slot. A vector of period p is a polynomial P of degree
 * below 2p in Y = X^(N / 2p), whose value at w^(5^i), w = exp(i * pi / 2p), is slot i. The inverse is c_k =
 * (1 / p) * sum_i Re(v_i * w^(-k * 5^i)). For real slots that is (1 / p) * sum_i v_i * cos(pi * k * 5^i /
 * 2p), so that c_p = 0 and c_(2p - k) = -c_k: half of the coefficients are the negatives of the others.
 *
 * Source: Cheon, Kim, Kim and Song, "Homomorphic Encryption for Arithmetic of Approximate Numbers", ePrint
 * 2016/421, section 3.2, for the embedding.
 *
 * @param values one period of slots; their number p is a power of two
 * @returns the 2p coefficients of P, unscaled; cost p^2 multiplications, for complex slots 4 p^2
 */
export const embedPeriodic = (values: SlotVector): Float64Array =>
  isComplexVector(values) ? embedComplex(values) : embedReal(values)

function embedComplex({ real, imaginary }: ComplexVector): Float64Array {
  const period = real.length
  const order = 4 * period
  const exponents = powersOfFive(period, order)
  const angles = Float64Array.from({ length: order }, (_, k) => (2 * Math.PI * k) / order)
  const [cosines, sines] = [angles.map(Math.cos), angles.map(Math.sin)]
  return Float64Array.from({ length: 2 * period }, (_, k) => {
    let sum = 0
    for (let i = 0; i < period; i++) {
      const angle = (k * exponents[i]) % order
      sum += real[i] * cosines[angle] + imaginary[i] * sines[angle]
    }
    return sum / period
  })
}

function embedReal(values: Float64Array): Float64Array {
  const period = values.length
  const order = 4 * period
  const cosines = Float64Array.from({ length: order }, (_, k) => Math.cos((2 * Math.PI * k) / order))
  const exponents = powersOfFive(period, order)
  const coefficients = new Float64Array(2 * period)
  for (let k = 0; k < period; k++) {
    let sum = 0
    for (let i = 0; i < period; i++) sum += values[i] * cosines[(k * exponents[i]) % order]
    coefficients[k] = sum / period
    if (k > 0) coefficients[2 * period - k] = -coefficients[k]
  }
  return coefficients
}

/** 5^0, 5^1, and so on, modulo a power of two. */
export function powersOfFive(count: number, modulus: number): Int32Array {
  const powers = new Int32Array(count)
  let power = 1
  for (let i = 0; i < count; i++) {
    powers[i] = power
    power = (power * 5) % modulus
  }
  return powers
}
