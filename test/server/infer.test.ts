import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { PolyVeilError } from '../../src/errors/index.ts'
import { ModelCatalogue, servedModel } from '../../src/server/models/catalogue.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import {
  announce,
  harness,
  isProblem,
  model,
  patterned,
  query,
  splitAnswer,
  untilCancelled,
  uploadKeys,
  watch,
} from './support.ts'

t.test('the engine gets the encrypted image, and its answer comes back in binary form', async (t) => {
  const h = await harness(t)
  const id = await uploadKeys(h)
  const answer = await h.inject(query(id))
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['content-type'], 'application/octet-stream')
  const { json, frame } = splitAnswer(answer)
  const sent = patterned(model.queryBytes)
  t.same(frame, sent.slice(0, 100).reverse())
  t.match(json, {
    model_name: 'small',
    model_version: '1',
    id: /^[0-9a-f-]{36}$/,
    outputs: [{ name: 'logits', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 100 } }],
  })
  const [job] = h.engine.jobs
  t.equal(job.model, model)
  t.equal(job.frame.length, model.queryBytes)
  t.same(Buffer.from(job.frame).equals(sent), true)
  t.equal(
    job.frame.buffer.byteLength,
    model.queryBytes,
    'the frame has a buffer of its own, which can be transferred',
  )
  t.notMatch(job.keys.name, id)
})

t.test('the client may choose the id, and reuse it after the end', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  for (let i = 0; i < 2; i++) {
    const answer = await h.inject(query(keys, { header: { id: 'my_Inference-1' } }))
    t.equal(splitAnswer(answer).json.id, 'my_Inference-1')
  }
  t.match((await h.inject(watch('my_Inference-1', keys))).json(), {
    model: 'small',
    state: 'done',
  })
  for (const id of ['', 'a b', 'x'.repeat(65), 'ä', 7]) {
    isProblem(t, await h.inject(query(keys, { header: { id } })), 400, 'CONFIG_INVALID', { field: 'id' })
  }
})

t.test('unknown and incomplete key sets are refused', async (t) => {
  const h = await harness(t)
  isProblem(t, await h.inject(query('nobody')), 410, 'KEYS_EXPIRED')
  const { id } = (await announce(h)).json()
  isProblem(t, await h.inject(query(id)), 409, 'KEYS_MISSING', { uploadOffset: 0 })
  const complete = await uploadKeys(h)
  h.clock.now += 3_600_000
  isProblem(t, await h.inject(query(complete)), 410, 'KEYS_EXPIRED')
  t.equal(h.engine.jobs.length, 0)
})

t.test('keys that lack Galois elements are refused', async (t) => {
  const more = smallCircuit()
  const rotation = { ...more.ops[2], steps: 11 } as (typeof more.ops)[number]
  const turned = { ...more, model: 'turned', ops: more.ops.with(2, rotation) }
  const other = servedModel(turned, 'turned.pvc')
  const h = await harness(t, { models: new ModelCatalogue([model, other]) })
  const id = await uploadKeys(h)
  const request = query(id, {
    model: 'turned',
    header: { parameters: { key_set: id, manifest_digest: other.manifest.digest } },
  })
  const missing = 5 ** 11 % 16384
  isProblem(t, await h.inject(request), 422, 'KEYS_MISSING', { galoisElements: [missing] })
})

t.test('malformed bodies are refused', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const length = (value: string) => query(keys, { headers: { 'inference-header-content-length': value } })
  const field = { field: 'headers.inference-header-content-length' }
  for (const value of ['-1', 'abc', '0', '65537', '1.5']) {
    isProblem(t, await h.inject(length(value)), 400, 'CONFIG_INVALID', field)
  }
  const { headers, ...bare } = query(keys)
  isProblem(
    t,
    await h.inject({ ...bare, headers: { 'content-type': 'application/octet-stream' } }),
    400,
    'CONFIG_INVALID',
    field,
  )
  isProblem(t, await h.inject(length('10')), 400, 'CONFIG_INVALID')
  isProblem(t, await h.inject({ ...bare, headers, payload: Buffer.from('{"a":') }), 400, 'TENSOR_MALFORMED')
  isProblem(t, await h.inject({ ...bare, headers, payload: undefined }), 400, 'TENSOR_MALFORMED')
  const json = { ...headers, 'content-type': 'application/json' }
  isProblem(t, await h.inject({ ...bare, headers: json, payload: '{}' }), 415, 'CONFIG_INVALID', {
    accepted: 'application/octet-stream',
  })

  const wrong = (header: object) => h.inject(query(keys, { header }))
  isProblem(t, await wrong({ inputs: [] }), 400, 'CONFIG_INVALID')
  isProblem(t, await wrong({ parameters: { key_set: keys } }), 400, 'CONFIG_INVALID', {
    field: 'parameters.manifest_digest',
  })
  const input = { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: 12 } }
  isProblem(t, await wrong({ inputs: [input] }), 400, 'TENSOR_MALFORMED', { expectedBytes: 12 })
  isProblem(t, await wrong({ inputs: [{ ...input, datatype: 'FP32' }] }), 400, 'CONFIG_INVALID', {
    field: 'inputs.0.datatype',
  })
  isProblem(
    t,
    await wrong({ parameters: { key_set: keys, manifest_digest: 'f'.repeat(64) } }),
    409,
    'PARAMETERS_MISMATCH',
    {
      served: model.manifest.digest,
    },
  )
  t.equal(h.engine.jobs.length, 0)
  t.equal((await h.inject(query(keys))).statusCode, 200, 'the server still serves')
})

