import t from 'tap'
import { refreshDepth } from '../../src/circuit/refresh.ts'
import type { Op } from '../../src/circuit/types.ts'

const at = { layer: 0, level: 2, scale: 2 ** 30 }
const refresh = (source: number, round: number): Op => ({ kind: 'refresh', source, round, ...at })
const add = (left: number, right: number): Op => ({ kind: 'add', left, right, ...at })

t.test('the depth counts refreshes of a chain, and not those beside it', async (t) => {
  // Two values are refreshed in rounds of their own, then their sum; the last refresh is not read.
  const ops: Op[] = [
    { kind: 'input', index: 0, ...at },
    { kind: 'input', index: 1, ...at },
    refresh(0, 0),
    refresh(1, 1),
    add(2, 3),
    refresh(4, 2),
    add(5, 2),
    refresh(6, 3),
  ]
  const depths = ops.map((_, result) => refreshDepth({ ops, result }))
  t.strictSame(depths, [0, 0, 1, 1, 1, 2, 2, 3])
})

t.test('one shot has no depth', async (t) => {
  t.equal(refreshDepth({ ops: [{ kind: 'input', index: 0, ...at }], result: 0 }), 0)
})
