import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import {
  circuit,
  expectedLogits,
  largestError,
  type Said,
  StepClient,
  sizes,
  started,
} from '../refreshed-service.ts'

// Every fault of a refresh round, against a server with the real engine. After each fault the server still
// serves.

const CLOSE = 0.01

/** A server, and a client whose keys it has. */
async function session(t: Test, overrides = {}) {
  const server = await started(t, overrides)
  return { server, client: await StepClient.create(server.url) }
}

const isProblem = (t: Test, said: Said, status: number, code: string, name = code): void => {
  t.equal(said.status, status, name)
  t.match(said.json, { code, status }, name)
}

t.test('an inference with two refresh rounds ends with the logits', async (t) => {
  const { client } = await session(t)
  const first = await client.begin('chosen')
  t.equal(first.status, 200)
  t.strictSame(first.json, {
    model_name: 'refreshed',
    model_version: '1',
    id: 'chosen',
    parameters: { state: 'refresh', round: 0, rounds: 2 },
    outputs: [
      {
        name: 'refresh',
        datatype: 'BYTES',
        shape: [1],
        parameters: { binary_data_size: sizes.rounds[0].down },
      },
    ],
  })
  const status = () => client.own('GET', 'v2/inferences/chosen').then(({ json }) => json)
  t.match(await status(), { state: 'refresh', round: 0, rounds: 2 })
  const second = await client.answer(first)
  t.match(second.json, { parameters: { state: 'refresh', round: 1, rounds: 2 } })
  t.match(await status(), { state: 'refresh', round: 1, rounds: 2 })
  const events = client.own('GET', 'v2/inferences/chosen/events')
  const last = await client.answer(second)
  t.match(last.json, { id: 'chosen', outputs: [{ name: 'logits' }] })
  t.notOk(last.json.parameters)
  const logits = await client.model.decrypt(last.frame)
  t.ok(expectedLogits.some((value) => Math.abs(value) > 0.02))
  t.ok(
    logits.every((value, k) => Math.abs(value - expectedLogits[k]) < CLOSE),
    `${logits}`,
  )
  t.match(await status(), { state: 'done', round: 2, rounds: 2, done: 14, total: 14 })
  t.match((await events).bytes.toString(), /"state":"refresh".*"round":1,[\s\S]*event: end\n.*"state":"done"/)
  const metrics = (await client.request('GET', 'metrics')).bytes.toString()
  t.match(metrics, 'polyveil_refresh_rounds_total{model="refreshed"} 2')
  const down = sizes.rounds[0].down + sizes.rounds[1].down
  t.match(metrics, `polyveil_refresh_bytes_total{model="refreshed",direction="down"} ${down}`)
  const up = sizes.rounds[0].up + sizes.rounds[1].up
  t.match(metrics, `polyveil_refresh_bytes_total{model="refreshed",direction="up"} ${up}`)
})

t.test('metrics have the stages, operations, keys and memory of inferences', async (t) => {
  const { client } = await session(t, { engineMegabytes: 100 })
  for (let i = 0; i < 2; i++) t.ok((await client.classify()) < CLOSE)
  const metrics = (await client.request('GET', 'metrics')).bytes.toString()
  const value = (name: string): number => {
    const line = metrics.split('\n').find((each) => each.startsWith(`${name} `))
    return Number(line?.slice(name.length))
  }
  const stage = (name: string) => `polyveil_inference_stage_seconds_count{model="refreshed",stage="${name}"}`
  for (const name of ['queue', 'load', 'compute', 'client']) t.equal(value(stage(name)), 2, name)
  t.equal(value(stage('send')), 6, 'two rounds and the logits of each')
  const counts = Map.groupBy(circuit.ops, ({ kind }) => kind)
  t.ok(counts.has('rotate'))
  for (const [kind, ops] of counts) {
    t.equal(value(`polyveil_operations_total{model="refreshed",kind="${kind}"}`), 2 * ops.length, kind)
  }
  t.equal(value('polyveil_key_cache_loads_total'), 1)
  t.equal(value('polyveil_key_cache_hits_total'), 1)
  const memory = (part: string) => value(`polyveil_engine_memory_bytes{worker="0",part="${part}"}`)
  const used = value('polyveil_engine_used_bytes{worker="0"}')
  const parts = memory('keys') + memory('constants') + memory('programs')
  t.ok(memory('keys') > 0 && memory('programs') > 0)
  t.ok(used >= parts, `${used} used, ${parts} in parts`)
  t.equal(value('polyveil_engine_limit_bytes{worker="0"}'), 100 * 2 ** 20)
  t.match(metrics, /^polyveil_loaded_key_sets 1$/m)
})

