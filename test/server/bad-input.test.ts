import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../src/circuit/format/file.ts'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { checkParameters, parametersLiteral } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { newFloodingKey } from '../../src/he-ops/flooding.ts'
import { buildApp } from '../../src/server/app.ts'
import { localHost } from '../../src/server/execution/local-host.ts'
import { ModelCatalogue, servedModel } from '../../src/server/models/catalogue.ts'
import { createLogger } from '../../src/server/plugins/logging.ts'
import { ScheduledEngine } from '../../src/server/scheduling/scheduled-engine.ts'
import { openDiskStorage } from '../../src/server/stores/disk-storage.ts'
import { KeyStore } from '../../src/server/stores/key-store.ts'
import { StateDatabase } from '../../src/server/stores/state-database.ts'
import { WorkerPool } from '../../src/server/worker/pool.ts'
import { keySetLayout, tensorBytes } from '../../src/wire/index.ts'
import { numbers } from '../models/support/checkpoint.ts'
import { saturate } from '../wire/fixtures.ts'
import { SealedClient } from './sealed-client.ts'
import { circuit, elements, isProblem, model, query, splitAnswer, UNLIMITED } from './support.ts'

// Malformed requests against the real engine. After each of them the same server answers a good query
// correctly.

const { parameters, manifest } = model

/** The same circuit with parameters of the same sizes, but with another chain of primes. */
function sibling(): Circuit {
  const [, , q2] = nttPrimes(8192, [50, 40, 30, 30, 60])
  const other = nttPrimes(8192, [50, 40, 30, 30, 60])[3]
  if (other === q2) throw new Error('two primes are one')
  const { primes, ...rest } = parametersLiteral(parameters)
  const changed = checkParameters({ ...rest, primes: [primes[0], primes[1], String(other)] })
  return { ...circuit, model: 'sibling', parameters: changed }
}

const directory = t.testdir()
const path = join(directory, 'small.pvc')
await writeFile(path, writeCircuit(circuit))
const other = servedModel(sibling(), join(directory, 'never-read.pvc'), { digest: 'f'.repeat(64) })
const lines: string[] = []
const engine = new ScheduledEngine(
  new WorkerPool({
    workers: 1,
    queue: 8,
    settings: { keyBytes: 2 ** 28, engineBytes: 2 ** 28, threads: 1, floodingKey: newFloodingKey() },
    onFault: (error) => lines.push(String(error)),
  }),
  { ...UNLIMITED, placesPerLane: 1 },
)
const app = await buildApp({
  models: new ModelCatalogue([model, other].map((served) => ({ ...served, path }))),
  keys: await KeyStore.open(
    await openDiskStorage(join(directory, 'keys'), StateDatabase.inMemory().keySets),
    {
      ttlMilliseconds: 3_600_000,
      maxSets: 100,
      maxSetBytes: 1e9,
      maxTotalBytes: 1e9,
    },
  ),
  engine,
  host: localHost(engine),
  security: { requestsPerMinute: 100_000, maxEventLoopDelayMs: 0 },
  logger: createLogger('error', { write: (line) => lines.push(line) }),
})
const client = await SealedClient.create()
t.teardown(async () => {
  await app.close()
  client.delete()
})
const inject = (options: InjectOptions): Promise<LightMyRequestResponse> => app.inject(options)

const keySet = await client.keySet()
const good = client.query()

async function announce(change: object = {}): Promise<LightMyRequestResponse> {
  const payload = {
    parametersDigest: parameters.digest,
    bytes: keySet.length,
    galoisElements: elements,
    ...change,
  }
  return inject({ method: 'POST', url: '/v2/keys', payload })
}

async function upload(bytes: Uint8Array, change: object = {}): Promise<LightMyRequestResponse> {
  const { id } = (await announce({ bytes: bytes.length, ...change })).json()
  const headers = { 'content-type': 'application/octet-stream', 'upload-offset': '0' }
  return inject({ method: 'PUT', url: `/v2/keys/${id}`, headers, payload: Buffer.from(bytes) })
}

const keys: string = (await upload(keySet)).json().id

async function stillServes(t: Test): Promise<void> {
  const answer = await inject(query(keys, { frame: good }))
  t.equal(answer.statusCode, 200, 'the server still serves')
  const error = client.errorOf(splitAnswer(answer).frame)
  t.ok(error < 0.01, `the answer is correct: error ${error}`)
  t.strictSame(lines, [], 'the server logs no fault')
}

/** A frame with changed content and a digest that fits it. */
function forged(frame: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const copy = Uint8Array.from(frame)
  change(copy)
  const digest = createHash('sha256').update(copy.subarray(0, -32)).digest()
  copy.set(digest, copy.length - 32)
  return copy
}

t.test('the server answers a good query', (t) => stillServes(t))

t.test('truncated queries are refused', async (t) => {
  for (const length of [0, 1, 47, 48, 64, good.length >> 1, good.length - 33, good.length - 1]) {
    isProblem(t, await inject(query(keys, { frame: good.subarray(0, length) })), 400, 'TENSOR_MALFORMED')
  }
  const { payload, ...request } = query(keys, { frame: good })
  const cut = (payload as Buffer).subarray(0, -1000)
  isProblem(t, await inject({ ...request, payload: cut }), 400, 'TENSOR_MALFORMED', {
    expectedBytes: good.length,
  })
  await stillServes(t)
})

