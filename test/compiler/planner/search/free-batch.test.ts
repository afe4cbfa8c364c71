import t from 'tap'
import { largestFreeBatch } from '../../../../src/compiler/planner/search/free-batch.ts'
import { type ErrorCodeName, PolyVeilError } from '../../../../src/errors/index.ts'

/**
 * The batch that is chosen, from the costs of batches 1, 2, 4 .., or the errors of batches without a plan.
 */
const chosen = (...costs: readonly (number | ErrorCodeName)[]): number =>
  largestFreeBatch((batch) => {
    const cost = costs[Math.log2(batch)]
    if (typeof cost === 'number') return { batch, cost, takesBatches: true }
    throw new PolyVeilError(cost, 'there is no plan')
  }).batch

t.test('batches are doubled as long as the plan costs hardly more than that of one image', async (t) => {
  t.equal(chosen(1, 1.01, 1.02, 2), 4)
  t.equal(chosen(1, 1.2, 1), 1)
  t.equal(
    chosen(1, 1.03, 1.0301),
    2,
    'the cost is compared with that of one image, not with the batch before',
  )
  t.equal(chosen(1, 0.8, 0.9, 'DEPTH_EXCEEDED'), 4, 'some batches cost less')
})

t.test('batches are doubled until a batch has no plan', async (t) => {
  t.equal(chosen(1, 1, 'CONFIG_INVALID'), 2)
  t.equal(chosen(1, 'DEPTH_EXCEEDED'), 1)
  t.throws(() => chosen('DEPTH_EXCEEDED'), { code: 'DEPTH_EXCEEDED' })
  t.throws(() => chosen(1, 'INTERNAL'), { code: 'INTERNAL' }, 'an internal error is passed on')
})

t.test('no batch is planned where the way of one image takes none', async (t) => {
  const planned: number[] = []
  largestFreeBatch((batch) => {
    planned.push(batch)
    return { cost: 1, takesBatches: false }
  })
  t.strictSame(planned, [1])
})