t.test('a repeated round gets the same bytes; another body or another round is a conflict', async (t) => {
  const { client } = await session(t)
  const first = await client.begin()
  const { id } = first.json
  t.match(id, /^[0-9a-f-]{36}$/)
  const answer = await client.model.refresh(0, first.frame)
  isProblem(t, await client.round(id, 1, answer), 409, 'CONFIG_INVALID', 'out of order')
  const [second, twin] = await Promise.all([client.round(id, 0, answer), client.round(id, 0, answer)])
  t.equal(second.status, 200)
  t.ok(twin.bytes.equals(second.bytes), 'two requests at the same time')
  t.ok((await client.round(id, 0, answer)).bytes.equals(second.bytes), 'a later request')
  const other = await client.model.refresh(0, first.frame)
  t.notOk(Buffer.from(other).equals(answer), 'every encryption is fresh')
  isProblem(t, await client.round(id, 0, other), 409, 'CONFIG_INVALID', 'another body')
  for (const round of [2, 7]) {
    isProblem(t, await client.round(id, round, answer), 409, 'CONFIG_INVALID', `round ${round} of 2`)
  }
  for (const round of ['-1', 'x', '1.5', '70000']) {
    isProblem(t, await client.round(id, round, answer), 400, 'CONFIG_INVALID', `round ${round}`)
  }
  const answered = await client.model.refresh(1, second.frame)
  const last = await client.round(id, 1, answered)
  t.ok((await client.round(id, 1, answered)).bytes.equals(last.bytes), 'the logits are repeated, too')
  t.ok(
    (await client.round(id, 0, answer)).bytes.equals(second.bytes),
    'an earlier round is repeated after the end',
  )
  isProblem(t, await client.round(id, 1, answer), 409, 'CONFIG_INVALID', 'another body, after the end')
  t.ok((await client.classify()) < CLOSE)
})

t.test('only the key set of an inference can take part in its rounds', async (t) => {
  const { server, client } = await session(t)
  const stranger = await StepClient.create(server.url)
  const first = await client.begin()
  const { id } = first.json
  const answer = await client.model.refresh(0, first.frame)
  const strange = await client.round(id, 0, answer, stranger.keySet)
  const unknown = await client.round('nobody', 0, answer)
  isProblem(t, strange, 404, 'INFERENCE_UNKNOWN')
  isProblem(t, unknown, 404, 'INFERENCE_UNKNOWN')
  const { requestId: _a, ...one } = strange.json
  const { requestId: _b, ...another } = unknown.json
  t.strictSame(one, another, 'the answer does not show whether the inference exists')
  const nameless = await client.request('POST', `v2/inferences/${id}/rounds/0`, answer)
  isProblem(t, nameless, 404, 'INFERENCE_UNKNOWN')
  const second = await client.round(id, 0, answer)
  t.equal(second.status, 200, 'the inference continues for its own client')
  isProblem(t, await client.round(id, 0, answer, stranger.keySet), 404, 'INFERENCE_UNKNOWN', 'cached or not')
  t.equal((await client.answer(second)).status, 200)
})

/** A changed copy of a frame, with a digest that fits. */
function forged(frame: Uint8Array, alter: (copy: Uint8Array) => void): Uint8Array {
  const copy = frame.slice()
  alter(copy)
  copy.set(createHash('sha256').update(copy.subarray(0, -32)).digest(), copy.length - 32)
  return copy
}

