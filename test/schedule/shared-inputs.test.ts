import fc from 'fast-check'
import t from 'tap'
import { byInputs } from '../../src/schedule/shared-inputs.ts'

t.test('work that shares an input, directly or through others, is one group; order stays', async (t) => {
  const work = ['ab', 'c', 'bd', 'e', 'fc', 'd']
  t.strictSame(
    byInputs(work, (piece) => [...piece]),
    [['ab', 'bd', 'd'], ['c', 'fc'], ['e']],
  )
  t.strictSame(
    byInputs([], () => []),
    [],
  )
})

/** Whether all pieces of a group can be reached from its first one over shared inputs. */
function holdsTogether([first, ...others]: readonly number[][]): boolean {
  const read = new Set(first)
  let left = others
  for (;;) {
    const [next, rest] = [true, false].map((reads) =>
      left.filter((piece) => piece.some((input) => read.has(input)) === reads),
    )
    if (next.length === 0) return rest.length === 0
    for (const input of next.flat()) read.add(input)
    left = rest
  }
}

t.test('groups have no input in common, and no part of one could stand alone', async () => {
  const pieces = fc.array(fc.uniqueArray(fc.nat(12), { maxLength: 3 }), { maxLength: 12 })
  fc.assert(
    fc.property(pieces, (work) => {
      const groups = byInputs(work, (piece) => piece)
      const inputs = groups.reduce((sum, group) => sum + new Set(group.flat()).size, 0)
      if (inputs !== new Set(work.flat()).size) throw new Error('two groups share an input')
      if (!groups.every(holdsTogether)) throw new Error('a group falls apart')
    }),
    { numRuns: 500, seed: 2 },
  )
})
