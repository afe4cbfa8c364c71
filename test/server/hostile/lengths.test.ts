import t, { type Test } from 'tap'
import { decodeTensor, keySetLayout, openKeySet, querySpec } from '../../../src/wire/index.ts'
import { bytesSource } from '../../../src/wire/source.ts'
import { parameters } from '../../circuit/circuits.ts'
import { announce, harness, isProblem, keyBytes, model, patterned, query, uploadKeys } from '../support.ts'
import { exchange, head, listening, RawClient } from './raw-client.ts'

// Lengths that lie: of bodies, of the JSON in them, of frames and of key sets.

const HUGE = 2 ** 40
/** Far more than the route takes. */
const MOST_SENT = 64 * 2 ** 20
const h = await harness()
const url = await listening(h)
const keys = await uploadKeys(h)
const { payload, headers } = query(keys)
const body = payload as Buffer
const jsonLength = (headers as Record<string, string>)['inference-header-content-length']
const POST = 'POST /v2/models/small/infer'
const KEPT_OPEN = ['Content-Type: application/octet-stream', `Inference-Header-Content-Length: ${jsonLength}`]
const FIELDS = [...KEPT_OPEN, 'Connection: close']

async function stillServes(t: Test): Promise<void> {
  t.equal((await h.inject(query(keys))).statusCode, 200, 'a good query is answered')
  h.engine.jobs.length = 0
  t.equal((await fetch(`${url}/v2/health/live`)).status, 200)
}

/** Fields about the length of a body, and the bytes after the head. */
const CONTRADICTIONS: [what: string, fields: string[], sent: string, status: number, code: string][] = [
  ['a negative length', ['Content-Length: -1'], '', 400, 'CONFIG_INVALID'],
  ['a length with a sign', ['Content-Length: +5'], 'abcde', 400, 'CONFIG_INVALID'],
  ['a length in hex', ['Content-Length: 0x5'], 'abcde', 400, 'CONFIG_INVALID'],
  ['an empty length', ['Content-Length:'], '', 400, 'CONFIG_INVALID'],
  ['a length beyond 64 bits', [`Content-Length: ${'9'.repeat(30)}`], '', 400, 'CONFIG_INVALID'],
  ['two unlike lengths', ['Content-Length: 5', 'Content-Length: 6'], 'abcdef', 400, 'CONFIG_INVALID'],
  ['two equal lengths', ['Content-Length: 5', 'Content-Length: 5'], 'abcde', 400, 'CONFIG_INVALID'],
  ['a list of lengths', ['Content-Length: 5, 5'], 'abcde', 400, 'CONFIG_INVALID'],
  [
    'a length with chunks',
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    '0\r\n\r\n',
    400,
    'CONFIG_INVALID',
  ],
  [
    'chunks with a length',
    ['Transfer-Encoding: chunked', 'Content-Length: 5'],
    '0\r\n\r\n',
    400,
    'CONFIG_INVALID',
  ],
  ['another coding', ['Transfer-Encoding: gzip'], '', 400, 'CONFIG_INVALID'],
  [
    'chunks that are not the last coding',
    ['Transfer-Encoding: chunked, identity'],
    '',
    400,
    'CONFIG_INVALID',
  ],
  ['a chunk beyond 64 bits', ['Transfer-Encoding: chunked'], `${'F'.repeat(20)}\r\n`, 400, 'CONFIG_INVALID'],
  ['a negative chunk', ['Transfer-Encoding: chunked'], '-1\r\n\r\n', 400, 'CONFIG_INVALID'],
  [
    'a chunk that is longer than it says',
    ['Transfer-Encoding: chunked'],
    '3\r\nabcdef\r\n0\r\n\r\n',
    400,
    'CONFIG_INVALID',
  ],
  ['a length of 2^40', [`Content-Length: ${HUGE}`], '', 413, 'TOO_LARGE'],
]

t.test('bodies whose length contradicts itself are refused, and nothing is computed', async (t: Test) => {
  for (const [what, fields, sent, status, code] of CONTRADICTIONS) {
    await t.test(what, async (t: Test) => {
      const client = await exchange(h, head(POST, ...FIELDS, ...fields), sent)
      t.strictSame(client.statuses, [status], client.received)
      t.equal(client.code, code)
      t.match(client.head, /content-type: application\/problem\+json/)
      t.match(client.head, /x-request-id: [0-9a-f-]{36}/)
    })
  }
  t.equal(h.engine.jobs.length, 0)
  await stillServes(t)
})