t.test('malformed replies are refused, and the inference waits for a valid one', async (t) => {
  const { client } = await session(t)
  const first = await client.begin()
  const { id } = first.json
  const good = await client.model.refresh(0, first.frame)
  const flipped = good.slice()
  flipped[good.length >> 1] ^= 4
  const header = 48 + 16
  const perLimb = (8192 * 30) / 8
  const cases: [string, Uint8Array, number, string][] = [
    ['empty', new Uint8Array(), 400, 'TENSOR_MALFORMED'],
    ['cut off', good.subarray(0, -1), 400, 'TENSOR_MALFORMED'],
    ['a flipped bit', flipped, 400, 'TENSOR_MALFORMED'],
    ['one byte more', Buffer.concat([good, new Uint8Array(1)]), 413, 'TOO_LARGE'],
    ['the masked tensor itself', first.frame.subarray(0, good.length), 400, 'TENSOR_MALFORMED'],
    ['another round', forged(good, (b) => b.set([1], 6)), 400, 'TENSOR_MALFORMED'],
    ['another kind', forged(good, (b) => b.set([1], 5)), 400, 'TENSOR_MALFORMED'],
    ['another manifest', forged(good, (b) => b.fill(7, 16, 48)), 409, 'PARAMETERS_MISMATCH'],
    ['a residue of all ones', forged(good, (b) => b.fill(255, header, header + 4)), 400, 'TENSOR_MALFORMED'],
    [
      'a residue above its prime in the last limb of the last ciphertext',
      forged(good, (b) => b.fill(255, b.length - 32 - 68 - 16, b.length - 32 - 68)),
      400,
      'TENSOR_MALFORMED',
    ],
    [
      'an unknown seed',
      forged(good, (b) => b.fill(9, b.length - 32 - 68, b.length - 32 - 64)),
      400,
      'TENSOR_MALFORMED',
    ],
  ]
  t.ok(good.length > 2 * 5 * perLimb)
  for (const [name, body, status, code] of cases) {
    isProblem(t, await client.round(id, 0, body), status, code, name)
    t.match((await client.own('GET', `v2/inferences/${id}`)).json, { state: 'refresh', round: 0 }, name)
  }
  const second = await client.round(id, 0, good)
  t.equal(second.status, 200)
  const last = await client.answer(second)
  t.ok(largestError(await client.model.decrypt(last.frame)) < CLOSE, 'the result is correct')
})

t.test('the inference of a client that disconnects ends, and the engine serves others', async (t) => {
  const { client } = await session(t, {
    roundTimeoutSeconds: 3,
    inferencesPerWorker: 1,
    queue: 1,
  })
  const first = await client.begin()
  let isServed = false
  const waiting = client.classify().finally(() => {
    isServed = true
  })
  const metrics = async () => (await client.request('GET', 'metrics')).bytes.toString()
  while (!isServed && !/inferences_waiting 1/.test(await metrics())) await sleep(20)
  t.notOk(isServed, 'the second inference waits for the first one')
  const busy = await client.begin()
  isProblem(t, busy, 503, 'TOO_BUSY', 'there is no room in the queue')
  t.ok((await waiting) < CLOSE, 'the waiting client is served')
  const answer = await client.model.refresh(0, first.frame)
  isProblem(t, await client.round(first.json.id, 0, answer), 404, 'INFERENCE_UNKNOWN')
  t.match((await client.own('GET', `v2/inferences/${first.json.id}`)).json, {
    state: 'cancelled',
    round: 0,
  })
  t.ok((await client.classify()) < CLOSE)
  const second = await client.answer(await client.begin())
  t.match(second.json, { parameters: { round: 1 } })
  t.ok((await client.classify()) < CLOSE, 'after a client disconnected in the last round')
})

