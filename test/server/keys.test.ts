import t, { type Test } from 'tap'
import { PolyVeilError } from '../../src/errors/index.ts'
import { countedAddress, countedNetwork } from '../../src/server/addresses/client-address.ts'
import { ModelCatalogue, servedModel } from '../../src/server/models/catalogue.ts'
import { keySetBytes } from '../../src/wire/index.ts'
import { parameters } from '../circuit/circuits.ts'
import { smallSimdCircuit } from '../he-ops/simd/circuits.ts'
import {
  announce,
  elements,
  type Harness,
  harness,
  isProblem,
  keyBytes,
  patterned,
  putPart,
  query,
  uploadKeys,
} from './support.ts'

const bytes = patterned(keyBytes)
const get = (h: Harness, id: string) => h.inject({ url: `/v2/keys/${id}` })

async function announced(h: Harness): Promise<string> {
  return (await announce(h)).json().id
}

t.test('a key set is announced, uploaded in parts, checked once, read and deleted', async (t) => {
  const h = await harness(t)
  const created = await announce(h)
  t.equal(created.statusCode, 201)
  const { id } = created.json()
  t.equal(created.headers.location, `/v2/keys/${id}`)
  t.same(created.json(), { id, uploadOffset: 0, bytes: keyBytes, expires: '2030-01-01T00:05:00.000Z' })
  t.ok(Buffer.from(id, 'base64url').length >= 32, 'the id cannot be guessed')

  const half = 1_000_003
  const first = (await putPart(h, id, 0, bytes.subarray(0, half))).json()
  t.match(first, { id, uploadOffset: half, bytes: keyBytes, complete: false })
  t.notOk('digest' in first)
  t.equal(h.engine.checked, 0)
  const last = (await putPart(h, id, half, bytes.subarray(half))).json()
  t.match(last, { uploadOffset: keyBytes, complete: true, digest: 'd'.repeat(64) })
  t.equal(last.expires, '2030-01-01T01:00:00.000Z', 'it lives longer now')
  t.equal(h.engine.checked, 1)
  t.same(
    ((await h.keys.location(id)).location as { bytes: Uint8Array }).bytes,
    Buffer.from(bytes),
    'what was sent is what is stored',
  )

  t.match((await get(h, id)).json(), {
    id,
    parametersDigest: parameters.digest,
    galoisElements: elements,
    uploadOffset: keyBytes,
    complete: true,
  })
  t.equal((await h.inject({ method: 'DELETE', url: `/v2/keys/${id}` })).statusCode, 204)
  isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED')
  isProblem(t, await h.inject({ method: 'DELETE', url: `/v2/keys/${id}` }), 410, 'KEYS_EXPIRED')
})

t.test(
  'a key set that has no room in an empty store is too large, and is not told to come again',
  async (t) => {
    for (const limits of [
      { maxTotalBytes: keyBytes - 1 },
      { maxTotalBytes: keyBytes, maxBytesPerOwner: keyBytes - 1 },
    ]) {
      const h = await harness(t, { limits })
      isProblem(t, await announce(h), 413, 'TOO_LARGE')
    }
    const h = await harness(t, { limits: { maxTotalBytes: keyBytes, maxBytesPerOwner: keyBytes } })
    t.equal((await announce(h)).statusCode, 201)
  },
)

t.test('keys that no served model has the memory for are refused before they are uploaded', async (t) => {
  const simd = servedModel(smallSimdCircuit(), 'simd.pvc')
  const { memoryBytes } = simd
  const galoisElements = [...simd.manifest.galoisElements].sort((a, b) => a - b)
  const parametersDigest = simd.parameters.digest
  const body = { galoisElements, parametersDigest, bytes: keySetBytes(simd.parameters, galoisElements) }
  const larger = { ...simd, name: 'larger', memoryBytes: memoryBytes + 1 }
  for (const [laneBytes, models, status] of [
    [memoryBytes - 1, [simd, larger], 507],
    [memoryBytes, [simd, larger], 201],
    [memoryBytes, [larger], 507],
  ] as const) {
    const h = await harness(t, { scheduling: { laneBytes }, models: new ModelCatalogue(models) })
    const answer = await announce(h, body)
    t.equal(answer.statusCode, status)
    if (status === 507) isProblem(t, answer, 507, 'TOO_LARGE', { limitBytes: laneBytes })
    t.equal((await h.keys.totals()).sets, status === 201 ? 1 : 0)
  }
  const seal = await harness(t, { scheduling: { laneBytes: 1 } })
  t.equal((await announce(seal)).statusCode, 201, 'the engine seal has no limit')
})

