import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { needsRedis } from '../../support/redis.ts'
import { isProblem, splitAnswer, untilCancelled, uploadKeys, watch } from '../support.ts'
import { held, send, until } from './requests.ts'
import { SteeredCluster } from './steered.ts'

t.test('what is asked of an inference whose worker has ended gets a clear answer', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const worker = await cluster.worker()
  const keys = await uploadKeys(front)
  t.equal((await send(front, keys, 'mine', { prefer: 'respond-async' })).statusCode, 202)
  t.equal((await front.inject(watch('mine/rounds/0', keys))).statusCode, 200)
  await worker.close()
  const redis = cluster.redis.connect()
  t.strictSame(await redis.keys('polyveil:queues:inferences-*'), [], 'its queue is removed')
  // Long enough for its end to be known before.
  await sleep(2000)
  for (const path of ['mine', 'mine/rounds/0']) {
    isProblem(t, await front.inject(watch(path, keys)), 503, 'WORKER_LOST')
  }
  await cluster.worker()
  t.equal((await send(front, keys, 'mine')).statusCode, 200, 'the id is free')
})

t.test('a job that is lost begins again once', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const worker = await cluster.worker()
  const keys = await uploadKeys(front)
  const { work, finish } = held()
  worker.engine.work = work
  const first = send(front, keys, 'first')
  await until(() => worker.engine.jobs.length === 1)
  const redis = cluster.redis.connect()
  const queued = async (): Promise<string[]> => redis.keys('polyveil:queues:*:prioritized')
  const second = send(front, keys, 'second')
  await until(async () => (await queued()).length === 1)
  await redis.del(await redis.keys('polyveil:queues:*'))
  await until(async () => (await queued()).length === 1)
  finish()
  t.equal((await first).statusCode, 200)
  t.equal((await second).statusCode, 200)
})

t.test('entries in Redis that are not understood stop nothing', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  await cluster.worker()
  const keys = await uploadKeys(front)
  const redis = cluster.redis.connect()
  await redis.hset('polyveil:waiting', { other: '{"version":2}', bad: 'no JSON' })
  await redis.set('polyveil:beat:other', 'no JSON')
  await redis.sadd('polyveil:workers', 'other')
  await sleep(1500)
  t.equal((await send(front, keys)).statusCode, 200)
  t.equal(await redis.hlen('polyveil:waiting'), 0)
})

t.test('a Redis that is full is told as such, and the service goes on', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  await cluster.worker()
  const keys = await uploadKeys(front)
  const redis = cluster.redis.connect()
  await redis.config('SET', 'maxmemory', '1mb')
  isProblem(t, await send(front, keys), 503, 'TOO_BUSY')
  await redis.config('SET', 'maxmemory', '0')
  t.equal((await send(front, keys)).statusCode, 200)
})

t.test('a Redis that stands still for a while ends no worker', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  const { work, finish } = held()
  engine.work = work
  const answer = send(front, keys)
  await until(() => engine.jobs.length === 1)
  // The worker notes what it has.
  await sleep(500)
  cluster.redis.stop()
  await sleep(8000)
  cluster.redis.goOn()
  await sleep(3000)
  finish()
  t.equal((await answer).statusCode, 200)
  t.equal(engine.jobs.length, 1)
})

t.test(
  'a worker that stood still does not answer for the one that has its inference',
  needsRedis,
  async (t) => {
    const cluster = await SteeredCluster.start(t)
    const front = await cluster.front()
    const still = await cluster.worker()
    const keys = await uploadKeys(front)
    const [first, second] = [held(), held()]
    still.engine.work = async (job) => (await first.work(job)).fill(1)
    const answer = send(front, keys, 'mine')
    await until(() => still.engine.jobs.length === 1)
    const redis = cluster.redis.connect()
    const [name] = await redis.smembers('polyveil:workers')
    const other = await cluster.worker()
    other.engine.work = async (job) => (await second.work(job)).fill(2)
    await until(async () => {
      await redis.del(`polyveil:beat:${name}`)
      return other.engine.jobs.length === 1
    })
    first.finish()
    await sleep(300)
    second.finish()
    t.strictSame([...splitAnswer(await answer).frame], Array(10).fill(2))
    t.match((await front.inject(watch('mine', keys))).json(), { state: 'done' })
  },
)

t.test('nothing is computed for a client whose answer was lost with a connection', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  engine.work = untilCancelled
  const first = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  const second = send(front, keys, 'second')
  const redis = cluster.redis.connect()
  await until(async () => (await redis.hlen('polyveil:waiting')) === 1)
  await redis.client('KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
  for (const each of [first, second]) isProblem(t, await each, 503, 'TOO_BUSY')
  await until(() => engine.jobs[0].signal.aborted)
  // The worker may take the second before it is withdrawn; then it is ended, too.
  await until(async () => {
    const answer = await front.inject(watch('second', keys))
    return answer.statusCode === 404 || answer.json().state === 'cancelled'
  })
  engine.work = async ({ frame }) => frame.slice(0, 10)
  await until(async () => (await send(front, keys, 'second')).statusCode === 200)
  t.ok(engine.jobs.slice(0, -1).every(({ signal }) => signal.aborted))
})

t.test('a client whose keys a worker has does not keep others waiting', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const [loaded, other] = [await uploadKeys(front), await uploadKeys(front)]
  t.equal((await send(front, loaded)).statusCode, 200)
  const { work, finish } = held()
  engine.work = work
  const answers = [send(front, loaded)]
  await until(() => engine.jobs.length === 2)
  const redis = cluster.redis.connect()
  for (const keys of [loaded, loaded, loaded, other]) {
    const before = await redis.hlen('polyveil:waiting')
    answers.push(send(front, keys))
    await until(async () => (await redis.hlen('polyveil:waiting')) === before + 1)
  }
  finish()
  for (const each of answers) t.equal((await each).statusCode, 200)
  const order = engine.jobs.slice(2).map(({ keys }) => keys.name === nameOf(other))
  t.ok(order.indexOf(true) <= 1, `its turn comes: ${order}`)
})

t.test('an inference that nobody has begin again is told as lost', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const [front, other] = [await cluster.front(), await cluster.front()]
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  const { work, finish } = held()
  engine.work = work
  const first = send(other, keys, 'first')
  await until(() => engine.jobs.length === 1)
  t.equal((await send(front, keys, 'mine', { prefer: 'respond-async' })).statusCode, 202)
  await front.close()
  const redis = cluster.redis.connect()
  await redis.del(await redis.keys('polyveil:queues:*'))
  isProblem(t, await other.inject(watch('mine/rounds/0', keys)), 503, 'WORKER_LOST')
  finish()
  t.equal((await first).statusCode, 200)
})
