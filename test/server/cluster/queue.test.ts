import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { needsRedis } from '../../support/redis.ts'
import { isProblem, splitAnswer, untilCancelled, uploadKeys, watch } from '../support.ts'
import { cancel, held, send, until } from './requests.ts'
import { type Front, SteeredCluster } from './steered.ts'

async function untilFound<T>(find: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await find()
    if (found !== undefined) return found
    await sleep(20)
  }
}

const stateOf = async (front: Front, id: string, keys: string): Promise<string> =>
  (await front.inject(watch(id, keys))).json().state

t.test(
  'without a worker process the service is not ready and says when to come again',
  needsRedis,
  async (t) => {
    const cluster = await SteeredCluster.start(t)
    const front = await cluster.front()
    t.equal((await front.inject({ url: '/v2/health/ready' })).statusCode, 503)
    const worker = await cluster.worker()
    const keys = await uploadKeys(front)
    t.equal((await send(front, keys)).statusCode, 200)
    t.equal((await front.inject({ url: '/v2/health/ready' })).statusCode, 200)
    await worker.close()
    const refused = await untilFound(async () => {
      const answer = await send(front, keys)
      return answer.statusCode === 503 ? answer : undefined
    })
    isProblem(t, refused, 503, 'TOO_BUSY')
    t.match(refused.headers['retry-after'], /^\d+$/)
  },
)

t.test('an inference that waits is seen and cancelled through any HTTP process', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const [front, other] = [await cluster.front(), await cluster.front()]
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  engine.work = untilCancelled
  const first = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  const second = send(front, keys, 'second')
  await until(async () => (await other.inject(watch('second', keys))).statusCode === 200)
  t.equal(await stateOf(other, 'second', keys), 'waiting')
  const repeated = await send(other, keys, 'second')
  isProblem(t, repeated, 409, 'CONFIG_INVALID', { id: 'second' })
  t.equal((await cancel(other, 'second', keys)).statusCode, 204)
  isProblem(t, await second, 409, 'INFERENCE_UNKNOWN')
  isProblem(t, await other.inject(watch('second', keys)), 404, 'INFERENCE_UNKNOWN')
  t.equal((await cancel(other, 'first', keys)).statusCode, 204)
  isProblem(t, await first, 409, 'INFERENCE_UNKNOWN')
  t.equal(engine.jobs.length, 1, 'no worker has begun the second')
})

t.test('the answer of an inference that waited can be asked for before it begins', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const [front, other] = [await cluster.front(), await cluster.front()]
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  const { work, finish } = held()
  engine.work = work
  const first = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  const ASYNC = { prefer: 'respond-async' }
  t.equal((await send(front, keys, 'second', ASYNC)).statusCode, 202)
  const output = other.inject(watch('second/rounds/0', keys))
  const events = other.inject(watch('second/events', keys))
  finish()
  t.equal((await first).statusCode, 200)
  t.equal(splitAnswer(await output).frame.length, 10)
  t.match((await events).body, /"state":"waiting".*event: end\ndata: [^\n]*"state":"done"/s)
})

t.test('an operator sees and cancels an inference that waits for a worker process', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t, { managementPort: 0 })
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  engine.work = untilCancelled
  const first = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  const second = send(front, keys, 'second')
  const listed = async () => {
    const { inferences } = await (await fetch(`${front.managementUrl}/inferences`)).json()
    return inferences as { id: string; handle: string; state: string; keySet: string }[]
  }
  await until(async () => (await listed()).length === 2)
  const [begun, waiting] = await listed()
  t.match(begun, { id: 'first', keySet: nameOf(keys) })
  t.match(waiting, { id: 'second', state: 'waiting', model: 'small', keySet: nameOf(keys) })
  const remove = ({ handle }: { handle: string }) =>
    fetch(`${front.managementUrl}/inferences/${handle}`, { method: 'DELETE' })
  t.equal((await remove(waiting)).status, 204)
  const ended = await second
  isProblem(t, ended, 409, 'INFERENCE_UNKNOWN')
  t.match(ended.json().detail, /operator/)
  t.equal((await listed()).length, 1)
  t.equal((await remove(begun)).status, 204)
  isProblem(t, await first, 409, 'INFERENCE_UNKNOWN')
  t.equal((await remove(waiting)).status, 404)
})

