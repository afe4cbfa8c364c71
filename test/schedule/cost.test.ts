import t from 'tap'
import type { Op } from '../../src/circuit/types.ts'
import { SEAL_SPEEDS, sealCosts } from '../../src/compiler/planner/target/seal-cost.ts'
import { SIMD_SPEEDS, type SimdSpeeds, simdCosts } from '../../src/schedule/cost.ts'
import { type CostedCircuit, circuitSeconds } from '../../src/schedule/cost-model.ts'

// Five data primes and two special ones, so three digits over seven primes. x is rotated three times. Only
// sums read two of the rotations; the last one is squared.
const RING = 16384
const at = (level: number) => ({ level, scale: 2 ** 20, layer: 0 })
const ops: Op[] = [
  { kind: 'input', index: 0, ...at(4) },
  { kind: 'rotate', source: 0, steps: 1, ...at(4) },
  { kind: 'rotate', source: 0, steps: 2, ...at(4) },
  { kind: 'rotate', source: 0, steps: 3, ...at(4) },
  {
    kind: 'dot',
    terms: [0, 1, 2].map((value) => ({ value, constant: 0 })),
    constantScale: 1,
    ...at(4),
  },
  { kind: 'add', left: 4, right: 1, ...at(4) },
  { kind: 'multiply', left: 3, right: 3, ...at(4) },
  { kind: 'relinearise', source: 6, ...at(4) },
  { kind: 'add', left: 5, right: 7, ...at(4) },
  { kind: 'addPlain', source: 8, constant: 0, ...at(4) },
  { kind: 'rescale', source: 9, ...at(3) },
  { kind: 'rotate', source: 10, steps: 1, ...at(3) },
]
const circuit: CostedCircuit = { ops, result: 11, ring: RING, specialPrimes: 2 }

const NOTHING: SimdSpeeds = { ntt: 0, multiplyAdd: 0, gather: 0, elementwise: 0 }
/** Seconds when one kind of work takes a second and all other work none. */
const count = (speeds: Partial<SimdSpeeds>, c = circuit): number[] =>
  Array.from(simdCosts({ ...NOTHING, ...speeds })(c), (seconds) => Math.round(seconds * 1e6) / 1e6)

t.test('transforms of the SIMD engine, counted by hand', async (t) => {
  // Decomposing takes 3 * 7 transforms, dividing 2 * (2 + 5). The two kept rotations leave their division to
  // the second sum, which also leaves it, as does the relinearised product. The sum of everything divides.
  // The rotation at the end has four primes, so two digits over six.
  t.strictSame(count({ ntt: 1 }), [0, 21, 0, 14, 0, 0, 0, 21, 14, 0, 2 * (1 + 4), 2 * 6 + 2 * (2 + 4)])
})

t.test('residues of the SIMD engine, counted by hand, in polynomials', async (t) => {
  const polynomials = (speeds: Partial<SimdSpeeds>): number[] =>
    count(speeds).map((seconds) => Math.round(seconds / RING))
  const decompose = 3 * 7 * 2
  const key = 2 * 3 * 7
  const divide = 2 * 5 * 2
  t.strictSame(polynomials({ multiplyAdd: 1 }), [
    0,
    decompose + key,
    key,
    key + divide,
    2 * 5 + 2 * 7 + 2 * 7,
    0,
    2 * 3 * 5,
    decompose + key,
    divide,
    0,
    2 * 4,
    2 * 6 * 2 + 2 * 2 * 6 + 2 * 4 * 2,
  ])
  t.strictSame(polynomials({ gather: 1 }), [0, 14, 14, 10, 0, 0, 0, 0, 0, 0, 0, 8])
  t.strictSame(polynomials({ elementwise: 1 }), [0, 0, 0, 0, 0, 14, 0, 0, 14, 5, 0, 0])
})

