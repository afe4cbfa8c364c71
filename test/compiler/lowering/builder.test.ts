import t from 'tap'
import type { ConstantDraft } from '../../../src/compiler/lowering/builder/constant-pool.ts'
import { DraftConstants, StoredConstants } from '../../../src/compiler/lowering/builder/constant-pool.ts'
import { Scoped } from '../../../src/compiler/lowering/builder/scoped.ts'
import { ValueMemo } from '../../../src/compiler/lowering/builder/value-memo.ts'
import { newBuilder } from '../harness.ts'

const constant = (values: number[], gain = 1, exact = false): ConstantDraft => ({
  period: values.length,
  gain,
  exact,
  make: () => (values.some((value) => value !== 0) ? Float64Array.from(values) : undefined),
})

t.test('stored constants get one id for equal values and exactness', async (t) => {
  const pool = new StoredConstants(2)
  t.equal(pool.idOf(constant([1, 2])), 0)
  t.equal(pool.idOf(constant([2, 1])), 1)
  t.equal(pool.idOf(constant([1, 2], 5)), 0)
  t.equal(pool.idOf(constant([1, 2], 1, true)), 2)
  t.equal(pool.idOf(constant([0, 0])), undefined)
  t.equal(pool.constants.length, 3)
  t.strictSame(
    pool.statistics[0],
    { period: 4, gain: 1, rounding: 1, exact: false },
    'the period is that of the batch',
  )
})

t.test('draft constants get one id for equal statistics, and are never computed', async (t) => {
  const pool = new DraftConstants(1)
  const make = () => t.fail('a draft computes a constant')
  const draft = (period: number, gain: number, exact = false): ConstantDraft =>
    ({ period, gain, exact, make }) as unknown as ConstantDraft
  t.strictSame(
    [draft(2, 1), draft(2, 3), draft(4, 1), draft(2, 1, true), draft(2, 1)].map((own) => pool.idOf(own)),
    [0, 1, 2, 3, 0],
  )
  t.equal(pool.idOf({ ...draft(2, 1), isZero: () => true }), undefined)
  t.equal(pool.constants.length, 0)
})

t.test('a builder can drop everything that was added after a mark', async (t) => {
  const builder = newBuilder()
  const value = builder.input(0)
  const rotated = builder.rotate(value, 1)
  const undo = builder.mark()
  const chain = builder.rotateBy(value, 3, 1)
  t.equal(builder.rotate(value, 1), rotated, 'an equal rotation is one operation')
  t.equal(builder.rotateBy(value, 3, 1), chain)
  builder.layer({ name: 'next', kind: 'test', shape: [1, 1, 1], slotsUsed: 1, interleave: 1 })
  builder.dropTo(value, 1)
  undo()
  t.equal(builder.ops.length, 2)
  t.equal(builder.layers.length, 1)
  t.equal(builder.rotate(value, 1), rotated)
  t.equal(builder.dropTo(value, 1), 2)
  t.equal(builder.ops[2].layer, 0)
})

t.test('a memo drops what was set after a number of operations, in any order of values', async (t) => {
  const memo = new ValueMemo()
  memo.set(0, 5, 1, 2)
  memo.set(0, 6, 2, 3)
  // A chain whose last step exists already is an older value.
  memo.set(0, 7, 1, 3)
  memo.truncate(2)
  t.equal(memo.get(0, 5), 1)
  t.equal(memo.get(0, 6), undefined)
  t.equal(memo.get(0, 7), undefined)
})

t.test('chains are dropped, also when a later one ends in an older rotation', async (t) => {
  const builder = newBuilder()
  const value = builder.input(0)
  const other = builder.input(1)
  const older = builder.rotate(other, 1)
  const undo = builder.mark()
  builder.rotateBy(value, 2, 1)
  t.equal(builder.rotateBy(other, 1, 1), older)
  undo()
  builder.rotateBy(value, 2, 1)
  t.equal(builder.ops.length, 5, 'both steps are appended again')
})

t.test('a scoped setting returns to its value, after errors too', async (t) => {
  const setting = new Scoped(1)
  t.equal(
    setting.during(2, () => setting.value),
    2,
  )
  t.throws(() =>
    setting.during(3, () => {
      throw new Error('stop')
    }),
  )
  t.equal(setting.value, 1)
})
