import t from 'tap'
import { WorkStealing } from '../../../../src/he-ops/simd/threads/work-stealing.ts'

/** The `WorkStealing` of all threads of a run. */
function claimsOf(threads: number, pieces: number): WorkStealing[] {
  const first = new WorkStealing(0, threads, pieces)
  return Array.from({ length: threads }, (_, i) =>
    i === 0 ? first : new WorkStealing(i, threads, pieces, first.shared),
  )
}

const taken = (claims: WorkStealing): number[] => {
  const pieces: number[] = []
  claims.takeAll((piece) => pieces.push(piece))
  return pieces
}

t.test('a thread takes its own pieces first, then those of the others from their ends', async (t) => {
  const [first, second, third] = claimsOf(3, 6)
  t.strictSame(taken(first), [0, 1, 3, 2, 5, 4])
  t.strictSame([taken(second), taken(third)], [[], []], 'nothing is left')
  t.strictSame(taken(third), [4, 5, 1, 0, 3, 2], 'in the next phase all are there again')
  t.strictSame([taken(first), taken(second)], [[], []])
})

t.test('threads that work side by side take each piece once', async (t) => {
  const [first, second] = claimsOf(2, 8)
  for (let phase = 0; phase < 3; phase++) {
    const bySecond: number[] = []
    const byFirst: number[] = []
    // The second thread starts when the first is at its second piece, and takes all remaining pieces.
    first.takeAll((piece) => {
      byFirst.push(piece)
      if (byFirst.length === 2) bySecond.push(...taken(second))
    })
    t.strictSame(byFirst, [0, 1])
    t.strictSame(bySecond, [4, 5, 6, 7, 3, 2])
  }
})

t.test('one thread has one piece', async (t) => {
  t.strictSame(taken(new WorkStealing(0, 1, 1)), [0])
})
