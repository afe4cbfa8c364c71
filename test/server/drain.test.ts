import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Intake } from '../../src/server/inference/intake.ts'
import { parameters } from '../circuit/circuits.ts'
import { isThorough } from '../support/thorough.ts'
import { largestError, type Said, StepClient, started } from './refreshed-service.ts'
import { elements, harness, keyBytes, query, uploadKeys } from './support.ts'

t.test('a service that ends finishes an inference with all of its rounds, and takes no other', async (t) => {
  const server = await started(t, { shutdownSeconds: 30 })
  const client = await StepClient.create(server.url)
  let said: Said = await client.begin()
  t.equal(said.json.outputs[0].name, 'refresh')
  const closing = server.close()
  const ready = () => client.request('GET', 'v2/health/ready')
  while ((await ready()).status === 200) await sleep(10)
  t.equal((await client.request('GET', 'v2/health/live')).status, 200)
  t.equal((await client.request('GET', 'v2/models/refreshed/ready')).status, 503)
  const refused = await client.begin()
  t.equal(refused.status, 503)
  t.match(refused.json, { code: 'TOO_BUSY', detail: /about to end/ })
  while (said.json.outputs[0].name === 'refresh') said = await client.answer(said)
  t.equal(said.status, 200)
  t.ok(largestError(await client.model.decrypt(said.frame)) < 0.01)
  await closing
  await t.rejects(ready())
})

t.test('a client that stays silent holds a service up for no longer than it is given', async (t) => {
  const server = await started(t, { shutdownSeconds: 1 })
  const client = await StepClient.create(server.url)
  const said = await client.begin()
  t.equal(said.json.outputs[0].name, 'refresh')
  await server.close()
  await t.rejects(client.answer(said))
})

t.test('an intake that is closed refuses with a time to come back', async (t) => {
  const intake = new Intake()
  t.doesNotThrow(() => intake.require())
  await intake.drain(() => false, 1000)
  t.notOk(intake.isOpen)
  t.throws(() => intake.require(), { code: 'TOO_BUSY', facts: { retryAfter: 5 } as never })
})

t.test('keys are not announced while a service drains', async (t) => {
  const h = await harness(t, { drainSeconds: 30 })
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const keys = await uploadKeys(h)
  const finish = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => finish.promise
  const running = h.inject(query(keys))
  while (h.engine.jobs.length === 0) await sleep(1)
  const closing = h.app.close()
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({
    parametersDigest: parameters.digest,
    bytes: keyBytes,
    galoisElements: elements,
  })
  const refused = await fetch(`${url}/v2/keys`, { method: 'POST', headers, body })
  t.equal(refused.status, 503)
  t.match(await refused.json(), { code: 'TOO_BUSY' })
  finish.resolve(new Uint8Array(8))
  t.equal((await running).statusCode, 200)
  await closing
})

t.test('a service that ends waits for clients to fetch answers that are there', async (t) => {
  const h = await harness(t, { drainSeconds: 30 })
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const keys = await uploadKeys(h)
  const headers = { 'polyveil-key-set': keys }
  const stateOf = async (id: string) =>
    (await (await fetch(`${url}/v2/inferences/${id}`, { headers })).json()).state
  for (const id of ['fetched', 'later']) {
    await h.inject(query(keys, { header: { id }, headers: { prefer: 'respond-async' } }))
    while ((await stateOf(id)) !== 'done') await sleep(5)
  }
  const fetchAnswer = (id: string) => fetch(`${url}/v2/inferences/${id}/rounds/0`, { headers })
  t.equal((await fetchAnswer('fetched')).status, 200)
  t.equal((await h.inject(query(keys))).statusCode, 200, 'an answer that went with its request')
  t.equal(h.app.services.host.unfetched, 1)
  let isClosed = false
  const closing = h.app.close().then(() => {
    isClosed = true
  })
  await sleep(300)
  t.notOk(isClosed)
  const late = await fetchAnswer('later')
  t.equal(late.status, 200)
  t.ok((await late.arrayBuffer()).byteLength > 0)
  await closing
  await t.rejects(fetchAnswer('later'))
})

t.test('a drain takes as long as it may, also beyond the time that plugins get', async (t) => {
  const h = await harness(t, { drainSeconds: 30 })
  t.equal(h.app.initialConfig.pluginTimeout, 0)
  if (!isThorough) return
  const keys = await uploadKeys(h)
  h.engine.work = async () => {
    await sleep(12_000)
    return new Uint8Array([7])
  }
  const answer = h.inject(query(keys))
  while (h.engine.jobs.length === 0) await sleep(1)
  await h.app.close()
  t.equal((await answer).statusCode, 200)
})
