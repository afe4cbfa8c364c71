import t from 'tap'
import { createNtt, forwardNtt, minimalRoot } from '../../../src/he-ops/encoding/ntt.ts'
import { emitTimesI } from '../../../src/he-ops/simd/operations/elementwise.ts'
import { linkProgram, runProgram } from '../../../src/he-ops/simd/threads/run.ts'
import { limbsOf, polynomialBytes } from '../../../src/he-ops/simd/values/values.ts'
import { smallParameters } from '../seal/fixture.ts'
import { newSimdContext } from './fixture.ts'

const parameters = smallParameters([30, 29, 28], 30, 27)
const { ring } = parameters
const primes = [...parameters.primes, ...parameters.specialPrimes]
const context = await newSimdContext(parameters)
const { heap, limbBytes } = context

/** X^(N/2) in NTT form, in bigint arithmetic. */
function monomial(prime: bigint): bigint[] {
  const values = new Array<bigint>(ring).fill(0n)
  values[ring / 2] = 1n
  forwardNtt(createNtt(ring, minimalRoot(ring, prime), prime), values)
  return values
}

for (const extended of [false, true]) {
  t.test(`timesI multiplies by X^(N/2) modulo every prime, extended ${extended}`, async (t) => {
    const value = () => {
      const bytes = polynomialBytes(context, 2, extended)
      return { polynomials: [heap.allocate(bytes), heap.allocate(bytes)], primes: 2, extended }
    }
    const [from, out] = [value(), value()]
    const indices = limbsOf(context, 2, extended)
    const residuesAt = (polynomial: number, place: number): Uint32Array =>
      heap.words(polynomial + place * limbBytes, ring)
    for (const polynomial of from.polynomials) {
      indices.forEach((index, place) => {
        const residues = residuesAt(polynomial, place)
        for (let r = 0; r < ring; r++) residues[r] = (r * 2654435761 + polynomial) % Number(primes[index])
      })
    }
    const linked = linkProgram(context, 1, limbBytes, (builder) =>
      emitTimesI(builder, context, [{ from, out }]),
    )
    runProgram(linked.program, context)
    from.polynomials.forEach((polynomial, p) => {
      indices.forEach((index, place) => {
        const prime = primes[index]
        const factors = monomial(prime)
        const wanted = Array.from(residuesAt(polynomial, place), (residue, r) =>
          Number((BigInt(residue) * factors[r]) % prime),
        )
        t.strictSame([...residuesAt(out.polynomials[p], place)], wanted, `polynomial ${p}, prime ${index}`)
      })
    })
    linked.free()
  })
}
