import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PolyVeilError } from '../../src/errors/index.ts'
import { inferenceLimits } from '../../src/server/inference/limits.ts'
import { InferenceRegistry } from '../../src/server/inference/registry.ts'
import { StepClient, started } from './refreshed-service.ts'
import { harness, isProblem, query, splitAnswer, untilCancelled, uploadKeys, watch } from './support.ts'

const ASYNC = { prefer: 'respond-async' }

t.test('a query is answered at once, and its answer is fetched later', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const finish = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => finish.promise
  const accepted = await h.inject(query(keys, { header: { id: 'later' }, headers: ASYNC }))
  t.equal(accepted.statusCode, 202)
  t.equal(accepted.headers.location, '/v2/inferences/later')
  t.equal(accepted.headers['preference-applied'], 'respond-async')
  t.match(accepted.json(), { id: 'later', model: 'small', state: 'waiting' })
  t.match((await h.inject(watch('later', keys))).json(), { state: 'waiting' })
  const events = h.inject(watch('later/events', keys))
  const early = h.inject(watch('later/rounds/0', keys))
  finish.resolve(new Uint8Array([4, 5, 6]))
  t.match((await events).body, /event: end\ndata: .*"state":"done"/)
  for (const answer of [await early, await h.inject(watch('later/rounds/0', keys))]) {
    t.equal(answer.statusCode, 200)
    const { json, frame } = splitAnswer(answer)
    t.match(json, { id: 'later', outputs: [{ name: 'logits' }] })
    t.strictSame([...frame], [4, 5, 6], 'the answer may be fetched again')
  }
  const others = await uploadKeys(h)
  isProblem(t, await h.inject(watch('later/rounds/0', others)), 404, 'INFERENCE_UNKNOWN')
})

t.test('the preference is one among others, and may be written in capitals', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  for (const prefer of ['wait=5, respond-async', 'Respond-Async;x']) {
    t.equal((await h.inject(query(keys, { headers: { prefer } }))).statusCode, 202, prefer)
  }
  for (const prefer of ['respond-asynchronously', 'return=minimal', '']) {
    t.equal((await h.inject(query(keys, { headers: { prefer } }))).statusCode, 200, prefer)
  }
})

t.test('what can be refused at once is refused at once', async (t) => {
  const h = await harness(t, { lanes: 1, scheduling: { placesPerLane: 1, queue: 0 } })
  const keys = await uploadKeys(h)
  const send = (id: string) => h.inject(query(keys, { header: { id }, headers: ASYNC }))
  h.engine.work = untilCancelled
  t.equal((await send('first')).statusCode, 202)
  const busy = await send('second')
  isProblem(t, busy, 503, 'TOO_BUSY', { waiting: 0 })
  t.match(busy.headers['retry-after'], /^\d+$/)
  t.equal((await h.inject({ ...watch('first', keys), method: 'DELETE' })).statusCode, 204)
  while ((await h.inject(watch('first', keys))).json().state !== 'cancelled') await sleep(1)
  isProblem(t, await h.inject(watch('first/rounds/0', keys)), 404, 'INFERENCE_UNKNOWN')
  t.equal((await send('third')).statusCode, 202, 'the cancelled one has left its place')
  await h.inject({ ...watch('third', keys), method: 'DELETE' })
})

t.test('an id is used once at a time', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  h.engine.work = untilCancelled
  const send = () => h.inject(query(keys, { header: { id: 'same' }, headers: ASYNC }))
  t.equal((await send()).statusCode, 202)
  isProblem(t, await send(), 409, 'CONFIG_INVALID')
  await h.inject({ ...watch('same', keys), method: 'DELETE' })
})

t.test('a request for the answer of a failed inference gets its error', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  h.engine.work = async () => {
    await sleep(20)
    throw new PolyVeilError('WORKER_LOST', 'The worker ended before it had an answer')
  }
  t.equal((await h.inject(query(keys, { header: { id: 'f' }, headers: ASYNC }))).statusCode, 202)
  const waiting = h.inject(watch('f/rounds/0', keys))
  for (const answer of [await waiting, await h.inject(watch('f/rounds/0', keys))]) {
    isProblem(t, answer, 503, 'WORKER_LOST')
    t.ok(answer.headers['retry-after'])
  }
  t.match((await h.inject(watch('f', keys))).json(), { state: 'failed' })
})

t.test('a client need not keep a connection open', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const finish = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => finish.promise
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const { payload, headers } = query(keys, { header: { id: 'alone' }, headers: ASYNC })
  const accepted = await fetch(`${url}/v2/models/small/infer`, {
    method: 'POST',
    headers: { ...(headers as Record<string, string>), connection: 'close' },
    body: payload as Buffer<ArrayBuffer>,
  })
  t.equal(accepted.status, 202)
  await accepted.body?.cancel()
  const gone = new AbortController()
  const fetching = fetch(`${url}/v2/inferences/alone/rounds/0`, {
    headers: { 'polyveil-key-set': keys },
    signal: gone.signal,
  })
  await sleep(50)
  gone.abort()
  await t.rejects(fetching)
  await sleep(50)
  t.notOk(h.engine.jobs[0].signal.aborted, 'a request for the answer that is given up changes nothing')
  finish.resolve(new Uint8Array([1]))
  const answer = await h.inject(watch('alone/rounds/0', keys))
  t.strictSame([...splitAnswer(answer).frame], [1])
})

t.test('refresh rounds of an asynchronous inference go as those of any other', async (t: Test) => {
  const server = await started(t)
  const client = await StepClient.create(server.url)
  const accepted = await client.begin('slow', undefined, ASYNC)
  t.match(accepted, { status: 202, json: { id: 'slow', rounds: 2 } })
  t.ok((await client.finish(await client.output('slow', 0))) < 0.02)
  t.ok((await client.finish(await client.output('slow', 2))) < 0.02, 'the logits can be fetched again')
})

t.test('queries of one client that fail do not have the answers of another forgotten', async (t) => {
  const registry = new InferenceRegistry(inferenceLimits())
  const begin = (keySet: string) =>
    registry.begin({
      model: 'small',
      rounds: 0,
      isAsync: true,
      client: { keySet },
      encode: () => ({ jsonBytes: 0, body: Buffer.alloc(1) }),
    })
  const kept = begin('one')
  registry.end(kept, 'done')
  for (let i = 0; i < 1500; i++) registry.end(begin('another'), 'failed')
  t.equal(registry.find({ keySet: 'one' }, kept.id), kept)
})
