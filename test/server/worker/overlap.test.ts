import t, { type Test } from 'tap'
import { manifestOf } from '../../../src/circuit/index.ts'
import { refreshedCircuit } from '../../he-ops/simd/circuits.ts'
import { largestError, type Said, StepClient } from '../refreshed-service.ts'
import { serving } from '../serving.ts'

// Rounds that overlap, against a server with the real engine: rounds 0 and 1 do not need each other, round 2 needs both.

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
  const status = () => client.request('GET', `v2/inferences/${id}`).then(({ json }) => json)
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
  t.equal((await client.request('DELETE', `v2/inferences/${id}`)).status, 204)
  isProblem(t, await waiting, 409, 'INFERENCE_UNKNOWN', 'who waits is told of the end')
  isProblem(t, await client.output(id, 1), 404, 'INFERENCE_UNKNOWN')
})

t.test('a client that vanishes between two answers', async (t) => {
  const { client } = await session(t, { roundTimeoutSeconds: 1 })
  const first = await client.begin()
  await client.round(first.json.id, 0, await client.model.refresh(0, first.frame), client.keySet, MINIMAL)
  const state = () => client.request('GET', `v2/inferences/${first.json.id}`).then(({ json }) => json.state)
  while ((await state()) === 'refresh') await new Promise((resolve) => setTimeout(resolve, 100))
  t.equal(await state(), 'cancelled')
  let said = await client.begin()
  t.equal(said.status, 200, 'the engine is free')
  const second = await client.output(said.json.id, 1)
  const answered = client.answer(second)
  said = await client.round(said.json.id, 0, await client.model.refresh(0, said.frame))
  t.equal(said.status, 200)
  t.match((await answered).json, { parameters: { round: 2 } })
})
