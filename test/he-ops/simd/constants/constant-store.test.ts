import t from 'tap'
import type { CkksParameters } from '../../../../src/circuit/parameters/parameters.ts'
import { invert } from '../../../../src/circuit/parameters/primes.ts'
import { embedPeriodicFast } from '../../../../src/he-ops/encoding/embedding-fft.ts'
import { createNtt, minimalRoot } from '../../../../src/he-ops/encoding/ntt.ts'
import { PeriodicEncoder } from '../../../../src/he-ops/encoding/periodic.ts'
import {
  type ConstantForm,
  ConstantStore,
  type EncodedConstant,
} from '../../../../src/he-ops/simd/constants/constant-store.ts'
import { limbsOf } from '../../../../src/he-ops/simd/values/values.ts'
import { smallParameters } from '../../seal/fixture.ts'
import { newSimdContext } from '../fixture.ts'

const parameters = smallParameters([30, 20, 27, 29], 30, 28)
const { ring, slots } = parameters
const context = await newSimdContext(parameters)
const { heap } = context
const primes = [...parameters.primes, ...parameters.specialPrimes]
const special = parameters.specialPrimes.reduce((product, prime) => product * prime, 1n)
/** The slow encoder, modulo the special primes too. */
const encoder = new PeriodicEncoder({ ...parameters, primes } as CkksParameters)

const distinct = (length: number, salt = 1): Float64Array =>
  Float64Array.from({ length }, (_, i) => Math.sin(3 * i + salt) * (i % 3 === 0 ? -2.5 : 1.25))

/** The factor by which a form's residues are multiples of the plaintext's. */
const FACTORS: Readonly<Record<ConstantForm, bigint>> = {
  normal: 2n ** 32n,
  extended: 2n ** 32n,
  timesP: 2n ** 32n * special,
  addend: 1n,
}

/** The residues of a constant's blocks modulo the prime at `place`, divided by the form's factor. */
function plaintextOf(
  { address, count, shift }: EncodedConstant,
  form: ConstantForm,
  [place, index]: readonly [number, number],
  size: number,
): bigint[] {
  const prime = primes[index]
  const words = heap.words(address + 4 * count * place, count)
  const block = ring / size
  if (shift === 0 && !words.every((word, r) => word === words[r - (r % block)])) {
    throw new Error('A block has residues that differ')
  }
  const inverse = invert(FACTORS[form], prime)
  return Array.from(
    { length: size },
    (_, i) => (BigInt(words[shift === 0 ? i * block : i]) * inverse) % prime,
  )
}

/**
 * The coefficients of a polynomial in X^(N / size) from its blocks' residues: the small transform backwards.
 */
function coefficientsOf(residues: readonly bigint[], prime: bigint): bigint[] {
  const size = residues.length
  let root = minimalRoot(ring, prime)
  for (let n = size; n < ring; n *= 2) root = (root * root) % prime
  const { roots } = createNtt(size, invert(root, prime), prime)
  const values = [...residues]
  for (let groups = size / 2, half = 1; groups >= 1; groups /= 2, half *= 2) {
    for (let j = 0; j < size; j++) {
      if ((j & half) !== 0) continue
      const [x, y] = [values[j], values[j + half]]
      values[j] = (x + y) % prime
      values[j + half] = ((x - y + prime) * roots[groups + Math.floor(j / (2 * half))]) % prime
    }
  }
  const inverse = invert(BigInt(size), prime)
  return values.map((value) => (value * inverse) % prime)
}

/**
 * Whether the coefficients of two plaintexts are equal modulo a prime, or adjacent: doubles may be near a
 * half.
 */
function isSame(found: readonly bigint[], wanted: readonly bigint[], prime: bigint): boolean {
  const b = coefficientsOf(wanted, prime)
  return coefficientsOf(found, prime).every((c, k) =>
    [0n, 1n, prime - 1n].includes((c - b[k] + prime) % prime),
  )
}

// Beyond the smaller primes, so that they wrap; and a level after which primes follow before the special
// ones.
const SCALE = 2 ** 38
const COUNT = 3

/** Every period, of real constants and of complex ones. The slow encoder takes long for the largest one. */
function periods(): [period: number, isComplex: boolean][] {
  const all = Array.from({ length: Math.log2(slots) + 1 }, (_, k) => 2 ** k)
  return [
    ...all.map((period): [number, boolean] => [period, false]),
    ...all.slice(0, -1).map((period): [number, boolean] => [period, true]),
  ]
}

for (const form of ['normal', 'extended', 'timesP', 'addend'] as const) {
  t.test(`${form}: constants of every period are those of the plain encoder`, async (t) => {
    for (const [period, isComplex] of periods()) {
      const real = distinct(period, period)
      const values = isComplex ? { real, imaginary: distinct(period, period + 1) } : real
      const store = new ConstantStore(context, [values])
      const encoded = store.encoded(0, SCALE, COUNT, form)
      const size = 2 * period
      const isWritten = size > 512
      t.equal(encoded.count, isWritten ? ring : size, `period ${period}: residues`)
      t.equal(encoded.shift, isWritten ? 0 : Math.log2(ring / size), `period ${period}: shift`)
      t.equal(encoded.isZero, false)
      const { residues } = encoder.encode(values, SCALE, primes.length - 1)
      const indices = limbsOf(context, COUNT, form === 'extended')
      t.equal(store.bytes, 4 * encoded.count * indices.length)
      indices.forEach((index, place) => {
        const found = plaintextOf(encoded, form, [place, index], size)
        const wanted = Array.from(residues.subarray(size * index, size * (index + 1)))
        t.ok(isSame(found, wanted, primes[index]), `period ${period}, prime ${index}, complex ${isComplex}`)
      })
      store.free()
    }
  })
}

