import fc from 'fast-check'
import t from 'tap'
import { operandsOf } from '../../src/circuit/operands.ts'
import type { Op } from '../../src/circuit/types.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { type Step, stepsOf } from '../../src/schedule/steps.ts'
import { wavesOf } from '../../src/schedule/waves.ts'
import { refreshedCircuit } from '../he-ops/simd/circuits.ts'

const at = { level: 3, scale: 2 ** 20, layer: 0 }
const input = (index: number): Op => ({ kind: 'input', index, ...at })
const add = (left: number, right: number): Op => ({ kind: 'add', left, right, ...at })
const refresh = (source: number, round: number): Op => ({ kind: 'refresh', source, round, ...at })

t.test(
  'operations that an earlier round waits for are done first, whatever their order in the circuit',
  async (t) => {
    const ops = [input(0), add(0, 0), add(1, 0), add(0, 0), refresh(2, 0), refresh(3, 1), add(4, 5)]
    t.strictSame(wavesOf(ops), [
      { after: -1, ops: [0, 1, 2, 4] },
      { after: -1, ops: [3, 5] },
      { after: 1, ops: [6] },
    ])
  },
)

t.test('operations that need fewer rounds are done before waiting for later rounds', async (t) => {
  const ops = [input(0), refresh(0, 0), refresh(0, 1), add(2, 2), add(1, 1), add(3, 4)]
  t.strictSame(wavesOf(ops), [
    { after: -1, ops: [0, 1] },
    { after: -1, ops: [2] },
    { after: 0, ops: [4] },
    { after: 1, ops: [3, 5] },
  ])
  t.strictSame(
    stepsOf({ ops }, 1).map(({ kind, ops: ids }) => [kind, ...ids]),
    [
      ['input', 0],
      ['refresh', 1],
      ['refresh', 2],
      ['return', 1],
      ['add', 4],
      ['return', 2],
      ['add', 3],
      ['add', 5],
    ],
  )
})

t.test('the refreshes of a round leave together, even if they need different rounds', async (t) => {
  const ops = [input(0), refresh(0, 0), add(0, 0), refresh(1, 1), refresh(2, 1), add(3, 4)]
  t.strictSame(wavesOf(ops), [
    { after: -1, ops: [0, 1] },
    { after: -1, ops: [2] },
    { after: 0, ops: [3, 4] },
    { after: 1, ops: [5] },
  ])
})

t.test('a circuit with overlapping rounds is valid; one without rounds has one wave', async (t) => {
  verifyCircuit(refreshedCircuit({ overlapping: true }))
  t.strictSame(wavesOf([input(0), add(0, 0)]), [{ after: -1, ops: [0, 1] }])
})

/**
 * Random operations, some of them refreshes. Rounds have one to three refreshes and are as early as possible.
 */
const randomOps = fc
  .array(
    fc.record({ a: fc.nat(), b: fc.nat(), isRefresh: fc.boolean(), size: fc.integer({ min: 1, max: 3 }) }),
    { minLength: 1, maxLength: 60 },
  )
  .map((choices) => {
    const ops: Op[] = [input(0)]
    // The first round that may take a value: the one after those that it depends on.
    const over = [0]
    let round = 0
    let room = 0
    for (const { a, b, isRefresh, size } of choices) {
      const [left, right] = [a % ops.length, b % ops.length]
      if (isRefresh) {
        if (room === 0 || over[left] > round) {
          if (ops.some((op) => op.kind === 'refresh' && op.round === round)) round++
          room = size
        }
        room--
        over.push(round + 1)
        ops.push(refresh(left, round))
      } else {
        over.push(Math.max(over[left], over[right]))
        ops.push(add(left, right))
      }
    }
    return ops
  })

/** Follows an order, and detects its errors. */
class Follower {
  readonly #ops: readonly Op[]
  readonly #there = new Set<number>()
  readonly #away = new Set<number>()
  done = 0
  /** The largest number of refreshed values that were away at once. */
  mostAway = 0

  constructor(ops: readonly Op[]) {
    this.#ops = ops
  }

  /** @returns whether the step is valid */
  follow({ kind, ops: ids }: Step): boolean {
    if (kind === 'return') return ids.every((id) => this.#away.delete(id) && this.#there.add(id))
    this.done += ids.length
    if (!ids.every((id) => operandsOf(this.#ops[id]).every((operand) => this.#there.has(operand))))
      return false
    if (kind === 'refresh') return this.#leave(ids)
    for (const id of ids) this.#there.add(id)
    return true
  }

  #leave(ids: readonly number[]): boolean {
    const roundOf = (op: Op): number | undefined => (op.kind === 'refresh' ? op.round : undefined)
    const round = roundOf(this.#ops[ids[0]])
    const whole = this.#ops.flatMap((op, id) => (roundOf(op) === round ? [id] : []))
    for (const id of ids) this.#away.add(id)
    this.mostAway = Math.max(this.mostAway, this.#away.size)
    return whole.join() === [...ids].sort((a, b) => a - b).join()
  }
}

t.test(
  'in any circuit operands come first, and a round leaves as a whole and returns before it is read',
  async (t) => {
    let most = 0
    fc.assert(
      fc.property(randomOps, (ops) => {
        const follower = new Follower(ops)
        const sound = stepsOf({ ops }, 2).every((batch) => follower.follow(batch))
        most = Math.max(most, follower.mostAway)
        return sound && follower.done === ops.length
      }),
      { numRuns: 300, seed: 11 },
    )
    t.ok(most > 3, `${most} values were away at once, more than a round has`)
    const early = new Follower([input(0), refresh(0, 0), add(1, 1)])
    t.ok(early.follow({ kind: 'input', ops: [0] }) && early.follow({ kind: 'refresh', ops: [1] }))
    t.notOk(early.follow({ kind: 'add', ops: [2] }), 'reading a value before it returns would be detected')
  },
)