t.test('a flipped bit anywhere in the frame is refused', async (t) => {
  const next = numbers(7)
  const anywhere = Array.from({ length: 24 }, () => Math.floor(((next() + 1) / 2) * good.length))
  for (const at of [
    0,
    4,
    5,
    6,
    8,
    16,
    47,
    48,
    52,
    54,
    55,
    56,
    63,
    64,
    good.length - 32,
    good.length - 1,
    ...anywhere,
  ]) {
    const frame = Uint8Array.from(good)
    frame[at] ^= 1 << (at % 8)
    const answer = await inject(query(keys, { frame }))
    const code = at >= 16 && at < 48 ? 'PARAMETERS_MISMATCH' : 'TENSOR_MALFORMED'
    t.match(answer.json(), { code }, `byte ${at}`)
    t.equal(answer.statusCode, code === 'TENSOR_MALFORMED' ? 400 : 409)
  }
  await stillServes(t)
})

t.test('a residue above its prime is refused, although the digest fits', async (t) => {
  const [bits0, bits1, bits2] = [50, 40, 30]
  const pair = (tensorBytes(parameters, { ciphertexts: 2, level: 2, seeded: true }) - 96) / 2
  for (const [ciphertext, bit, bits, prime] of [
    [0, 0, bits0, 0],
    [0, bits0 * 8192 + bits1 * 4711, bits1, 1],
    [1, (bits0 + bits1) * 8192 + bits2 * 8191, bits2, 2],
  ]) {
    const frame = forged(good, (bytes) => saturate(bytes.subarray(64 + ciphertext * pair), bit, bits))
    isProblem(t, await inject(query(keys, { frame })), 400, 'TENSOR_MALFORMED', { prime })
  }
  await stillServes(t)
})

t.test('frames whose header claims something else are refused, although the digest fits', async (t) => {
  const claims: [at: number, value: number, what: string][] = [
    [4, 2, 'another version'],
    [5, 2, 'a key set'],
    [5, 3, 'a secret key'],
    [48, 3, 'three ciphertexts'],
    [52, 1, 'another level'],
    [54, 0, 'not seeded'],
    [63, 0x42, 'another scale'],
    [64 + (8192 * 120) / 8, 9, 'an unknown kind of seed'],
  ]
  for (const [at, value, what] of claims) {
    const frame = forged(good, (bytes) => {
      bytes[at] = value
    })
    const answer = await inject(query(keys, { frame }))
    t.match(answer.json(), { code: 'TENSOR_MALFORMED', status: 400 }, what)
  }
  await stillServes(t)
})

t.test('bodies that are too large are refused', async (t) => {
  const larger = Buffer.concat([good, Buffer.alloc(1)])
  isProblem(t, await inject(query(keys, { frame: larger })), 413, 'TOO_LARGE', { expectedBytes: good.length })
  const huge = Buffer.alloc(4 * good.length)
  isProblem(t, await inject(query(keys, { frame: huge })), 413, 'TOO_LARGE')
  const { id } = (await announce()).json()
  const headers = { 'content-type': 'application/octet-stream', 'upload-offset': '0' }
  const part = { method: 'PUT', url: `/v2/keys/${id}`, headers } as const
  const long = await inject({ ...part, payload: Buffer.alloc(keySet.length + 1) })
  isProblem(t, long, 413, 'TOO_LARGE', { maxBytes: keySet.length })
  isProblem(t, await announce({ bytes: 1e10 }), 400, 'TENSOR_MALFORMED', { expectedBytes: keySet.length })
  await stillServes(t)
})

t.test('a wrong manifest digest is refused, in the request and in the frame', async (t) => {
  const digest = 'f'.repeat(64)
  const header = { parameters: { key_set: keys, manifest_digest: digest } }
  isProblem(t, await inject(query(keys, { frame: good, header })), 409, 'PARAMETERS_MISMATCH', {
    served: manifest.digest,
  })
  const frame = forged(good, (bytes) => bytes.set(Buffer.from(other.manifest.digest, 'hex'), 16))
  isProblem(t, await inject(query(keys, { frame })), 409, 'PARAMETERS_MISMATCH')
  await stillServes(t)
})

t.test('keys of other parameters are refused', async (t) => {
  t.equal(
    keySetLayout(other.parameters, elements.length).totalBytes,
    keySet.length,
    'both key sets have the same size',
  )
  const header = { parameters: { key_set: keys, manifest_digest: manifestOf(sibling()).digest } }
  const wrongSet = await inject(query(keys, { model: 'sibling', frame: good, header }))
  isProblem(t, wrongSet, 409, 'PARAMETERS_MISMATCH', { served: other.parameters.digest })
  const wrongBytes = await upload(keySet, { parametersDigest: other.parameters.digest })
  isProblem(t, wrongBytes, 409, 'PARAMETERS_MISMATCH')
  isProblem(t, await announce({ parametersDigest: 'e'.repeat(64) }), 409, 'PARAMETERS_MISMATCH')
  await stillServes(t)
})