t.test('a wait for an answer ends with its client, and asks Redis no more', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  engine.work = untilCancelled
  const first = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  t.equal((await send(front, keys, 'second', { prefer: 'respond-async' })).statusCode, 202)
  const redis = cluster.redis.connect()
  const gets = async (): Promise<number> =>
    Number(/^cmdstat_get:calls=(\d+)/m.exec(await redis.info('commandstats'))![1])
  /** How often records are read in a second. */
  const reads = async (): Promise<number> => {
    const before = await gets()
    await sleep(1000)
    return (await gets()) - before
  }
  const clients = ['rounds/0', 'events'].map((what) => {
    const gone = new AbortController()
    const headers = { 'polyveil-key-set': keys }
    const answer = fetch(`${front.url}/v2/inferences/second/${what}`, { headers, signal: gone.signal })
    answer.catch(() => {})
    return gone
  })
  await until(async () => (await reads()) > 10)
  for (const gone of clients) gone.abort()
  await until(async () => (await reads()) < 3)
  await cancel(front, 'second', keys)
  await cancel(front, 'first', keys)
  await first
})

t.test('the image of a query leaves Redis with the first output', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  const redis = cluster.redis.connect()
  const frames = () => redis.keys('polyveil:frame:*')
  const { work, finish } = held()
  engine.work = work
  const answer = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  t.equal((await frames()).length, 1)
  finish()
  t.equal((await answer).statusCode, 200)
  await until(async () => (await frames()).length === 0)
})

t.test('the queue has one limit for all HTTP processes', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t, { queue: 4, maxInferencesPerKeySet: 100 })
  const [front, other] = [await cluster.front(), await cluster.front()]
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  const { work, finish } = held()
  engine.work = work
  const first = send(front, keys, 'first')
  await until(() => engine.jobs.length === 1)
  const second = send(other, keys, 'second')
  const redis = cluster.redis.connect()
  await until(async () => (await redis.hlen('polyveil:waiting')) === 1)
  const third = await send(front, keys, 'third')
  isProblem(t, third, 429, 'TOO_BUSY', { waiting: 1 })
  finish()
  for (const each of [first, second]) t.equal((await each).statusCode, 200)
  t.equal((await send(front, keys, 'third')).statusCode, 200)
})

t.test('a client gets the worker that has its keys, while it is free', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const workers = [await cluster.worker(), await cluster.worker()]
  const keys = await uploadKeys(front)
  for (let i = 0; i < 6; i++) t.equal((await send(front, keys)).statusCode, 200)
  const counts = workers.map(({ engine }) => engine.jobs.length).sort()
  t.strictSame(counts, [0, 6])
  const last = held()
  for (const { engine } of workers) engine.work = last.work
  const both = [send(front, keys), send(front, keys)]
  await until(() => workers.every(({ engine }) => engine.jobs.length > 0))
  last.finish()
  for (const each of both) t.equal((await each).statusCode, 200, 'another worker helps when it is busy')
})

t.test('workers free the keys that a client deletes', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine } = await cluster.worker()
  const keys = await uploadKeys(front)
  t.equal((await send(front, keys)).statusCode, 200)
  t.equal((await front.inject({ method: 'DELETE', url: `/v2/keys/${keys}` })).statusCode, 204)
  await until(() => engine.forgotten.length === 1)
  isProblem(t, await send(front, keys), 410, 'KEYS_EXPIRED')
})

t.test('requests are counted by all HTTP processes together', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t, { requestsPerMinute: 10 })
  const fronts = [await cluster.front(), await cluster.front()]
  const statuses: number[] = []
  for (let i = 0; i < 12; i++) {
    statuses.push((await fronts[i % 2].inject({ url: '/v2/models' })).statusCode)
  }
  t.strictSame(statuses, [...Array(10).fill(200), 429, 429])
})

t.test('while Redis is away all is refused, and afterwards the service goes on', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  await cluster.worker()
  const keys = await uploadKeys(front)
  t.equal((await send(front, keys)).statusCode, 200)
  await cluster.redis.kill()
  isProblem(t, await send(front, keys), 503, 'TOO_BUSY')
  isProblem(t, await front.inject(watch('any', keys)), 503, 'TOO_BUSY')
  t.equal((await front.inject({ url: '/v2/health/live' })).statusCode, 200)
  const isReady = async (): Promise<boolean> =>
    (await front.inject({ url: '/v2/health/ready' })).statusCode === 200
  await until(async () => !(await isReady()))
  await cluster.redis.start()
  const redis = cluster.redis.connect()
  await until(async () => (await redis.scard('polyveil:workers')) === 1)
  await until(isReady)
  isProblem(t, await send(front, keys), 410, 'KEYS_EXPIRED')
  const again = await uploadKeys(front)
  await untilFound(async () => ((await send(front, again)).statusCode === 200 ? true : undefined))
})