t.test('a planted fault is caught: another form, another prime, another scale', async (t) => {
  const values = distinct(16)
  const store = new ConstantStore(context, [values])
  const encoded = store.encoded(0, SCALE, COUNT, 'normal')
  const { residues } = encoder.encode(values, SCALE, 0)
  const wanted = Array.from(residues.subarray(0, 32))
  const isForm = (form: ConstantForm, index: number): boolean =>
    isSame(plaintextOf(encoded, form, [0, index], 32), wanted, primes[index])
  t.ok(isForm('normal', 0))
  t.notOk(isForm('timesP', 0))
  t.notOk(isForm('addend', 0))
  t.notOk(isForm('normal', 4))
  const coarse = Array.from(encoder.encode(values, SCALE / 2, 0).residues.subarray(0, 32))
  t.notOk(isSame(plaintextOf(encoded, 'normal', [0, 0], 32), coarse, primes[0]))
  store.free()
})

t.test('integers are the first half of real coefficients, and all complex ones', async (t) => {
  for (const period of [4, 64, 512, slots / 2]) {
    const values = { real: distinct(period), imaginary: distinct(period, 2) }
    const store = new ConstantStore(context, [values.real, values], () => true)
    for (const [id, constant, share] of [
      [0, values.real, 0.5],
      [1, values, 1],
    ] as const) {
      const before = store.bytes
      const kept = store.integers(id, 2 ** 20, COUNT)
      t.equal(kept.kept, kept.count * share)
      t.equal(store.bytes - before, 4 * kept.kept)
      const doubles = store.doubles(id, 2 ** 40, COUNT)
      t.equal(store.bytes - before, 12 * kept.kept)
      const step = kept.count / (2 * period)
      const coefficients = embedPeriodicFast(constant)
      const isRight = (numbers: Int32Array | Float64Array, scale: number): boolean =>
        numbers.every((number, k) => {
          const wanted = k % step === 0 ? coefficients[k / step] * scale : 0
          return Math.abs(number - wanted) <= 0.5
        })
      t.ok(isRight(new Int32Array(heap.memory.buffer, kept.address, kept.kept), 2 ** 20))
      t.ok(isRight(new Float64Array(heap.memory.buffer, doubles.address, doubles.kept), 2 ** 40))
    }
    store.free()
  }
})

t.test('each is encoded once, and all are freed', async (t) => {
  const before = heap.used
  const store = new ConstantStore(context, [distinct(4), distinct(slots)])
  const first = store.encoded(0, 2 ** 20, 2, 'normal')
  t.strictSame(store.encoded(0, 2 ** 20, 2, 'normal'), first)
  const others = [
    store.encoded(0, 2 ** 21, 2, 'normal'),
    store.encoded(0, 2 ** 20, 3, 'normal'),
    store.encoded(0, 2 ** 20, 2, 'addend'),
    store.encoded(1, 2 ** 20, 2, 'normal'),
  ]
  t.equal(new Set([first, ...others].map(({ address }) => address)).size, 5)
  const padding = heap.used - before - store.bytes
  t.ok(padding >= 0 && padding < 2 ** 19, 'bytes are those on the heap, up to memory to work in and to share')
  store.free()
  t.equal(store.bytes, 0)
  t.equal(heap.used, before)
})

t.test('isZero is true exactly for constants that round to zero', async (t) => {
  for (const [value, scale, isZero] of [
    [1e-4, 2 ** 10, true],
    [-1e-4, 2 ** 10, true],
    [1e-3, 2 ** 10, false],
    // Halves round to even: 0.5 to 0, 1.5 to 2.
    [0.5, 1, true],
    [-0.5, 1, true],
    [1.5, 1, false],
  ] as const) {
    const store = new ConstantStore(context, [Float64Array.of(value)])
    const encoded = store.encoded(0, scale, 1, 'normal')
    t.equal(encoded.isZero, isZero, `${value} at scale ${scale}`)
    t.equal(
      heap.words(encoded.address, encoded.count).every((word) => word === 0),
      isZero,
      'the residues agree',
    )
    store.free()
  }
})

t.test('a constant that does not fit the level is refused, and nothing is kept', async (t) => {
  const before = heap.used
  const store = new ConstantStore(context, [Float64Array.of(3)])
  t.throws(() => store.encoded(0, 2 ** 29, 1, 'normal'), {
    code: 'LEVEL_EXHAUSTED',
    facts: { constant: 0, level: 0 },
  })
  t.equal(store.encoded(0, 2 ** 29, 2, 'normal').isZero, false)
  store.free()
  t.equal(heap.used, before)
})

t.test('encodings outlive the constants, which are forgotten', async (t) => {
  const constants = Array.from({ length: 3000 }, (_, i) => Float64Array.of(1 + i, -1))
  const store = new ConstantStore(context, constants, () => true)
  const all = () =>
    constants.flatMap((_, id) => [
      store.encoded(id, 2 ** 16, 2, 'normal'),
      store.encoded(id, 2 ** 16, 2, 'timesP'),
      store.integers(id, 2 ** 16, 2),
    ])
  const first = store.reading(constants, all)
  const { bytes } = store
  t.throws(all, 'nothing is left to be asked')
  const again = constants.map((values) => values.slice())
  t.strictSame(store.reading(again, all), first, 'equal constants in new arrays have the same encodings')
  t.equal(store.bytes, bytes)
  store.free()
})