t.test('a body that is shorter than its length begins nothing', async (t: Test) => {
  const client = await RawClient.open(h)
  client.write(head(POST, ...FIELDS, `Content-Length: ${body.length + 1000}`))
  client.write(body)
  client.socket.end()
  await client.closed
  t.equal(h.engine.jobs.length, 0)
  t.notOk(client.statuses.includes(200), client.received)
  await stillServes(t)
})

t.test('what follows a body is a request of its own, and never part of the body', async (t: Test) => {
  const client = await RawClient.open(h)
  client.write(head(POST, ...KEPT_OPEN, `Content-Length: ${body.length - 1000}`))
  client.write(body)
  await client.closed
  // Node may meet the bytes that are no request before the first one is answered, and then closes.
  t.match(client.statuses.join(), /^400(,400)?$/)
  t.equal(h.engine.jobs.length, 0)
  await stillServes(t)
})

t.test('an endless body is refused at the limit of the route', async (t: Test) => {
  let sent = 0
  const endless = new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(2 ** 16))
      sent += 2 ** 16
    },
  })
  const answer = await fetch(`${url}/v2/models/small/infer`, {
    method: 'POST',
    headers: headers as Record<string, string>,
    body: endless,
    duplex: 'half',
  } as RequestInit)
  t.equal(answer.status, 413)
  t.match(await answer.json(), { code: 'TOO_LARGE' })
  t.ok(sent < MOST_SENT, `${sent} bytes were sent`)
  t.equal(h.engine.jobs.length, 0)
  await stillServes(t)
})

t.test('lengths of 2^40 within a request are refused', async (t: Test) => {
  const input = { name: 'image', datatype: 'BYTES', shape: [1], parameters: { binary_data_size: HUGE } }
  const claimed = await h.inject(query(keys, { header: { inputs: [input] } }))
  isProblem(t, claimed, 400, 'TENSOR_MALFORMED', { expectedBytes: HUGE })
  const headerLength = query(keys, { headers: { 'inference-header-content-length': String(HUGE) } })
  isProblem(t, await h.inject(headerLength), 400, 'CONFIG_INVALID')
  isProblem(t, await announce(h, { bytes: HUGE }), 400, 'TENSOR_MALFORMED', { expectedBytes: keyBytes })
  const { id } = (await announce(h)).json()
  const put = (offset: number | string) =>
    h.inject({
      method: 'PUT',
      url: '/v2/keys',
      headers: {
        'content-type': 'application/octet-stream',
        'polyveil-key-set': id,
        'upload-offset': String(offset),
      },
      payload: Buffer.alloc(8),
    })
  isProblem(t, await put(HUGE), 400, 'CONFIG_INVALID')
  isProblem(t, await put('-1'), 400, 'CONFIG_INVALID')
  isProblem(t, await put(10 ** 12), 409, 'TENSOR_MALFORMED', { uploadOffset: 0 })
  await stillServes(t)
})

t.test('lengths of 2^40 in headers of frames are refused before they are believed', async (t: Test) => {
  const frame = patterned(model.queryBytes)
  frame.set([0x50, 0x56, 0x57, 0x46, 1, 1, 0, 0])
  const view = new DataView(frame.buffer)
  view.setBigUint64(8, BigInt(HUGE), true)
  frame.set(Buffer.from(model.manifest.digest, 'hex'), 16)
  const spec = querySpec(model.manifest)
  t.throws(() => decodeTensor(parameters, spec, frame), {
    code: 'TENSOR_MALFORMED',
    message: /another length/,
  })
  const set = new Uint8Array(keySetLayout(parameters, 1).totalBytes)
  set.set([0x50, 0x56, 0x57, 0x46, 1, 2, 0, 0])
  set.set(Buffer.from(parameters.digest, 'hex'), 16)
  const count = new DataView(set.buffer)
  for (const elements of [2 ** 32 - 1, 8192, 8191]) {
    count.setUint32(48, elements, true)
    await t.rejects(openKeySet(parameters, bytesSource(set)), { code: 'TENSOR_MALFORMED' }, `${elements}`)
  }
  count.setUint32(48, 1, true)
  count.setBigUint64(8, BigInt(HUGE), true)
  await t.rejects(openKeySet(parameters, bytesSource(set)), { code: 'TENSOR_MALFORMED' })
})