t.test('announcements that cannot be', async (t) => {
  const h = await harness(t, { limits: { maxSetBytes: keyBytes, maxSets: 2 } })
  isProblem(t, await announce(h, { bytes: keyBytes - 1 }), 400, 'TENSOR_MALFORMED', {
    expectedBytes: keyBytes,
  })
  isProblem(t, await announce(h, { parametersDigest: '0'.repeat(64) }), 409, 'PARAMETERS_MISMATCH', {
    served: [parameters.digest],
  })
  isProblem(t, await announce(h, { galoisElements: [4] }), 422, 'CONFIG_INVALID', { element: 4 })
  isProblem(t, await announce(h, { galoisElements: [9, 9] }), 422, 'CONFIG_INVALID', { element: 9 })
  isProblem(t, await announce(h, { bytes: 'many' }), 400, 'CONFIG_INVALID', { field: 'body.bytes' })
  isProblem(t, await announce(h, { more: 1 }), 400, 'CONFIG_INVALID')
  isProblem(t, await h.inject({ method: 'POST', url: '/v2/keys' }), 400, 'CONFIG_INVALID')
  const nonsense = {
    method: 'POST',
    url: '/v2/keys',
    headers: { 'content-type': 'application/json' },
  } as const
  isProblem(t, await h.inject({ ...nonsense, payload: '{"bytes":' }), 400, 'CONFIG_INVALID')
  isProblem(t, await h.inject({ ...nonsense, payload: `"${'x'.repeat(300_000)}"` }), 413, 'TOO_LARGE')
  const text = {
    method: 'POST',
    url: '/v2/keys',
    headers: { 'content-type': 'text/plain' },
    payload: 'hi',
  } as const
  isProblem(t, await h.inject(text), 415, 'CONFIG_INVALID')
  t.equal((await h.keys.totals()).sets, 0)

  await t.test('no room', async (t) => {
    const more = [...new Set([...elements, 5, 25])].sort((a, b) => a - b)
    const larger = await announce(h, { galoisElements: more, bytes: keySetBytes(parameters, more) })
    isProblem(t, larger, 413, 'TOO_LARGE', { maxBytes: keyBytes })
    t.equal((await announce(h)).statusCode, 201)
    t.equal((await announce(h)).statusCode, 201)
    const full = await announce(h)
    isProblem(t, full, 503, 'TOO_BUSY')
    t.equal(full.headers['retry-after'], '60')
    h.clock.now += 300_000
    await h.keys.sweep()
    t.equal((await announce(h)).statusCode, 201, 'expiry makes room')
  })
})

t.test('an upload resumes where it broke off', async (t) => {
  const h = await harness(t)
  const id = await announced(h)
  await putPart(h, id, 0, bytes.subarray(0, 500_000))
  for (const offset of [0, 499_999, 500_001]) {
    const answer = await putPart(h, id, offset, bytes.subarray(offset, offset + 10))
    isProblem(t, answer, 409, 'TENSOR_MALFORMED', { uploadOffset: 500_000 })
  }
  t.equal((await get(h, id)).json().uploadOffset, 500_000)
  t.equal((await putPart(h, id, 500_000, bytes.subarray(500_000))).json().complete, true)
  t.equal(
    (await putPart(h, id, keyBytes, new Uint8Array())).json().complete,
    true,
    'an empty part says the same again',
  )
  t.equal(h.engine.checked, 1)
})

t.test('parts that do not fit leave the upload where it was', async (t) => {
  const h = await harness(t)
  const id = await announced(h)
  await putPart(h, id, 0, bytes.subarray(0, 1000))
  const long = new Uint8Array(keyBytes - 999)
  isProblem(t, await putPart(h, id, 1000, long), 413, 'TOO_LARGE', { maxBytes: keyBytes - 1000 })
  for (const offset of ['-1', '1e3', '0x10', '01', '']) {
    const headers = { 'content-type': 'application/octet-stream', 'upload-offset': offset }
    const answer = await h.inject({ method: 'PUT', url: `/v2/keys/${id}`, headers, payload: Buffer.alloc(3) })
    isProblem(t, answer, 400, 'CONFIG_INVALID', { field: 'headers.upload-offset' })
  }
  const json = {
    method: 'PUT',
    url: `/v2/keys/${id}`,
    headers: { 'upload-offset': '1000' },
    payload: { a: 1 },
  } as const
  isProblem(t, await h.inject(json), 415, 'CONFIG_INVALID', { accepted: 'application/octet-stream' })
  t.equal((await putPart(h, id, 1000, bytes.subarray(1000))).json().complete, true)
  t.same(((await h.keys.location(id)).location as { bytes: Uint8Array }).bytes, Buffer.from(bytes))
})

