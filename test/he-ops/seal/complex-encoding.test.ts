import t from 'tap'
import { expandPlaintext, PeriodicEncoder } from '../../../src/he-ops/encoding/periodic.ts'
import {
  decodeComplex,
  encodeComplex,
  imaginaryUnit,
  joinParts,
} from '../../../src/he-ops/seal/complex-encoding.ts'
import { complexVector } from '../../conformance/complex.ts'
import { residuesOf, sealFixture, smallParameters } from './fixture.ts'

const parameters = smallParameters([60, 40, 50])
const fixture = await sealFixture(parameters, [])
const encoder = new fixture.ctx.seal.CKKSEncoder(fixture.ctx.context)
t.teardown(() => {
  encoder.delete()
  fixture.delete()
})
const { ring, slots } = parameters

t.test('complex plaintexts have the residues of the plain encoder', async (t) => {
  const plain = new PeriodicEncoder(parameters)
  for (const period of [1, 4, 512]) {
    for (const level of [0, 2]) {
      const values = complexVector(period, (i) => [Math.sin(3 * i + 1), Math.cos(i * i) - 2])
      const plaintext = encodeComplex(fixture.ctx, values, 2 ** 20, level)
      const wanted = new BigUint64Array(ring * (level + 1))
      expandPlaintext(plain.encode(values, 2 ** 20, level), wanted)
      t.strictSame(residuesOf(plaintext, wanted.length), wanted, `period ${period}, level ${level}`)
      t.equal(plaintext.scale(), 2 ** 20)
      plaintext.delete()
    }
  }
})

t.test('complex slots of full size are decoded to what was encoded', async (t) => {
  const values = complexVector(slots, (i) => [Math.sin(3 * i + 1), Math.cos(i * i) - 2])
  const plaintext = encodeComplex(fixture.ctx, values, 2 ** 40, 1)
  const found = decodeComplex(fixture.ctx, encoder, plaintext, 1)
  for (const part of ['real', 'imaginary'] as const) {
    const worst = found[part].reduce((most, v, s) => Math.max(most, Math.abs(v - values[part][s])), 0)
    t.ok(worst < 2 ** -33, `${part} parts are off by ${worst}`)
  }
  plaintext.delete()
})

t.test('joined parts are the real plaintext and i times the imaginary one, exactly', async (t) => {
  const evaluator = new fixture.ctx.seal.Evaluator(fixture.ctx.context)
  const plain = new PeriodicEncoder(parameters)
  const zero = new Float64Array(slots)
  const waves = Float64Array.from({ length: slots }, (_, i) => Math.sin(3 * i + 1) - 2 * Math.cos(i * i))
  for (const [real, imaginary] of [
    [waves, waves.toReversed()],
    [waves, zero],
    [zero, waves],
    [zero, zero],
  ]) {
    for (const level of [0, 2]) {
      const parts = [real, imaginary].map((part) =>
        encodeComplex(
          fixture.ctx,
          complexVector(slots, (i) => [part[i], 0]),
          2 ** 20,
          level,
        ),
      )
      const joined = joinParts(fixture.ctx, evaluator, parts[0], parts[1], level)
      const length = ring * (level + 1)
      const [a, b, found] = [...parts, joined].map((plaintext) => residuesOf(plaintext, length))
      const unit = new BigUint64Array(length)
      expandPlaintext(
        plain.encode(
          complexVector(1, () => [0, 1]),
          1,
          level,
        ),
        unit,
      )
      const wanted = a.map(
        (residue, r) => (residue + b[r] * unit[r]) % parameters.primes[Math.floor(r / ring)],
      )
      t.strictSame(found, wanted, `level ${level}`)
      t.equal(joined.scale(), 2 ** 20)
      const slotsFound = decodeComplex(fixture.ctx, encoder, joined, level)
      t.ok(slotsFound.real.every((value, s) => Math.abs(value - real[s]) < 1e-3))
      t.ok(slotsFound.imaginary.every((value, s) => Math.abs(value - imaginary[s]) < 1e-3))
      for (const plaintext of [...parts, joined]) plaintext.delete()
    }
  }
  evaluator.delete()
})

t.test('the imaginary unit is i in every slot', async (t) => {
  for (let level = 0; level <= 2; level++) {
    const unit = imaginaryUnit(fixture.ctx, level)
    t.equal(unit.scale(), 1)
    const { real, imaginary } = decodeComplex(fixture.ctx, encoder, unit, level)
    t.ok(real.every((value) => Math.abs(value) < 1e-9))
    t.ok(imaginary.every((value) => Math.abs(value - 1) < 1e-9))
    unit.delete()
  }
})