t.test('a raise, counted by hand', async (t) => {
  // From two primes to five. Down: two digits over three primes, then a division by one. The polynomials are
  // read modulo three more primes. Up: as a relinearisation, and a division.
  const raising: Op[] = [
    { kind: 'input', index: 0, ...at(1) },
    { kind: 'raise', source: 0, ...at(4) },
  ]
  const body = { ...circuit, ops: raising, result: 1 }
  const down = 2 * 3 + 2 * (1 + 2)
  const extension = 2 * 2 + 2 * 3
  const up = 3 * 7 + 2 * (2 + 5)
  t.strictSame(count({ ntt: 1 }, body), [0, down + extension + up])
  const products = 2 * 2 * 3 + 2 * 2 + 2 * 3 * 2 + (3 * 7 * 2 + 2 * 3 * 7 + 2 * 5 * 2)
  t.strictSame(
    count({ multiplyAdd: 1 }, body).map((seconds) => Math.round(seconds / RING)),
    [0, products],
  )
})

t.test('a conjugation costs what a rotation does, and a product with i one pass', async (t) => {
  const conjugating = ops.map((op, id): Op => {
    if (id === 2) return { kind: 'conjugate', source: 0, ...at(4) }
    return id === 9 ? { kind: 'timesI', source: 8, ...at(4) } : op
  })
  for (const speeds of [{ ntt: 1 }, { gather: 1 }]) {
    const seconds = count(speeds, { ...circuit, ops: conjugating })
    t.strictSame(seconds.slice(0, 8), count(speeds).slice(0, 8))
  }
  // Before the division of the rescale that follows: five data primes and two special ones.
  const [elementwise] = count({ elementwise: 1 }, { ...circuit, ops: conjugating }).slice(9)
  t.equal(elementwise, 2 * 7 * RING)
  const [, , , , , , , , , timesI] = sealCosts()({ ...circuit, ops: conjugating })
  t.ok(Math.abs(timesI - 5 * SEAL_SPEEDS.term) < 1e-12)
  t.equal(sealCosts()({ ...circuit, ops: conjugating })[2], sealCosts()(circuit)[2])
})

t.test('the cost is the sum of the works at their speeds, and grows with the ring', async (t) => {
  const parts = Object.entries(SIMD_SPEEDS).map(([kind, speed]) =>
    circuitSeconds(circuit, simdCosts({ ...NOTHING, [kind]: speed })),
  )
  const total = circuitSeconds(circuit, simdCosts())
  t.ok(Math.abs(parts.reduce((a, b) => a + b, 0) - total) < 1e-12)
  const doubled = (speeds: Partial<SimdSpeeds>) =>
    circuitSeconds({ ...circuit, ring: 2 * RING }, simdCosts({ ...NOTHING, ...speeds })) /
    circuitSeconds(circuit, simdCosts({ ...NOTHING, ...speeds }))
  t.equal(doubled({ multiplyAdd: 1 }), 2)
  t.ok(Math.abs(doubled({ ntt: 1 }) - (2 * 15) / 14) < 1e-12)
})

t.test('levels that a draft will not have add no cost', async (t) => {
  const higher = ops.map((op) => ({ ...op, level: op.level + 100 }))
  for (const model of [simdCosts(), sealCosts()]) {
    t.equal(
      circuitSeconds({ ...circuit, ops: higher, unusedLevels: 100 }, model),
      circuitSeconds(circuit, model),
    )
  }
})

t.test('node-seal decomposes again for each rotation', async (t) => {
  const { keySwitchPair, keySwitchPrime, term, add, multiply, rescale } = SEAL_SPEEDS
  const keySwitch = (n: number) => keySwitchPair * n * (n + 1) + keySwitchPrime * n
  const expected = [
    0,
    keySwitch(5),
    keySwitch(5),
    keySwitch(5),
    3 * 5 * term,
    5 * add,
    5 * multiply,
    keySwitch(5),
    5 * add,
    5 * add,
    5 * rescale,
    keySwitch(4),
  ]
  sealCosts()(circuit).forEach((seconds, id) => {
    t.ok(Math.abs(seconds - expected[id]) < 1e-12, ops[id].kind)
  })
})
