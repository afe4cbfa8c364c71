import fc from 'fast-check'
import t from 'tap'
import { operandsOf } from '../../src/circuit/operands.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit, Op } from '../../src/circuit/types.ts'
import { maxDigitSources, type Step, stepsOf } from '../../src/schedule/steps.ts'
import { randomCircuit } from '../conformance/random-circuit.ts'

const at = (level: number) => ({ level, scale: 2 ** 20, layer: 0 })
const input = (index: number): Op => ({ kind: 'input', index, ...at(3) })
const rotate = (source: number, steps: number, level = 3): Op => ({
  kind: 'rotate',
  source,
  steps,
  ...at(level),
})
const add = (left: number, right: number): Op => ({ kind: 'add', left, right, ...at(3) })

const ordered = (ops: readonly Op[], maxSources = 10): [string, ...number[]][] =>
  stepsOf({ ops }, maxSources).map(({ kind, ops: ids }) => [kind, ...ids])

t.test('independent operations of one kind share a step', async (t) => {
  // Two chains of the same shape, one after the other in the circuit.
  const ops = [input(0), rotate(0, 1), add(0, 1), input(1), rotate(3, 1), add(3, 4), add(2, 5)]
  t.strictSame(ordered(ops), [
    ['input', 0, 3],
    ['rotate', 1, 4],
    ['add', 2, 5],
    ['add', 6],
  ])
})

t.test('sums go before rotations, so that many rotations of one source are ready together', async (t) => {
  const ops = [input(0), rotate(0, 1), add(0, 0), rotate(2, 1), rotate(0, 2)]
  t.strictSame(ordered(ops), [
    ['input', 0],
    ['add', 2],
    ['rotate', 1, 3, 4],
  ])
})

t.test('rotations and conjugations of a value share a step, and so its decomposition', async (t) => {
  const conjugate = (source: number, level = 3): Op => ({ kind: 'conjugate', source, ...at(level) })
  const ops = [input(0), input(1), rotate(0, 1), conjugate(0), conjugate(1), rotate(1, 1)]
  t.strictSame(ordered(ops), [
    ['input', 0, 1],
    ['rotate', 2, 3, 4, 5],
  ])
  t.strictSame(
    ordered(ops, 1),
    [
      ['input', 0, 1],
      ['rotate', 2, 3],
      ['rotate', 4, 5],
    ],
    'conjugations count as readers of sources',
  )
})

t.test('the rotations of a step have few sources and one level', async (t) => {
  const ops = [input(0), input(1), input(2), rotate(0, 1), rotate(1, 1), rotate(2, 1), rotate(0, 2)]
  t.strictSame(ordered(ops, 2), [
    ['input', 0, 1, 2],
    ['rotate', 3, 4, 6],
    ['rotate', 5],
  ])
  const drop: Op = { kind: 'dropLevel', source: 0, ...at(1) }
  t.strictSame(ordered([input(0), drop, rotate(0, 1), rotate(1, 1, 1)]), [
    ['input', 0],
    ['dropLevel', 1],
    ['rotate', 2],
    ['rotate', 3],
  ])
})

t.test('relinearisations and raises of a step are as few as sources of rotations', async (t) => {
  const square = (source: number): Op => ({ kind: 'multiply', left: source, right: source, ...at(2) })
  const relinearise = (source: number): Op => ({ kind: 'relinearise', source, ...at(2) })
  const squares = [input(0), square(0), square(0), square(0), relinearise(1), relinearise(2), relinearise(3)]
  t.strictSame(ordered(squares, 2), [
    ['input', 0],
    ['multiply', 1, 2, 3],
    ['relinearise', 4, 5],
    ['relinearise', 6],
  ])
  const raise: Op = { kind: 'raise', source: 0, ...at(2) }
  t.strictSame(ordered([input(0), raise, raise, raise, add(1, 1)], 2), [
    ['input', 0],
    ['raise', 1, 2],
    ['add', 4],
    ['raise', 3],
  ])
})

t.test('operations far ahead wait for those before them', async (t) => {
  // A chain of rotations, each of which waits for the one before, and sums of the input far after its start.
  const chain = Array.from({ length: 20 }, (_, i) => rotate(i, 1))
  const idle = Array.from({ length: 5000 }, () => add(0, 0))
  const order = ordered([input(0), ...chain, ...idle])
  t.equal(order[1][0], 'add')
  t.ok(order[1].length - 1 < 4096, 'a step has only some of the sums')
  t.equal(order[2][0], 'rotate')
  const done = order.flatMap(([, ...ids]) => ids)
  t.equal(new Set(done).size, 5021, 'all operations are done in the end')
})

t.test('the digits of a step take about 100 MB at most', async (t) => {
  const primes = nttPrimes(16384, new Array(14).fill(30)).map(String)
  const chain = (special: number) =>
    checkParameters({ ring: 16384, primes: primes.slice(special), specialPrimes: primes.slice(0, special) })
  // 14 polynomials of 64 KB in each of 7 digits. There are 13 digits with one special prime.
  t.equal(maxDigitSources(chain(2)), Math.floor((96 * 2 ** 20) / (6 * 14 * 65536)))
  t.equal(maxDigitSources(chain(1)), Math.floor((96 * 2 ** 20) / (13 * 14 * 65536)))
})

t.test('in any circuit every operation is done once, after its operands', async (t) => {
  const primes = nttPrimes(8192, new Array(6).fill(30)).map(String)
  const parameters = checkParameters({ ring: 8192, primes: primes.slice(1), specialPrimes: [primes[0]] })
  // Conjugations are in steps of rotations.
  const stepOf = ({ kind }: Op) => (kind === 'conjugate' ? 'rotate' : kind)
  const isSound = ({ ops }: Pick<Circuit, 'ops'>, order: readonly Step[]): boolean => {
    const done = new Set<number>()
    for (const { kind, ops: ids } of order) {
      if (ids.some((id) => stepOf(ops[id]) !== kind)) return false
      if (ids.some((id) => operandsOf(ops[id]).some((operand) => !done.has(operand)))) return false
      for (const id of ids) done.add(id)
    }
    return done.size === ops.length && order.reduce((sum, batch) => sum + batch.ops.length, 0) === ops.length
  }
  fc.assert(
    fc.property(
      randomCircuit(parameters, [1, 2, 5], 2 ** 26),
      fc.integer({ min: 1, max: 4 }),
      (circuit, most) => isSound(circuit, stepsOf(circuit, most)),
    ),
    { numRuns: 200, seed: 7 },
  )
  const ops = [input(0), rotate(0, 1)]
  const wrong: Step[] = [
    { kind: 'rotate', ops: [1] },
    { kind: 'input', ops: [0] },
  ]
  t.notOk(isSound({ ops }, wrong), 'a wrong order would be detected')
})
