import t from 'tap'
import { digitCount, MAX_LOG_QP } from '../../../../src/circuit/parameters/parameters.ts'
import { bitLength } from '../../../../src/circuit/parameters/primes.ts'
import {
  bitsOf,
  DRAFT_LEVELS,
  DraftChain,
  dataPrimes,
  type PrimeSizes,
  parametersOf,
  specialPrimeChoices,
} from '../../../../src/compiler/planner/modulus/chain.ts'
import { PrimePool } from '../../../../src/compiler/planner/modulus/primes.ts'
import { targetNamed, targetOf } from '../../../../src/compiler/planner/target/target.ts'

const simd = targetNamed('simd')
const seal = targetNamed('seal')

/** A draft chain after rescales by the given bits, from the highest level down. */
function chainOf(ring: number, sizes: PrimeSizes, spare: readonly number[], baseBits: number) {
  const draft = new DraftChain(ring, sizes)
  spare.forEach((bits, fromTop) => {
    draft.choose(DRAFT_LEVELS - fromTop, bits)
  })
  return draft.finish(DRAFT_LEVELS - spare.length, baseBits)!
}

const sizesOf = (primes: readonly bigint[]): number[] => primes.map(bitLength)

t.test(
  'each level gets one prime, from the highest level down, as large as the spare bits allow',
  async (t) => {
    const draft = new DraftChain(16384, simd.primeSizes)
    draft.choose(DRAFT_LEVELS, 33.9)
    draft.choose(DRAFT_LEVELS - 1, 24.2)
    draft.choose(DRAFT_LEVELS, 22)
    draft.choose(DRAFT_LEVELS - 1, 29)
    const { chain } = draft.finish(DRAFT_LEVELS - 2, 37)!
    t.strictSame(sizesOf(chain.levels), [24, 30])
    t.equal(chain.levels[1], draft.primes[DRAFT_LEVELS])
  },
)

t.test('the base has two primes of 30 bits, or one prime of 60 bits', async (t) => {
  const small = chainOf(16384, simd.primeSizes, [28, 28], 37)
  t.equal(small.chain.base.length, 2)
  t.ok(bitsOf(small.chain.base) > 37 && sizesOf(small.chain.base).every((bits) => bits >= 20))
  t.equal(chainOf(16384, simd.primeSizes, [28], 28).chain.base.length, 1)
  t.equal(chainOf(16384, simd.primeSizes, [28], 61).chain.base.length, 3)
  t.strictSame(sizesOf(chainOf(16384, seal.primeSizes, [55, 55], 37).chain.base), [37])
})

t.test('all primes are distinct, 1 modulo 2N and below 2^30, and pass the check of parameters', async (t) => {
  for (const ring of [8192, 16384, 32768, 65536]) {
    const { chain, left } = chainOf(ring, simd.primeSizes, [30, 30, 24], 45)
    const choices = specialPrimeChoices(chain, left, simd.primeSizes, simd.mostSpecialPrimes)
    t.ok(choices.length > 0)
    for (const special of choices) {
      const parameters = parametersOf(chain, special)
      t.ok(parameters.logQP <= MAX_LOG_QP[ring])
      t.ok([...parameters.primes, ...parameters.specialPrimes].every((prime) => prime < 2n ** 30n))
      t.strictSame(parameters.primes, dataPrimes(chain))
      t.equal(targetOf(parameters).name, 'simd')
    }
  }
})

t.test('the choices of special primes fit the table and cover a digit', async (t) => {
  // 11 primes of 30 bits leave 100 bits: one, two or three primes of 30 bits, or four of 25 bits. The four do
  // not cover a digit of 120 bits.
  const { chain, left } = chainOf(16384, simd.primeSizes, new Array(9).fill(30), 60)
  const choices = specialPrimeChoices(chain, left, simd.primeSizes, simd.mostSpecialPrimes)
  t.strictSame(choices.map(sizesOf), [[30], [30, 30], [30, 30, 30]])
  t.strictSame(
    choices.map((special) => digitCount({ primes: dataPrimes(chain), specialPrimes: special })),
    [11, 6, 4],
  )
  const all = choices.flat().concat(dataPrimes(chain))
  t.equal(new Set(dataPrimes(chain).concat(choices[2])).size, 14, 'the primes are distinct')
  t.ok(all.every((prime) => prime % 32768n === 1n))
})

t.test('the seal engine takes one special prime, as large as the table allows', async (t) => {
  const choicesFor = (levels: number) => {
    const { chain, left } = chainOf(16384, seal.primeSizes, new Array(levels).fill(55), 37)
    return specialPrimeChoices(chain, left, seal.primeSizes, seal.mostSpecialPrimes).map(sizesOf)
  }
  t.strictSame(choicesFor(6), [[60]])
  t.strictSame(choicesFor(7), [], '8 bits are left')
})

t.test('a draft that needs more small primes than the ring has gets no chain', async (t) => {
  const sizes = { least: 20, most: 20 }
  const pool = new PrimePool(32768)
  let count = 0
  while (pool.take(20) !== undefined) count++
  t.ok(count > 0 && count < 10, `${count} primes of 20 bits`)
  const copy = new PrimePool(32768).copy()
  t.not(copy.take(20), copy.take(20), 'each prime is used once')
  const draft = new DraftChain(32768, sizes)
  for (let i = 0; i <= count; i++) draft.choose(DRAFT_LEVELS - i, 20)
  t.equal(draft.finish(DRAFT_LEVELS - count - 1, 20), undefined)
})
