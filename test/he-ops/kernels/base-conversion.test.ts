import fc from 'fast-check'
import t from 'tap'
import { type CkksParameters, checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import type { SimdContext } from '../../../src/he-ops/simd/context.ts'
import { convert } from '../../../src/he-ops/simd/operations/convert.ts'
import { BaseConversion } from '../../../src/he-ops/simd/tables/base-conversion.ts'
import { linkProgram, runProgram } from '../../../src/he-ops/simd/threads/run.ts'
import { newSimdContext } from '../simd/fixture.ts'
import { generator, kernels, residues, withMemory } from './fixture.ts'

/**
 * Distance from an integer within which the sum of fractions may round to either side in single precision.
 */
const NEAR = 2 ** -20

t.test('quotients: the floor of the sum of fractions, at most one off next to an integer', async () => {
  const pool = nttPrimes(8, [30, 30, 29, 27, 25, 24, 22, 20]).map(Number)
  fc.assert(
    fc.property(
      fc.shuffledSubarray(pool, { minLength: 1, maxLength: 5 }),
      fc.constantFrom('random', 'zero', 'largest', 'extremes'),
      fc.nat(),
      (chosen, kind, seed) => {
        const size = 32
        const ys = chosen.map((q, i) => residues(size, q, kind, seed + i))
        const found = withMemory((memory) => {
          const out = memory.words(size)
          const y = memory.words(ys.flatMap((words) => [...words]))
          const reciprocals = new Float32Array(chosen.map((q) => 1 / q))
          const table = memory.words(new Uint32Array(reciprocals.buffer))
          kernels.quotients(out.address, y.address, 4 * size, chosen.length, table.address, size)
          return out.read()
        })
        found.forEach((u, at) => {
          // Doubles are precise enough here.
          const sum = chosen.reduce((all, q, i) => all + ys[i][at] / q, 0)
          const nearest = Math.round(sum)
          const isNear = Math.abs(sum - nearest) < NEAR
          if (!(u === Math.floor(sum) || (isNear && (u === nearest || u === nearest - 1)))) {
            throw new Error(`${u} for a sum of ${sum}`)
          }
        })
      },
    ),
    { numRuns: 500, seed: 12 },
  )
})

/**
 * Data primes of many sizes and one special prime. Neighbours differ in size, so that residues of one exceed
 * another.
 */
const mixed = checkParameters(chain(8192, [30, 20, 29, 24, 30, 27], [30]))

function chain(ring: number, data: readonly number[], special: readonly number[]) {
  const primes = nttPrimes(ring, [...data, ...special]).map(String)
  return { ring, primes: primes.slice(0, data.length), specialPrimes: primes.slice(data.length) }
}

const allPrimes = ({ primes, specialPrimes }: CkksParameters): bigint[] => [...primes, ...specialPrimes]

const productOf = (factors: readonly bigint[]): bigint => factors.reduce((all, factor) => all * factor, 1n)

/** Integers in 0 .. S - 1 by their residues: 0, 1, the ends, the middle, and others. */
function integers(count: number, product: bigint, seed: number): bigint[] {
  const random = generator(seed)
  const special = [0n, 1n, 2n, product - 1n, product - 2n, product / 2n, product / 2n + 1n, product / 2n - 1n]
  return Array.from({ length: count }, (_, i) => {
    if (i < special.length) return special[i]
    let integer = 0n
    for (let word = 0; word < 15; word++) integer = (integer << 31n) + BigInt(random(2 ** 31))
    return integer % product
  })
}

/** Converts integers from their residues modulo the sources, with the kernel calls of programs. */
function converted(
  context: SimdContext,
  conversion: BaseConversion,
  xs: readonly bigint[],
  targets: readonly number[],
): Uint32Array[] {
  const { kernels: on, heap: own, ring, limbBytes, moduli } = context
  const { sources } = conversion
  const from = own.allocate(limbBytes * sources.length)
  const to = own.allocate(limbBytes * targets.length)
  sources.forEach((index, i) => {
    const { q, prime, forward, quotients } = moduli[index]
    const at = from + limbBytes * i
    own.words(at, ring).set(xs.map((x) => Number(x % prime)))
    on.nttForward(at, forward, quotients, ring, q)
  })
  const linked = linkProgram(context, 1, 0, (builder) => {
    const temporary = builder.allocate(limbBytes * (sources.length + 1))
    builder.phase(
      sources.map((_, i) => (call) => {
        convert.source(call, context, conversion, i, from + limbBytes * i, temporary + limbBytes * i)
      }),
    )
    if (conversion.needsQuotients) {
      builder.phase([(call) => convert.quotients(call, context, conversion, temporary)])
    }
    const write = convert.targetWriter(builder, context, conversion, temporary)
    builder.phase(
      targets.map((index, place) => (call) => {
        write(call, index, to + limbBytes * place)
      }),
    )
  })
  runProgram(linked.program, context)
  const results = targets.map((index, place) => {
    const { q, backward, quotients, inverseSize, last } = moduli[index]
    const at = to + limbBytes * place
    on.nttInverse(
      at,
      backward,
      quotients,
      ring,
      q,
      inverseSize.w,
      inverseSize.quotient,
      last.w,
      last.quotient,
    )
    return own.words(at, ring).slice()
  })
  linked.free()
  own.free(from)
  own.free(to)
  return results
}

/**
 * @throws when a result is not the integer modulo a target; for a centred conversion the integer of least
 *   absolute value. Next to the ends of the range the result may differ by one product of the sources, the
 *   same for all targets.
 */
function requireExact(
  primes: readonly bigint[],
  sources: readonly number[],
  centred: boolean,
  xs: readonly bigint[],
  targets: readonly number[],
  found: readonly Uint32Array[],
): void {
  const product = productOf(sources.map((index) => primes[index]))
  const half = centred ? product / 2n : 0n
  xs.forEach((x, at) => {
    // The floating-point estimate of x / S.
    const shifted = (x + half) % product
    const exact = shifted - half
    const fraction = Number((shifted * 2n ** 60n) / product) / 2 ** 60
    const choices =
      sources.length === 1 || (fraction > NEAR && fraction < 1 - NEAR)
        ? [exact]
        : [exact, exact + product, exact - product]
    const fits = choices.some((choice) =>
      targets.every((index, place) => {
        const prime = primes[index]
        return BigInt(found[place][at]) === ((choice % prime) + prime) % prime
      }),
    )
    if (!fits)
      throw new Error(`${x} from ${sources}, centred: ${centred}: ${found.map((words) => words[at])}`)
  })
}

const context = await newSimdContext(mixed)

for (const count of [1, 2, 3, 4, 5]) {
  for (const centred of [false, true]) {
    t.test(`from ${count} primes to the others, ${centred ? 'centred' : 'as they are'}`, async (t) => {
      const primes = allPrimes(mixed)
      for (let first = 0; first + count <= primes.length; first++) {
        const sources = Array.from({ length: count }, (_, i) => first + i)
        const targets = primes.map((_, index) => index).filter((index) => !sources.includes(index))
        const conversion = new BaseConversion(context.heap, context.moduli, sources, centred)
        const xs = integers(context.ring, productOf(sources.map((i) => primes[i])), 100 * count + first)
        const found = converted(context, conversion, xs, targets)
        requireExact(primes, sources, centred, xs, targets, found)
        t.pass(`${sources} to ${targets}`)
      }
    })
  }
}

t.test(
  'a small target adds up more sources than fit at once: thirteen of 30 bits to one of 20',
  async (t) => {
    const parameters = checkParameters(chain(16384, Array(13).fill(30), [20]))
    const many = await newSimdContext(parameters)
    const primes = allPrimes(parameters)
    const sources = parameters.primes.map((_, index) => index)
    const conversion = new BaseConversion(many.heap, many.moduli, sources, false)
    const product = productOf(parameters.primes)
    // Each y is q - 1 here: x = sum of (q_i - 1) * S / q_i.
    const largest =
      parameters.primes.reduce((sum, prime) => sum + (prime - 1n) * (product / prime), 0n) % product
    const xs = integers(many.ring, product, 7)
    xs[0] = largest
    const found = converted(many, conversion, xs, [13])
    requireExact(primes, sources, false, xs, [13], found)
    t.pass()
  },
)

t.test('the inverse is that of the product of the sources', async (t) => {
  const primes = allPrimes(mixed)
  const conversion = new BaseConversion(context.heap, context.moduli, [0, 2, 5], true)
  const product = primes[0] * primes[2] * primes[5]
  for (const index of [1, 3, 4, 6]) {
    const prime = primes[index]
    const { w, quotient } = conversion.inverse(index)
    t.equal((BigInt(w) * product) % prime, 1n)
    t.equal(quotient, Number((BigInt(w) << 32n) / prime))
  }
})

t.test(
  'a planted fault is detected: a conversion that is not centred, weights of another target',
  async (t) => {
    const primes = allPrimes(mixed)
    const sources = [0, 2]
    const product = primes[0] * primes[2]
    const conversion = new BaseConversion(context.heap, context.moduli, sources, false)
    const xs = integers(context.ring, product, 3)
    const found = converted(context, conversion, xs, [4])
    requireExact(primes, sources, false, xs, [4], found)
    t.throws(() => requireExact(primes, sources, true, xs, [4], found))
    t.throws(() => requireExact(primes, sources, false, xs, [6], found))
  },
)