t.test(
  'queries that are cancelled while they wait for one of the same keys leave their places',
  async (t) => {
    const { server, client } = await session(t, {
      inferencesPerWorker: 4,
      maxInferencesPerAddress: 4,
      queue: 2,
    })
    const held = await client.begin()
    for (let i = 0; i < 8; i++) {
      const gone = new AbortController()
      const begun = client.begin(`gone-${i}`, gone.signal)
      const state = () => client.own('GET', `v2/inferences/gone-${i}`)
      while ((await state()).status === 404) await sleep(1)
      gone.abort()
      await t.rejects(begun)
    }
    const other = await StepClient.create(server.url)
    t.ok((await other.classify()) < CLOSE, 'another client is served')
    t.match((await client.own('GET', `v2/inferences/${held.json.id}`)).json, { state: 'refresh' })
    t.ok((await client.finish(held)) < CLOSE, 'and the first one goes on')
  },
)

t.test('the inference of a client that asks and never replies ends after its time limit', async (t) => {
  const { client } = await session(t, { roundTimeoutSeconds: 60, maxInferenceMinutes: 2 / 60 })
  const first = await client.begin()
  const asked = performance.now()
  const asks = () => client.output(first.json.id, 0)
  let answer = await asks()
  while (answer.status === 200 && performance.now() - asked < 60_000) {
    await sleep(50)
    answer = await asks()
  }
  isProblem(t, answer, 404, 'INFERENCE_UNKNOWN')
  t.match((await client.own('GET', `v2/inferences/${first.json.id}`)).json, { state: 'cancelled' })
})

t.test('the server waits for a slow upload', async (t) => {
  // The timeout is long enough for a busy machine to begin a reply, and shorter than the upload.
  const { client } = await session(t, { roundTimeoutSeconds: 3 })
  const first = await client.begin()
  const body = await client.model.refresh(0, first.frame)
  let sent = 0
  const slowly = new ReadableStream({
    async pull(controller) {
      await sleep(1000)
      const part = body.subarray(sent, sent + Math.ceil(body.length / 4))
      sent += part.length
      controller.enqueue(part)
      if (sent === body.length) controller.close()
    },
  })
  const second = await client.round(first.json.id, 0, slowly)
  t.equal(second.status, 200)
  t.equal((await client.answer(second)).status, 200)
})

t.test('an inference can be cancelled at any time', async (t) => {
  const { client } = await session(t)
  for (const rounds of [0, 1]) {
    let said = await client.begin()
    for (let round = 0; round < rounds; round++) said = await client.answer(said)
    const { id } = said.json
    t.equal((await client.own('DELETE', `v2/inferences/${id}`)).status, 204)
    isProblem(t, await client.answer(said), 404, 'INFERENCE_UNKNOWN')
  }
  const left = new AbortController()
  const begun = client.begin('left', left.signal)
  while ((await client.own('GET', 'v2/inferences/left')).status === 404) await sleep(1)
  left.abort()
  await t.rejects(begun)
  const state = () => client.own('GET', 'v2/inferences/left').then(({ json }) => json.state)
  while ((await state()) !== 'cancelled') await sleep(10)
  t.ok((await client.classify()) < CLOSE)
})

t.test('a server that closes begins no inference whose client cannot reply any more', async (t) => {
  const { server, client } = await session(t, { inferencesPerWorker: 1, roundTimeoutSeconds: 600 })
  await client.begin('held')
  const queued = ['one', 'two'].map((id) => client.begin(id).catch(() => {}))
  while (!/inferences_waiting 2/.test((await client.request('GET', 'metrics')).bytes.toString()))
    await sleep(20)
  // The test would time out if an inference waited for its client.
  await server.close()
  await Promise.all(queued)
})

t.test('a closing server ends inferences, and key sets survive its restart', async (t) => {
  const directory = t.testdir()
  const before = await started(t, {}, directory)
  const client = await StepClient.create(before.url)
  const first = await client.begin()
  const port = Number(new URL(before.url).port)
  const idle = createConnection({ port })
  await once(idle, 'connect')
  const begun = performance.now()
  await before.close()
  t.ok(
    performance.now() - begun < 5000,
    'closing waits neither for replies of clients nor for an idle connection',
  )
  await started(t, { port }, directory)
  isProblem(t, await client.answer(first), 404, 'INFERENCE_UNKNOWN')
  t.ok((await client.classify()) < CLOSE, 'the client starts again with the keys that the server still has')
})