t.test('two parts at a time: one wins, the other learns where to go on', async (t) => {
  const h = await harness(t)
  const id = await announced(h)
  const answers = await Promise.all([1, 2, 3].map((seed) => putPart(h, id, 0, patterned(70_000, seed))))
  t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 409, 409])
  t.equal((await get(h, id)).json().uploadOffset, 70_000)
  const other = await announced(h)
  const both = await Promise.all([
    putPart(h, id, 70_000, bytes.subarray(70_000)),
    putPart(h, other, 0, bytes),
  ])
  t.same(
    both.map((answer) => answer.json().complete),
    [true, true],
    'different key sets do not wait for each other',
  )
})

t.test('a bad key set is deleted, a check that could not be made is made again', async (t) => {
  const bad = (
    t: Test,
    error: Error | { galoisElements: number[]; digest: string },
    status: number,
    code: string,
  ) =>
    t.test(code, async (t) => {
      const h = await harness(t)
      h.engine.checks.push(error)
      const id = await announced(h)
      isProblem(t, await putPart(h, id, 0, bytes), status, code)
      isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED')
      t.equal((await h.keys.totals()).sets, 0)
      t.ok(await uploadKeys(h), 'still serving')
    })
  await bad(
    t,
    new PolyVeilError('TENSOR_MALFORMED', 'A residue is not below its prime'),
    400,
    'TENSOR_MALFORMED',
  )
  await bad(t, new PolyVeilError('PARAMETERS_MISMATCH', 'Other parameters'), 409, 'PARAMETERS_MISMATCH')
  await bad(t, { galoisElements: [5], digest: 'e'.repeat(64) }, 400, 'TENSOR_MALFORMED')

  const h = await harness(t)
  h.engine.checks.push(new PolyVeilError('WORKER_LOST', 'Gone'), new PolyVeilError('TOO_BUSY', 'Full'))
  const id = await announced(h)
  const lost = await putPart(h, id, 0, bytes)
  isProblem(t, lost, 503, 'WORKER_LOST')
  t.ok(Number(lost.headers['retry-after']) > 0)
  t.match((await get(h, id)).json(), { uploadOffset: keyBytes, complete: false })
  isProblem(t, await putPart(h, id, keyBytes, new Uint8Array()), 503, 'TOO_BUSY')
  t.equal((await putPart(h, id, keyBytes, new Uint8Array())).json().complete, true)
})

t.test('expiry', async (t) => {
  const h = await harness(t)
  const id = await uploadKeys(h)
  h.clock.now += 3_599_999
  t.equal((await get(h, id)).statusCode, 200)
  h.clock.now += 1
  isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED')
  isProblem(t, await putPart(h, id, 0, bytes), 410, 'KEYS_EXPIRED')
  isProblem(t, await get(h, 'never-was'), 410, 'KEYS_EXPIRED')
})

t.test('the id goes in a header, so that no path has it', async (t) => {
  const h = await harness(t)
  const id = await announced(h)
  const named = (method: 'GET' | 'PUT' | 'DELETE', more: object = {}, payload?: Buffer) =>
    h.inject({ method, url: '/v2/keys', headers: { 'polyveil-key-set': id, ...more }, payload })
  const part = { 'content-type': 'application/octet-stream', 'upload-offset': '0' }
  t.match((await named('PUT', part, Buffer.from(bytes))).json(), { id, complete: true })
  t.match((await named('GET')).json(), { id, galoisElements: elements, complete: true })
  t.equal((await named('DELETE')).statusCode, 204)
  isProblem(t, await named('GET'), 410, 'KEYS_EXPIRED')
  for (const method of ['GET', 'PUT', 'DELETE'] as const) {
    const field = { field: 'headers.polyveil-key-set' }
    const headers = { ...part, 'polyveil-key-set': '' }
    isProblem(t, await h.inject({ method, url: '/v2/keys', headers }), 400, 'CONFIG_INVALID', field)
    isProblem(t, await h.inject({ method, url: '/v2/keys', headers: part }), 400, 'CONFIG_INVALID', field)
  }
})

t.test('an id that never was, one that expired and one that was deleted are answered alike', async (t) => {
  const h = await harness(t)
  const deleted = await uploadKeys(h)
  await h.keys.delete(deleted)
  const expired = await announced(h)
  h.clock.now += 300_000
  const ask = async (id: string) => {
    const answer = await h.inject({ url: '/v2/keys', headers: { 'polyveil-key-set': id } })
    const { requestId, ...problem } = answer.json()
    return { status: answer.statusCode, problem }
  }
  const never = await ask('x'.repeat(43))
  t.equal(never.status, 410)
  t.strictSame(await ask(deleted), never)
  t.strictSame(await ask(expired), never)
})