t.test('what waits for a worker goes to others when that worker is to end', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const first = await cluster.worker()
  const keys = await uploadKeys(front)
  t.equal((await send(front, keys)).statusCode, 200)
  const { work, finish } = held()
  first.engine.work = work
  const running = send(front, keys)
  await until(() => first.engine.jobs.length === 2)
  const waiting = send(front, keys, 'waiting')
  const redis = cluster.redis.connect()
  await until(async () => (await redis.hlen('polyveil:waiting')) === 1)
  await first.pause()
  const second = await cluster.worker()
  t.equal((await waiting).statusCode, 200)
  t.equal(second.engine.jobs.length, 1)
  finish()
  t.equal((await running).statusCode, 200, 'what the worker has is ended')
  await first.close()
  const queues = (await redis.keys('polyveil:queues:inferences-*')).map((key) => key.split(':')[2])
  t.equal(new Set(queues).size, 1, 'only the queue of the other worker stays')
})

t.test('a drained worker takes nothing until the drain ends', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine, intake } = await cluster.worker()
  const keys = await uploadKeys(front)
  intake.pause()
  const isReady = async (): Promise<boolean> =>
    (await front.inject({ url: '/v2/health/ready' })).statusCode === 200
  await until(async () => !(await isReady()))
  isProblem(t, await send(front, keys), 503, 'TOO_BUSY')
  intake.resume()
  await until(isReady)
  t.equal((await send(front, keys)).statusCode, 200)
  t.equal(engine.jobs.length, 1)
})

t.test('requests about an inference of a worker that has ended are answered', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const worker = await cluster.worker()
  const keys = await uploadKeys(front)
  t.equal((await send(front, keys, 'mine')).statusCode, 200)
  await worker.close()
  isProblem(t, await front.inject(watch('mine', keys)), 503, 'WORKER_LOST')
})

t.test('a job of another version is refused and its asker told', needsRedis, async (t) => {
  const cluster = await SteeredCluster.start(t)
  const front = await cluster.front()
  const { engine, pause } = await cluster.worker()
  const keys = await uploadKeys(front)
  const { work, finish } = held()
  engine.work = work
  const first = send(front, keys)
  await until(() => engine.jobs.length === 1)
  const second = send(front, keys)
  const redis = cluster.redis.connect()
  await until(async () => (await redis.hlen('polyveil:waiting')) === 1)
  const [entry] = (await redis.hvals('polyveil:waiting')).map((text) => JSON.parse(text))
  const queue = `polyveil:queues:inferences${entry.worker ? `-${entry.worker}` : ''}:${entry.job}`
  // The job is written after its place in the list.
  const job = JSON.parse(await untilFound(async () => (await redis.hget(queue, 'data')) ?? undefined))
  await redis.hset(queue, 'data', JSON.stringify({ ...job, format: 2 }))
  finish()
  t.equal((await first).statusCode, 200)
  isProblem(t, await second, 503, 'WORKER_LOST')
  t.equal((await send(front, keys)).statusCode, 200, 'the worker goes on')
  await pause()
})

t.test(
  'the id of an inference that failed with the connection to Redis is free again',
  needsRedis,
  async (t) => {
    const cluster = await SteeredCluster.start(t)
    const front = await cluster.front()
    const { engine } = await cluster.worker()
    const keys = await uploadKeys(front)
    engine.work = untilCancelled
    const first = send(front, keys, 'mine')
    await until(() => engine.jobs.length === 1)
    await cluster.redis.connect().client('KILL', 'TYPE', 'normal')
    isProblem(t, await first, 503, 'TOO_BUSY')
    engine.work = async () => new Uint8Array([1, 2, 3])
    const again = await untilFound(async () => {
      const answer = await send(front, keys, 'mine')
      return answer.statusCode === 200 ? answer : undefined
    })
    t.strictSame([...splitAnswer(again).frame], [1, 2, 3])
  },
)