t.test('frames of another size are refused', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const sized = (bytes: number) => h.inject(query(keys, { frame: patterned(bytes) }))
  const expected = { expectedBytes: model.queryBytes }
  isProblem(t, await sized(model.queryBytes - 1), 400, 'TENSOR_MALFORMED', expected)
  isProblem(t, await sized(0), 400, 'TENSOR_MALFORMED', expected)
  isProblem(t, await sized(model.queryBytes + 1), 413, 'TOO_LARGE', expected)
  isProblem(t, await sized(model.queryBytes + 65_537), 413, 'TOO_LARGE', {
    maxBytes: model.queryBytes + 65_536,
  })
  isProblem(t, await h.inject(query(keys, { model: 'none' })), 404, 'MODEL_UNKNOWN')
})

t.test('the client gets the code of an engine error, and the server continues', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const cases: [Error, number, string][] = [
    [new PolyVeilError('TENSOR_MALFORMED', 'A residue is not below its prime'), 400, 'TENSOR_MALFORMED'],
    [new PolyVeilError('WORKER_LOST', 'Gone'), 503, 'WORKER_LOST'],
    [new PolyVeilError('TOO_BUSY', 'Full', { retryAfter: 9 }), 503, 'TOO_BUSY'],
    [new PolyVeilError('INTERNAL', 'SEAL: the secret of the heap'), 500, 'INTERNAL'],
    [new TypeError('undefined is the secret of a bug'), 500, 'INTERNAL'],
  ]
  for (const [error, status, code] of cases) {
    h.engine.work = () => Promise.reject(error)
    const answer = await h.inject(query(keys, { header: { id: 'fault' } }))
    isProblem(t, answer, status, code)
    t.notMatch(answer.body, 'secret of')
    t.equal(answer.headers['retry-after'] !== undefined, status === 503)
    t.match((await h.inject(watch('fault', keys))).json(), { state: 'failed' })
  }
  t.match(h.log(), 'secret of a bug')
  h.engine.work = async ({ frame }) => frame.slice(0, 5)
  t.equal((await h.inject(query(keys))).statusCode, 200)
})

t.test('an inference can be watched and cancelled; its id cannot be used twice', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  h.engine.work = untilCancelled
  const running = h.inject(query(keys, { header: { id: 'long' } }))
  while (h.engine.jobs.length === 0) await sleep(1)
  t.match((await h.inject(watch('long', keys))).json(), { state: 'waiting', done: 0, total: 0 })
  h.engine.jobs[0].onProgress(3, 7)
  t.match((await h.inject(watch('long', keys))).json(), { state: 'running', done: 3, total: 7 })
  isProblem(t, await h.inject(query(keys, { header: { id: 'long' } })), 409, 'CONFIG_INVALID', { id: 'long' })
  t.equal((await h.inject({ ...watch('long', keys), method: 'DELETE' })).statusCode, 204)
  isProblem(t, await running, 409, 'INFERENCE_UNKNOWN', { id: 'long' })
  t.match((await h.inject(watch('long', keys))).json(), { state: 'cancelled', done: 3 })
  for (const method of ['GET', 'DELETE'] as const) {
    isProblem(t, await h.inject({ ...watch('none', keys), method }), 404, 'INFERENCE_UNKNOWN')
  }
  isProblem(t, await h.inject(watch('none/events', keys)), 404, 'INFERENCE_UNKNOWN')
})

t.test('server-sent events report progress and then the end', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const finish = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => finish.promise
  const running = h.inject(query(keys, { header: { id: 'seen' } }))
  while (h.engine.jobs.length === 0) await sleep(1)
  const watching = h.inject(watch('seen/events', keys))
  for (let done = 1; done <= 3; done++) {
    await sleep(200)
    h.engine.jobs[0].onProgress(done, 3)
  }
  await sleep(200)
  finish.resolve(new Uint8Array(8))
  const answer = await watching
  t.equal((await running).statusCode, 200)
  t.match(answer.headers['content-type'], /^text\/event-stream/)
  const events = answer.body
    .trim()
    .split('\n\n')
    .map((event) => /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [])
    .map(([, name, data]) => [name, JSON.parse(data).state, JSON.parse(data).done])
  t.same(events, [
    ['progress', 'waiting', 0],
    ['progress', 'running', 1],
    ['progress', 'running', 2],
    ['progress', 'running', 3],
    ['end', 'done', 3],
  ])
  const late = await h.inject(watch('seen/events', keys))
  t.match(late.body, /^event: end\n/, 'a late listener gets the end at once')
})

t.test('the inference of a client that disconnects is cancelled', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  h.engine.work = untilCancelled
  const url = await h.app.listen({ port: 0, host: '127.0.0.1' })
  const { payload, headers } = query(keys, { header: { id: 'left' } })
  const client = new AbortController()
  const request = fetch(`${url}/v2/models/small/infer`, {
    method: 'POST',
    headers: headers as Record<string, string>,
    body: payload as Buffer<ArrayBuffer>,
    signal: client.signal,
  })
  while (h.engine.jobs.length === 0) await sleep(5)
  client.abort()
  await t.rejects(request)
  while (!h.engine.jobs[0].signal.aborted) await sleep(5)
  t.match((await h.inject(watch('left', keys))).json(), { state: 'cancelled' })
})
