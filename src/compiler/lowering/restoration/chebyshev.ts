/**
 * Coefficients of the polynomial that interpolates a function at the Chebyshev nodes of [-1, 1].
 *
 * @param degree of the polynomial
 * @returns c_0 .. c_degree of sum over k of c_k T_k
 */
export function interpolated(of: (x: number) => number, degree: number): number[] {
  const nodes = degree + 1
  const values = Array.from({ length: nodes }, (_, j) => of(Math.cos((Math.PI * (j + 0.5)) / nodes)))
  return values.map((_, k) => {
    const sum = values.reduce(
      (total, value, j) => total + value * Math.cos((Math.PI * k * (j + 0.5)) / nodes),
      0,
    )
    return (k === 0 ? 1 : 2) * (sum / nodes)
  })
}

/** sum over k of c_k T_k(x), by Clenshaw's recurrence. */
export function chebyshevSum(coefficients: readonly number[], x: number): number {
  let [next, after] = [0, 0]
  for (let k = coefficients.length - 1; k > 0; k--) {
    ;[next, after] = [2 * x * next - after + coefficients[k], next]
  }
  return x * next - after + coefficients[0]
}

/**
 * Quotient and remainder of a polynomial in the Chebyshev basis by T_m: with 2 T_m T_k = T_(m + k) + T_|m -
 * k|, a term c T_(m + k) is 2 c T_m T_k - c T_|m - k|.
 *
 * @param m more than half of the degree, at most the degree
 */
export function dividedByT(
  coefficients: readonly number[],
  m: number,
): { readonly quotient: number[]; readonly remainder: number[] } {
  const remainder = coefficients.slice(0, m)
  const quotient = coefficients.slice(m).map((c, k) => (k === 0 ? c : 2 * c))
  for (let k = 1; m + k < coefficients.length; k++) remainder[m - k] -= coefficients[m + k]
  return { quotient, remainder }
}
