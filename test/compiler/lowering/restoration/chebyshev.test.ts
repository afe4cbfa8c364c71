import t from 'tap'
import {
  chebyshevSum,
  dividedByT,
  interpolated,
} from '../../../../src/compiler/lowering/restoration/chebyshev.ts'

const points = Array.from({ length: 41 }, (_, i) => -1 + i / 20)

t.test('the interpolation of a polynomial is the polynomial', async (t) => {
  // 4 x^3 - 3 x = T_3 and 2 x^2 - 1 = T_2.
  const coefficients = interpolated((x) => 4 * x ** 3 - 3 * x + 0.5 * (2 * x ** 2 - 1) - 2, 5)
  const expected = [-2, 0, 0.5, 1, 0, 0]
  coefficients.forEach((c, k) => {
    t.ok(Math.abs(c - expected[k]) < 1e-14, `coefficient ${k} is ${c}`)
  })
})

t.test('a cosine of a few periods is interpolated to many bits', async (t) => {
  const cosine = (x: number): number => Math.cos(10.5 * x)
  const coefficients = interpolated(cosine, 31)
  const errors = points.map((x) => Math.abs(chebyshevSum(coefficients, x) - cosine(x)))
  t.ok(Math.max(...errors) < 2e-9, `${Math.max(...errors)}`)
  t.ok(Math.max(...points.map((x) => Math.abs(chebyshevSum(interpolated(cosine, 15), x) - cosine(x)))) > 1e-3)
})

for (const [degree, m] of [
  [15, 8],
  [7, 4],
  [6, 4],
  [3, 2],
] as const) {
  t.test(
    `a polynomial of degree ${degree} is its quotient by T_${m} times T_${m}, and the remainder`,
    async (t) => {
      const coefficients = Array.from({ length: degree + 1 }, (_, k) => Math.sin(k * k + 1))
      const { quotient, remainder } = dividedByT(coefficients, m)
      t.equal(quotient.length, degree - m + 1)
      t.equal(remainder.length, m)
      for (const x of points) {
        const power = Math.cos(m * Math.acos(x))
        const value = chebyshevSum(quotient, x) * power + chebyshevSum(remainder, x)
        t.ok(Math.abs(value - chebyshevSum(coefficients, x)) < 1e-12)
      }
    },
  )
}
