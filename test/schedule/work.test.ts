import t from 'tap'
import type { Op } from '../../src/circuit/types.ts'
import { Work } from '../../src/schedule/work.ts'

// Levels: the input is at level 3. One rescale drops one prime, another drops two. There are two special
// primes.
const ops: Op[] = [
  { kind: 'input', index: 0, level: 3, scale: 1, layer: 0 },
  { kind: 'rotate', source: 0, steps: 1, level: 3, scale: 1, layer: 0 },
  { kind: 'rotate', source: 0, steps: 2, level: 3, scale: 1, layer: 0 },
  {
    kind: 'dot',
    terms: [
      { value: 1, constant: 0 },
      { value: 0, constant: 1 },
    ],
    constantScale: 1,
    level: 3,
    scale: 1,
    layer: 0,
  },
  { kind: 'rescale', source: 3, level: 2, scale: 1, layer: 0 },
  { kind: 'rescale', source: 4, level: 0, scale: 1, layer: 0 },
  { kind: 'dropLevel', source: 2, level: 0, scale: 1, layer: 0 },
  { kind: 'add', left: 5, right: 6, level: 0, scale: 1, layer: 0 },
]
const work = new Work({ ops, result: 7, specialPrimes: 2 })

t.test('values have data primes, and special ones in the extended basis', async (t) => {
  t.strictSame(
    ops.map((_, id) => work.primes(id)),
    [4, 4, 4, 4, 3, 1, 1, 1],
  )
  t.strictSame(
    ops.map((_, id) => work.limbs(id)),
    [4, 6, 4, 6, 3, 1, 1, 1],
  )
  t.equal(work.computedLimbs(2), 6, 'the value before the division')
  t.strictSame(work.decomposition(3), { digits: 2, limbs: 5 })
})

t.test('a ModDown is a division; rescales are fused with it and with each other', async (t) => {
  t.strictSame(
    ops.map((_, id) => work.division(id)),
    [
      undefined,
      undefined,
      { source: 2, dropped: 2, left: 4 },
      undefined,
      undefined,
      { source: 3, dropped: 5, left: 1 },
      undefined,
      undefined,
    ],
    'the second rescale also does the first: it divides by three data primes and both special ones',
  )
})

t.test('the rescale that divides reads the sum, and the fused one reads nothing', async (t) => {
  t.strictSame(
    ops.map((_, id) => [...work.operandsRead(id)]),
    [[], [0], [0], [1, 0], [], [3], [2], [5, 6]],
  )
  const counts = work.readerCounts(7)
  t.equal(counts[0], 3)
  t.equal(counts[7], 1, 'the client reads the result')
})

t.test('the weights of a sum have the form that its operands need', async (t) => {
  t.equal(work.weightForm(3, 1), 'extended')
  t.equal(work.weightForm(3, 0), 'timesP')
  const plain = new Work({ ops: [ops[0], { ...ops[3], terms: [] } as Op], result: 1, specialPrimes: 2 })
  t.equal(plain.weightForm(1, 0), 'normal')
})

t.test('levels that a finished chain will not have do not count as primes', async (t) => {
  const draft = new Work({ ops, result: 7, specialPrimes: 2, unusedLevels: 0 })
  const deeper = ops.map((op) => ({ ...op, level: op.level + 5 }))
  const finished = new Work({ ops: deeper, result: 7, specialPrimes: 2, unusedLevels: 5 })
  t.strictSame(
    ops.map((_, id) => [finished.primes(id), finished.division(id)]),
    ops.map((_, id) => [draft.primes(id), draft.division(id)]),
  )
})