t.test('a complete key set with bad bytes is refused and deleted', async (t) => {
  const { galoisKeyAt, pairBytes, publicKeyAt } = keySetLayout(parameters, elements.length)
  const flip = (at: number): Uint8Array => {
    const copy = Uint8Array.from(keySet)
    copy[at] ^= 0x10
    return copy
  }
  const bad: [what: string, bytes: Uint8Array, code: string][] = [
    ['a flipped bit', flip(keySet.length >> 1), 'TENSOR_MALFORMED'],
    ['a flipped bit of the digest', flip(keySet.length - 1), 'TENSOR_MALFORMED'],
    ['a key set of other parameters', flip(20), 'PARAMETERS_MISMATCH'],
    ['zeros', new Uint8Array(keySet.length), 'TENSOR_MALFORMED'],
    ['an image', Buffer.concat([good, keySet]).subarray(0, keySet.length), 'TENSOR_MALFORMED'],
    [
      'a residue of the public key',
      forged(keySet, (b) => saturate(b.subarray(publicKeyAt), 0, 50)),
      'TENSOR_MALFORMED',
    ],
    [
      'a residue of the last digit of the last key',
      forged(keySet, (b) =>
        saturate(b.subarray(galoisKeyAt(elements.length - 1) + 2 * pairBytes), 120 * 8192, 60),
      ),
      'TENSOR_MALFORMED',
    ],
    [
      'another Galois element',
      forged(keySet, (b) => new DataView(b.buffer).setUint32(56, elements[0] === 3 ? 9 : 3, true)),
      'TENSOR_MALFORMED',
    ],
  ]
  for (const [what, bytes, code] of bad) {
    await t.test(what, async (t) => {
      const { id } = (await announce()).json()
      const headers = { 'content-type': 'application/octet-stream', 'upload-offset': '0' }
      const answer = await inject({
        method: 'PUT',
        url: `/v2/keys/${id}`,
        headers,
        payload: Buffer.from(bytes),
      })
      isProblem(t, answer, code === 'TENSOR_MALFORMED' ? 400 : 409, code)
      isProblem(t, await inject({ url: `/v2/keys/${id}` }), 410, 'KEYS_EXPIRED')
    })
  }
  await stillServes(t)
})

t.test('unknown models and key sets are refused', async (t) => {
  isProblem(t, await inject(query(keys, { model: 'none', frame: good })), 404, 'MODEL_UNKNOWN', {
    models: ['small', 'sibling'],
  })
  isProblem(t, await inject(query('nobody', { frame: good })), 410, 'KEYS_EXPIRED')
  isProblem(t, await inject(query('../../etc/passwd', { frame: good })), 410, 'KEYS_EXPIRED')
  isProblem(t, await inject(query('x'.repeat(129), { frame: good })), 400, 'CONFIG_INVALID', {
    field: 'parameters.key_set',
  })
  isProblem(t, await inject({ url: '/v2/keys/..%2f..%2fetc%2fpasswd' }), 410, 'KEYS_EXPIRED')
  await stillServes(t)
})

t.test('wrong lengths in headers are refused', async (t) => {
  const claimed = (headers: Record<string, string>) => inject(query(keys, { frame: good, headers }))
  for (const length of ['5', String(good.length)]) {
    isProblem(t, await claimed({ 'content-length': length }), 400, 'CONFIG_INVALID')
  }
  isProblem(t, await claimed({ 'content-length': '1000000000' }), 413, 'TOO_LARGE')
  isProblem(t, await claimed({ 'inference-header-content-length': '20' }), 400, 'CONFIG_INVALID')
  isProblem(t, await claimed({ 'inference-header-content-length': '60000' }), 400, 'CONFIG_INVALID')
  await stillServes(t)
})

t.test('connections that end before their body, or never send one, leave uploads unchanged', async (t) => {
  const url = new URL(await app.listen({ port: 0, host: '127.0.0.1' }))
  const { payload, headers } = query(keys, { frame: good })
  const body = payload as Buffer
  const { id } = (await announce()).json()
  const heads: [string, Record<string, unknown>][] = [
    ['POST /v2/models/small/infer', { ...headers, 'content-length': body.length }],
    [
      `PUT /v2/keys/${id}`,
      { 'content-type': 'application/octet-stream', 'upload-offset': '0', 'content-length': keySet.length },
    ],
  ]
  for (const [route, fields] of heads) {
    for (const sent of [0, 1000]) {
      const socket = connect(Number(url.port), url.hostname)
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`)
      socket.write(`${route} HTTP/1.1\r\nhost: x\r\n${lines.join('')}\r\n`)
      socket.write(body.subarray(0, sent))
      await sleep(50)
      socket.destroy()
    }
  }
  await sleep(50)
  t.equal((await inject({ url: `/v2/keys/${id}` })).json().uploadOffset, 0, 'the upload offset is unchanged')
  await stillServes(t)
})
