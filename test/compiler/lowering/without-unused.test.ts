import t from 'tap'
import type { Op } from '../../../src/circuit/types.ts'
import { withoutUnused } from '../../../src/compiler/lowering/without-unused.ts'

const TYPE = { level: 1, scale: 2 ** 20, layer: 0 }
const OPS: readonly Op[] = [
  { kind: 'input', index: 0, ...TYPE },
  { kind: 'input', index: 1, ...TYPE },
  { kind: 'rotate', source: 0, steps: 3, ...TYPE },
  { kind: 'refresh', source: 2, round: 0, ...TYPE },
  { kind: 'refresh', source: 0, round: 1, ...TYPE },
  { kind: 'rotate', source: 4, steps: 5, ...TYPE },
  { kind: 'refresh', source: 4, round: 2, ...TYPE },
  {
    kind: 'dot',
    terms: [
      { value: 6, constant: 1 },
      { value: 4, constant: 0 },
    ],
    constantScale: 2 ** 10,
    ...TYPE,
  },
  { kind: 'multiply', left: 7, right: 6, ...TYPE },
  { kind: 'add', left: 7, right: 5, ...TYPE },
]
const body = {
  ops: OPS,
  counts: OPS.map((_, id) => 10 + id),
  noiseSourceOf: OPS.map((_, id) => 20 + id),
  result: 8,
}

t.test('operations that the result does not need are left out, and rounds are closed up', async (t) => {
  t.strictSame(withoutUnused(body), {
    ops: [
      { kind: 'input', index: 0, ...TYPE },
      { kind: 'input', index: 1, ...TYPE },
      { kind: 'refresh', source: 0, round: 0, ...TYPE },
      { kind: 'refresh', source: 2, round: 1, ...TYPE },
      {
        kind: 'dot',
        terms: [
          { value: 3, constant: 1 },
          { value: 2, constant: 0 },
        ],
        constantScale: 2 ** 10,
        ...TYPE,
      },
      { kind: 'multiply', left: 4, right: 3, ...TYPE },
    ],
    counts: [10, 11, 14, 16, 17, 18],
    noiseSourceOf: [20, 21, 24, 26, 27, 28],
    result: 5,
  })
})

t.test('where all operations are used, nothing is copied', async (t) => {
  const whole = withoutUnused(body)
  t.equal(withoutUnused(whole), whole)
})
