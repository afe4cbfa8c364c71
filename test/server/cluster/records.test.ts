import t, { type Test } from 'tap'
import { SharedRedis } from '../../../src/server/cluster/exchange/redis.ts'
import { InferenceRecords } from '../../../src/server/cluster/queue/inference-records.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { needsRedis, RedisServer } from '../../support/redis.ts'

const FACTS = { id: 'mine', model: 'small', rounds: 0, begun: 0 }
const waiting = (job: string) => ({ ...FACTS, place: { kind: 'waiting', job } as const })
const held = (worker: string, job: string, ended = false) => ({
  ...FACTS,
  place: { kind: 'worker', worker, job, ended } as const,
})

/** Records as two processes have them. */
async function opened(t: Test): Promise<{ readonly redis: RedisServer; readonly both: InferenceRecords[] }> {
  const redis = await RedisServer.start()
  const open = (): Promise<SharedRedis> => SharedRedis.open(redis.url, 'test', createLogger('silent'))
  const connections = [await open(), await open()]
  t.teardown(async () => {
    for (const each of connections) each.close()
    await redis.close()
  })
  return { redis, both: connections.map((each) => new InferenceRecords(each, 60_000)) }
}

t.test('of two processes that begin one id again at once, one alone may', needsRedis, async (t) => {
  const { both } = await opened(t)
  for (let i = 0; i < 200; i++) {
    await both[0].replace('name', held('a', 'before', true))
    const added = await Promise.all(both.map((records) => records.add('name', waiting('job'))))
    t.strictSame(added.sort(), [false, true])
  }
})

t.test('a worker takes a job once, and not one that is left over', needsRedis, async (t) => {
  const [records, other] = (await opened(t)).both
  await records.add('name', waiting('job-0'))
  t.equal(await records.take('name', { worker: 'a', job: 'job-0' }), true)
  await records.replace('name', waiting('job-1'))
  t.equal(await other.take('name', { worker: 'b', job: 'job-0' }), false)
  t.equal(await other.take('name', { worker: 'b', job: 'job-1' }), true)
  t.equal(await records.update('name', { worker: 'a', job: 'job-0' }, held('a', 'job-0')), false)
  t.equal(await records.release('name', { worker: 'a', job: 'job-0' }), false)
  t.equal(await other.update('name', { worker: 'b', job: 'job-1' }, held('b', 'job-1')), true)
  t.match(await records.get('name'), { place: { kind: 'worker', worker: 'b' } })
  t.equal(await other.release('name', { worker: 'b', job: 'job-1' }), true)
  t.equal(await records.get('name'), undefined)
})

t.test('a record that is not understood is none', needsRedis, async (t) => {
  const { redis, both } = await opened(t)
  const commands = redis.connect()
  for (const text of ['{"version":2}', 'no JSON']) {
    await commands.set('test:inference:name', text)
    t.equal(await both[0].get('name'), undefined)
    t.equal(await both[0].take('name', { worker: 'a', job: 'job' }), false)
  }
})
