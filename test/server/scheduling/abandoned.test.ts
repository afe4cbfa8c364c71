import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { RunningServer } from '../../../src/server/start.ts'
import { circuit, MODEL, StepClient, started } from '../refreshed-service.ts'
import { serving } from '../serving.ts'

const CLOSE = 0.02

const gauge = async (client: StepClient, name: string): Promise<number> => {
  const text = (await client.request('GET', 'metrics')).bytes.toString()
  return Number(new RegExp(`^polyveil_${name} (\\S+)$`, 'm').exec(text)?.[1])
}

t.test('abandoned refresh inferences do not keep others from starting', async (t) => {
  const server = await started(t, { inferencesPerWorker: 1, roundTimeoutSeconds: 600 })
  for (let i = 0; i < 12; i++) {
    const client = await StepClient.create(server.url)
    t.equal((await client.begin()).status, 200)
  }
  const other = await StepClient.create(server.url)
  t.equal(await gauge(other, 'inferences_paused'), 12)
  t.ok((await other.classify()) < CLOSE, 'another client is served while twelve are silent')
  t.equal(await gauge(other, 'inferences_paused'), 12)
  t.equal(await gauge(other, 'inferences_computing'), 0)
})

/** A service whose memory does not suffice for two inferences by plan, so that one waits for the other. */
const crowded = (t: Test): Promise<RunningServer> =>
  serving(
    t,
    { ...circuit, estimate: { ...circuit.estimate, memoryBytes: 16e6 } },
    { roundTimeoutSeconds: 600, contendedTimeoutSeconds: 1, engineMegabytes: 16 },
  )

t.test('a silent client loses its memory to one that waits for it', async (t) => {
  const server = await crowded(t)
  const [silent, other] = [await StepClient.create(server.url), await StepClient.create(server.url)]
  const held = await silent.begin()
  t.equal(held.status, 200)
  t.ok((await other.classify()) < CLOSE, 'long before the time limit of rounds')
  const late = await silent.round(held.json.id, 0, await silent.model.refresh(0, held.frame))
  t.match(late, { status: 404, json: { code: 'INFERENCE_UNKNOWN' } })
  t.ok((await silent.classify()) < CLOSE, 'and it may start again')
})

t.test('a client is silent, too, that waits for a later output and does not act', async (t) => {
  const server = await crowded(t)
  const [silent, other] = [await StepClient.create(server.url), await StepClient.create(server.url)]
  const held = await silent.begin()
  t.equal(held.status, 200)
  const next = silent.output(held.json.id, 1)
  t.ok((await other.classify()) < CLOSE)
  t.match(await next, { status: 409, json: { code: 'INFERENCE_UNKNOWN' } })
})

t.test('a client is silent, too, that repeats requests or sends a reply by drips', async (t) => {
  const server = await crowded(t)
  const [busy, other] = [await StepClient.create(server.url), await StepClient.create(server.url)]
  for (const keepBusy of [repeating, dripping]) {
    const held = await busy.begin()
    t.equal(held.status, 200)
    const stop = keepBusy(busy, server.url, held.json.id)
    t.ok((await other.classify()) < CLOSE, keepBusy.name)
    await stop()
  }
})

/** Fetches the same output again and again. */
function repeating(client: StepClient, _url: string, id: string): () => Promise<void> {
  let isOver = false
  const requests = (async () => {
    while (!isOver) {
      await client.output(id, 0)
      await sleep(50)
    }
  })()
  return () => {
    isOver = true
    return requests
  }
}

/** Sends a reply byte by byte. */
function dripping({ keySet }: StepClient, url: string, id: string): () => Promise<void> {
  const reply = request(`${url}/v2/inferences/${id}/rounds/0`, {
    method: 'POST',
    headers: {
      'polyveil-key-set': keySet,
      'content-type': 'application/octet-stream',
      'content-length': '100000',
    },
  })
  reply.on('error', () => {})
  const timer = setInterval(() => reply.write('x'), 50)
  return async () => {
    clearInterval(timer)
    reply.destroy()
  }
}

t.test('a deleted key set leaves the worker, and its memory with it', async (t) => {
  const server = await started(t)
  const client = await StepClient.create(server.url)
  t.ok((await client.classify()) < CLOSE)
  t.equal(await gauge(client, 'loaded_key_sets'), 1)
  t.equal((await client.own('DELETE', 'v2/keys')).status, 204)
  while ((await gauge(client, 'loaded_key_sets')) > 0) await sleep(20)
  t.equal((await client.begin()).status, 410)
  t.match((await client.request('GET', `v2/models/${MODEL}/ready`)).status, 200)
})