t.test(
  '64 announcements without a byte do not lock out other clients, and expire after minutes',
  async (t) => {
    const h = await harness(t, { limits: { maxSets: 64, maxTotalBytes: 64 * keyBytes } })
    const answers: number[] = []
    for (let i = 0; i < 64; i++) answers.push((await announce(h, {}, '203.0.113.7')).statusCode)
    t.same([answers.filter((status) => status === 201).length, answers.at(-1)], [4, 503])
    const refused = await announce(h, {}, '203.0.113.7')
    isProblem(t, refused, 503, 'TOO_BUSY', { maxUploadsPerAddress: 4 })
    t.equal(refused.headers['retry-after'], '10')
    t.ok(await uploadKeys(h, '203.0.113.8'), 'another address uploads')
    h.clock.now += 300_000
    await h.keys.sweep()
    t.equal((await h.keys.totals()).sets, 1)
    t.match(h.log(), /"reason":"upload given up"/)
  },
)

t.test('each part keeps an upload alive, and nothing else does', async (t) => {
  const h = await harness(t)
  const id = await announced(h)
  h.clock.now += 299_999
  await putPart(h, id, 0, bytes.subarray(0, 10))
  h.clock.now += 299_999
  t.equal((await putPart(h, id, 10, new Uint8Array())).statusCode, 200, 'an empty part')
  await h.keys.sweep()
  t.equal((await get(h, id)).statusCode, 200)
  h.clock.now += 1
  isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED')
})

t.test('a byte every few minutes does not keep an upload alive', async (t) => {
  const h = await harness(t)
  const id = await announced(h)
  let alive = 0
  for (let sent = 0; sent < 20; sent++, alive++) {
    h.clock.now += 240_000
    if ((await putPart(h, id, sent, bytes.subarray(sent, sent + 1))).statusCode !== 200) break
  }
  t.equal(alive, 2, 'it ends ten minutes after it was announced')
  isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED')
})

t.test("the least recently used of an address's own sets makes room, and never another's", async (t) => {
  const h = await harness(t, { limits: { maxSets: 64, maxTotalBytes: 64 * keyBytes, maxSetsPerOwner: 3 } })
  const other = await uploadKeys(h, '203.0.113.8')
  const ids: string[] = []
  for (let i = 0; i < 3; i++) {
    h.clock.now += 1000
    ids.push(await uploadKeys(h, '203.0.113.7'))
  }
  h.clock.now += 1000
  t.equal((await h.inject(query(ids[0]))).statusCode, 200, 'the oldest is used')
  h.clock.now += 1000
  t.equal((await announce(h, {}, '203.0.113.7')).statusCode, 201)
  t.equal((await get(h, ids[1])).statusCode, 200, 'an announcement costs nobody anything')
  const latest = await uploadKeys(h, '203.0.113.7')
  const states = await Promise.all([other, ...ids, latest].map((id) => get(h, id)))
  t.same(
    states.map(({ statusCode }) => statusCode),
    [200, 200, 410, 200, 200],
  )
  t.match(h.log(), /"reason":"made room for its owner"/)
})

t.test('by its bytes, too', async (t) => {
  const h = await harness(t, { limits: { maxTotalBytes: 10 * keyBytes, maxBytesPerOwner: 2 * keyBytes - 1 } })
  const first = await uploadKeys(h)
  h.clock.now += 1000
  const second = await uploadKeys(h)
  isProblem(t, await get(h, first), 410, 'KEYS_EXPIRED')
  t.equal((await get(h, second)).statusCode, 200)
})

t.test('in a full store only an address’s own sets make room for it', async (t) => {
  const h = await harness(t, { limits: { maxSets: 2 } })
  const first = await uploadKeys(h, '203.0.113.7')
  const second = await uploadKeys(h, '203.0.113.7')
  const full = await announce(h, {}, '203.0.113.8')
  isProblem(t, full, 503, 'TOO_BUSY')
  t.equal(full.headers['retry-after'], '60')
  t.equal((await get(h, first)).statusCode, 200)
  h.clock.now += 1000
  await h.inject(query(first))
  t.equal((await announce(h, {}, '203.0.113.7')).statusCode, 201)
  isProblem(t, await get(h, second), 410, 'KEYS_EXPIRED')
  t.equal((await get(h, first)).statusCode, 200)
  t.equal((await h.keys.totals()).sets, 2)
})

