import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { manifestOf } from '../../../src/circuit/index.ts'
import { simdMemory } from '../../../src/schedule/memory.ts'
import { refreshedCircuit } from '../../he-ops/simd/circuits.ts'
import { largestError, type Said, StepClient } from '../refreshed-service.ts'
import { serving } from '../serving.ts'

// Rounds that overlap, against a server with the real engine: rounds 0 and 1 do not need each other, round 2
// needs both.

const circuit = refreshedCircuit({ overlapping: true })
const manifest = manifestOf(circuit)
const CLOSE = 0.01
const MINIMAL = { prefer: 'return=minimal' }

async function session(t: Test, overrides = {}) {
  const server = await serving(t, circuit, overrides)
  return { server, client: await StepClient.create(server.url, manifest) }
}

const isProblem = (t: Test, said: Said, status: number, code: string, name = code): void => {
  t.equal(said.status, status, name)
  t.match(said.json, { code, status }, name)
}

t.test('two rounds wait at once, and are answered in any order', async (t) => {
  const { client } = await session(t)
  const first = await client.begin()
  const { id } = first.json
  const second = await client.output(id, 1)
  t.match(second.json, { id, parameters: { state: 'refresh', round: 1, rounds: 3 } })
  t.ok((await client.output(id, 0)).bytes.equals(first.bytes), 'the first one is still there')
  const status = () => client.own('GET', `v2/inferences/${id}`).then(({ json }) => json)
  t.match(await status(), { state: 'refresh', round: 0, rounds: 3 })
  const later = client.output(id, 2)
  const logits = client.output(id, 3)
  const [a, b] = [await client.model.refresh(0, first.frame), await client.model.refresh(1, second.frame)]
  isProblem(t, await client.round(id, 2, a), 409, 'CONFIG_INVALID', 'the round that does not wait yet')
  isProblem(t, await client.round(id, 0, b), 400, 'TENSOR_MALFORMED', 'the answer of another round')
  const taken = await client.round(id, 1, b, client.keySet, MINIMAL)
  t.equal(taken.status, 204)
  t.equal(taken.bytes.length, 0)
  t.match(await status(), { state: 'refresh', round: 1, rounds: 3 })
  t.equal((await client.round(id, 1, b, client.keySet, MINIMAL)).status, 204, 'again')
  const third = await client.round(id, 0, a)
  t.ok(third.bytes.equals(second.bytes), 'without the wish for less: what follows the round, as ever')
  const last = await client.answer(await later)
  t.match(last.json, { id, outputs: [{ name: 'logits' }] })
  t.ok((await logits).bytes.equals(last.bytes))
  t.ok(largestError(await client.model.decrypt(last.frame)) < CLOSE)
  t.match(await status(), { state: 'done', round: 3, rounds: 3 })
  t.ok((await client.output(id, 3)).bytes.equals(last.bytes), 'and after the end')
})

t.test('tensors are the key set’s, and of rounds that there are', async (t) => {
  const { server, client } = await session(t)
  const stranger = await StepClient.create(server.url, manifest)
  const { json } = await client.begin()
  const { id } = json
  isProblem(t, await client.output(id, 0, stranger.keySet), 404, 'INFERENCE_UNKNOWN')
  isProblem(t, await client.output('nobody', 0), 404, 'INFERENCE_UNKNOWN')
  isProblem(t, await client.output(id, 4), 409, 'CONFIG_INVALID')
  isProblem(t, await client.output(id, 70_000), 400, 'CONFIG_INVALID')
  const waiting = client.output(id, 2)
  t.equal((await client.own('DELETE', `v2/inferences/${id}`)).status, 204)
  isProblem(t, await waiting, 409, 'INFERENCE_UNKNOWN', 'who waits is told of the end')
  isProblem(t, await client.output(id, 1), 404, 'INFERENCE_UNKNOWN')
})

t.test('a client that vanishes between two answers', async (t) => {
  const { client } = await session(t, { roundTimeoutSeconds: 1 })
  const first = await client.begin()
  await client.round(first.json.id, 0, await client.model.refresh(0, first.frame), client.keySet, MINIMAL)
  const state = () => client.own('GET', `v2/inferences/${first.json.id}`).then(({ json }) => json.state)
  while ((await state()) === 'refresh') await sleep(100)
  t.equal(await state(), 'cancelled')
  let said = await client.begin()
  t.equal(said.status, 200, 'the engine is free')
  const second = await client.output(said.json.id, 1)
  const answered = client.answer(second)
  said = await client.round(said.json.id, 0, await client.model.refresh(0, said.frame))
  t.equal(said.status, 200)
  t.match((await answered).json, { parameters: { round: 2 } })
})

t.test('while one client is silent, its worker serves others', async (t) => {
  const { server, client } = await session(t, { workers: 1 })
  const slow = await StepClient.create(server.url, manifest)
  const first = await slow.begin()
  t.ok((await client.classify()) < CLOSE)
  const [own, another] = await Promise.all([client.classify(), client.classify()])
  t.ok(own < CLOSE && another < CLOSE, 'and two of one client, whose memory is that of one')
  t.ok((await slow.finish(first)) < CLOSE, 'the first one goes on')
})

t.test('whose memory is in use waits for its turn, and can be cancelled meanwhile', async (t) => {
  // The least that can be set: room for the keys and values of one client, not of two.
  const engineMegabytes = 16
  t.ok(1.8 * simdMemory(circuit) > engineMegabytes * 2 ** 20)
  const { server, client } = await session(t, { workers: 1, engineMegabytes })
  const second = await StepClient.create(server.url, manifest)
  const third = await StepClient.create(server.url, manifest)
  const first = await client.begin()
  const waiting = second.classify()
  const gone = third.begin('gone')
  const state = () => third.own('GET', 'v2/inferences/gone').then(({ json }) => json.state)
  while ((await state()) !== 'waiting') await sleep(20)
  await third.own('DELETE', 'v2/inferences/gone')
  isProblem(t, await gone, 409, 'INFERENCE_UNKNOWN')
  t.equal(
    (await client.own('GET', `v2/inferences/${first.json.id}`)).json.state,
    'refresh',
    'the client that is being served is not disturbed',
  )
  t.ok((await client.finish(first)) < CLOSE)
  t.ok((await waiting) < CLOSE)
  t.ok((await third.classify()) < CLOSE)
})

t.test('the rate limit exempts an inference’s own client, and counts clients that guess ids', async (t) => {
  const { server, client } = await session(t, { requestsPerMinute: 20 })
  const { id } = (await client.begin()).json
  // Three rounds have twenty-four requests for free.
  for (let i = 0; i < 22; i++) t.equal((await client.output(id, 0)).status, 200)
  const statuses: number[] = []
  for (let i = 0; i < 40; i++) statuses.push((await client.output(id, 0, `guess-${i}`)).status)
  t.equal(statuses[0], 404)
  t.equal(statuses.at(-1), 429)
  t.equal((await fetch(`${server.url}/v2/inferences/nobody/rounds/0`)).status, 429)
  for (const status of [200, 200, 429]) t.equal((await client.output(id, 0)).status, status, 'and no more')
})
