import t from 'tap'
import type { LoweredCircuit } from '../../../../src/compiler/lowered-circuit.ts'
import type { FittingCandidate } from '../../../../src/compiler/planner/search/candidate.ts'
import { bestOfEach, type Emit } from '../../../../src/compiler/planner/search/emitted.ts'
import { type ErrorFacts, PolyVeilError } from '../../../../src/errors/index.ts'
import { MOST_KERNEL_BYTES } from '../../../../src/schedule/limits.ts'

/** A candidate with the memory of its keys and transforms, and the figures of its circuit. */
interface Case {
  readonly restorationMemory: number
  readonly memoryBytes: number
  readonly precisionBits?: number
}

const GB = 1e9
const ASKED = { precisionBits: 8 }

/** Candidates, the best first, and the indices of those that were lowered. */
function lowered(cases: readonly Case[]) {
  const candidates = cases.map(
    ({ restorationMemory }) => ({ restorationMemory }) as unknown as FittingCandidate,
  )
  const tried: number[] = []
  const emit = (candidate: FittingCandidate): LoweredCircuit => {
    const index = candidates.indexOf(candidate)
    tried.push(index)
    const { memoryBytes, precisionBits = 9 } = cases[index]
    return { kernelBytes: memoryBytes, estimate: { precisionBits } } as unknown as LoweredCircuit
  }
  const limits: number[] = []
  const way = (most: number): FittingCandidate[] => {
    limits.push(most)
    return candidates.filter(({ restorationMemory }) => restorationMemory <= most)
  }
  const best = (): number => {
    const [{ candidate }] = bestOfEach([way], ASKED, emit)
    return candidates.indexOf(candidate)
  }
  return { best, tried, limits }
}

t.test('the first candidate that is precise and fits an engine is taken', async (t) => {
  const { best, tried } = lowered([
    { restorationMemory: 1 * GB, memoryBytes: 3 * GB, precisionBits: 7.9 },
    { restorationMemory: 2 * GB, memoryBytes: 4 * GB },
    { restorationMemory: 1 * GB, memoryBytes: 3 * GB },
  ])
  t.equal(best(), 1)
  t.strictSame(tried, [0, 1])
})

t.test('after a circuit that is too large, candidates with as many keys are not lowered', async (t) => {
  const { best, tried } = lowered([
    { restorationMemory: 2.5 * GB, memoryBytes: 4.6 * GB },
    { restorationMemory: 2.4 * GB, memoryBytes: 4.5 * GB },
    { restorationMemory: 2 * GB, memoryBytes: 4.1 * GB },
  ])
  t.equal(best(), 2)
  t.strictSame(tried, [0, 2])
})

t.test('the engine takes a little more than is stated', async (t) => {
  const { best } = lowered([
    { restorationMemory: 2 * GB, memoryBytes: 0.99 * MOST_KERNEL_BYTES },
    { restorationMemory: 1 * GB, memoryBytes: 3 * GB },
  ])
  t.equal(best(), 1)
})

t.test('circuits without restorations are taken whatever their memory', async (t) => {
  t.equal(lowered([{ restorationMemory: 0, memoryBytes: 9 * GB }]).best(), 0)
})

t.test('where no precise circuit fits, the search goes on with less memory for keys', async (t) => {
  const first = { restorationMemory: 2.5 * GB, memoryBytes: 4.6 * GB }
  const limit = 2.5 * GB - (4.6 * GB - 0.98 * MOST_KERNEL_BYTES)
  const imprecise = lowered([first, { restorationMemory: 1 * GB, memoryBytes: 3 * GB, precisionBits: 4 }])
  t.equal(imprecise.best(), 0, 'a circuit that is too large is better than an imprecise one')
  t.strictSame(imprecise.limits, [Infinity, limit])
})

t.test('where no search has a circuit that fits, the smallest is taken', async (t) => {
  const limits: number[] = []
  const way = (most: number): FittingCandidate[] => {
    limits.push(most)
    return [{ restorationMemory: Math.min(most, 2 * GB) } as unknown as FittingCandidate]
  }
  const memories = [4.5, 4.4, 4.6].map((memory) => memory * GB)
  const emit = () =>
    ({
      kernelBytes: memories[limits.length - 1],
      estimate: { precisionBits: 9 },
    }) as unknown as LoweredCircuit
  const [{ lowered: smallest }] = bestOfEach([way], ASKED, emit)
  t.equal(smallest.kernelBytes, 4.4 * GB)
  const most = 0.98 * MOST_KERNEL_BYTES
  t.strictSame(limits, [Infinity, 2 * GB - (4.5 * GB - most), 2 * GB - (8.9 * GB - 2 * most)])
})

t.test('there is one search where the circuit is too large even without keys', async (t) => {
  const { best, limits } = lowered([{ restorationMemory: 0.5 * GB, memoryBytes: 6 * GB }])
  t.equal(best(), 0)
  t.equal(limits.length, 1)
})

/** A way that has one candidate, or whose search fails with these facts. */
const wayWith =
  (outcome: number | ErrorFacts, onPlan: () => void = () => {}) =>
  () => {
    onPlan()
    if (typeof outcome !== 'number') throw new PolyVeilError('DEPTH_EXCEEDED', 'there is no plan', outcome)
    return [{ restorationMemory: outcome } as unknown as FittingCandidate]
  }

const emitAny = () => ({ kernelBytes: GB, estimate: { precisionBits: 9 } }) as unknown as ReturnType<Emit>

t.test('a way is not planned before its candidate is asked for', async (t) => {
  let planned = 0
  const ways = [wayWith(1), wayWith(2, () => planned++)]
  const [first] = bestOfEach(ways, ASKED, emitAny)
  t.equal(first.candidate.restorationMemory, 1)
  t.equal(planned, 0)
  t.equal([...bestOfEach(ways, ASKED, emitAny)].length, 2)
  t.equal(planned, 1)
})

t.test('where no way has a candidate, the error is the most precise one or the last one', async (t) => {
  const factsOf = (...facts: ErrorFacts[]): unknown => {
    try {
      return [
        ...bestOfEach(
          facts.map((fact) => wayWith(fact)),
          ASKED,
          emitAny,
        ),
      ]
    } catch (error) {
      return (error as PolyVeilError).facts
    }
  }
  const precise = { bestPrecisionBits: 7 }
  const imprecise = { bestPrecisionBits: 5 }
  t.equal(factsOf(precise, imprecise), precise)
  t.equal(factsOf(imprecise, precise), precise)
  t.equal(factsOf({ missingBits: 9 }, imprecise), imprecise)
})