t.test('a network of IPv6 that one host has is one address', async (t) => {
  t.equal(countedAddress('203.0.113.7'), '203.0.113.7')
  t.equal(countedAddress('::ffff:203.0.113.7'), '203.0.113.7')
  t.equal(countedAddress('::ffff:cb00:7107'), '203.0.113.7')
  t.equal(countedAddress('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(countedAddress('2001:db8:1:2::6'), '2001:db8:1:2::/64')
  t.equal(countedAddress('2001:0DB8::0001'), '2001:db8:0:0::/64')
  t.equal(countedAddress('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(countedAddress('::1'), '0:0:0:0::/64')
  t.equal(countedAddress('no address'), 'no address')
  t.equal(countedAddress('203.0.113.7:5678'), '203.0.113.7', 'a port is another with each connection')
  t.equal(countedAddress('[2001:db8:1:2::6]:5678'), '2001:db8:1:2::/64')
  t.equal(countedAddress('[2001:db8:1:2::6]'), '2001:db8:1:2::/64')
  t.equal(countedAddress('unknown:5678'), 'unknown:5678')
  const h = await harness(t, { limits: { maxSets: 64, maxTotalBytes: 64 * keyBytes } })
  for (let host = 1; host <= 5; host++) {
    const { statusCode } = await announce(h, {}, `2001:db8:1:2::${host}`)
    t.equal(statusCode, host <= 4 ? 201 : 503)
  }
})

t.test('a household with many networks of IPv6 leaves room for others', async (t) => {
  t.equal(countedNetwork('2001:db8:1:2::6'), '2001:db8:1::/48')
  t.equal(countedNetwork('203.0.113.7:5678'), '203.0.113.7')
  const h = await harness(t, { limits: { maxSets: 64, maxTotalBytes: 64 * keyBytes } })
  let taken = 0
  for (let network = 0; network < 20; network++) {
    const { statusCode } = await announce(h, {}, `2001:db8:1:${network}::1`)
    if (statusCode === 201) taken++
  }
  t.equal(taken, 16)
  t.equal((await announce(h, {}, '2001:db8:2::1')).statusCode, 201)
})

t.test('complete key sets of such a household leave room for others, too', async (t) => {
  const limits = { maxSets: 8, maxTotalBytes: 100 * keyBytes, maxSetsPerOwner: 2 }
  const h = await harness(t, { limits })
  for (let network = 0; network < 3; network++) {
    for (let set = 0; set < 2; set++) {
      h.clock.now += 1000
      t.ok(await uploadKeys(h, `2001:db8:1:${network}::1`))
    }
  }
  const refused = await announce(h, {}, '2001:db8:1:3::1')
  isProblem(t, refused, 503, 'TOO_BUSY')
  t.match(refused.json().detail, /network of this address/)
  t.ok(await uploadKeys(h, '2001:db8:1:0::1'), 'an address replaces its own')
  t.equal((await h.keys.totals()).sets, 6)
  t.ok(await uploadKeys(h, '2001:db8:2::1'), 'another network')
})

t.test('by bytes, too; and an address may have its own limit', async (t) => {
  const limits = { maxSets: 64, maxTotalBytes: 4 * keyBytes, maxBytesPerOwner: 2 * keyBytes }
  const h = await harness(t, { limits })
  for (let network = 0; network < 3; network++) t.ok(await uploadKeys(h, `2001:db8:1:${network}::1`))
  isProblem(t, await announce(h, {}, '2001:db8:1:3::1'), 503, 'TOO_BUSY')
  t.ok(await uploadKeys(h, '203.0.113.7'))

  const alone = await harness(t, { limits: { maxSets: 4, maxTotalBytes: 8 * keyBytes, maxSetsPerOwner: 4 } })
  for (let set = 0; set < 4; set++) t.ok(await uploadKeys(alone, '203.0.113.7'))
  t.equal((await alone.keys.totals()).sets, 4)
})

t.test('a key set that a worker finds damaged is deleted, and its client uploads it again', async (t) => {
  const h = await harness(t)
  const id = await uploadKeys(h)
  h.engine.work = () =>
    Promise.reject(new PolyVeilError('KEYS_EXPIRED', 'The stored key set is damaged', { isDamaged: true }))
  isProblem(t, await h.inject(query(id)), 410, 'KEYS_EXPIRED')
  h.engine.work = async () => new Uint8Array(8)
  isProblem(t, await h.inject(query(id)), 410, 'KEYS_EXPIRED')
  t.match(h.log(), 'damaged on disk')
  t.equal((await h.inject(query(await uploadKeys(h)))).statusCode, 200)
})
