import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { writeCircuit } from '../../src/circuit/format/file.ts'
import { newFloodingKey } from '../../src/he-ops/flooding.ts'
import { buildApp } from '../../src/server/app.ts'
import { localHost } from '../../src/server/execution/local-host.ts'
import { ModelCatalogue, servedModel } from '../../src/server/models/catalogue.ts'
import { createLogger } from '../../src/server/plugins/logging.ts'
import { ScheduledEngine } from '../../src/server/scheduling/scheduled-engine.ts'
import { KeyStore } from '../../src/server/stores/key-store.ts'
import { memoryStorage } from '../../src/server/stores/memory-files.ts'
import { WorkerPool } from '../../src/server/worker/pool.ts'
import { keySetLayout, tensorBytes } from '../../src/wire/index.ts'
import { numbers } from '../models/support/checkpoint.ts'
import { saturate } from '../wire/fixtures.ts'
import { rotatingCircuit, simdParameters } from './rotating-circuit.ts'
import { SealedClient } from './sealed-client.ts'
import { isProblem, query, splitAnswer, UNLIMITED } from './support.ts'

// Malformed frames against the simd engine. Its kernels unpack and check frames, so its errors come from
// other code than those of the seal engine. Routes and bodies are the same for all engines: bad-input.test.ts
// tests them.

const BITS = 30
const known = rotatingCircuit('small', 2)
const { manifest } = known
const elements = [...manifest.galoisElements].sort((a, b) => a - b)
const { ring } = simdParameters

const path = join(t.testdir(), 'small.pvc')
await writeFile(path, writeCircuit(known.circuit))
const faults: string[] = []
const engine = new ScheduledEngine(
  new WorkerPool({
    workers: 1,
    queue: 8,
    settings: { keyBytes: 2 ** 28, engineBytes: 2 ** 28, threads: 2, floodingKey: newFloodingKey() },
    onFault: (error) => faults.push(String(error)),
  }),
  { ...UNLIMITED, placesPerLane: 1 },
)
const app = await buildApp({
  models: new ModelCatalogue([{ ...servedModel(known.circuit, path) }]),
  keys: await KeyStore.open(memoryStorage(), {
    ttlMilliseconds: 3_600_000,
    maxSets: 100,
    maxSetBytes: 1e9,
    maxTotalBytes: 1e9,
  }),
  engine,
  host: localHost(engine),
  security: { requestsPerMinute: 100_000, maxEventLoopDelayMs: 0 },
  logger: createLogger('error', { write: (line) => faults.push(line) }),
})
const client = await SealedClient.create(known)
t.teardown(async () => {
  await app.close()
  client.delete()
})
const keySet = await client.keySet()
const good = client.query()

async function upload(bytes: Uint8Array): Promise<LightMyRequestResponse> {
  const payload = { parametersDigest: simdParameters.digest, bytes: bytes.length, galoisElements: elements }
  const { id } = (await app.inject({ method: 'POST', url: '/v2/keys', payload })).json()
  const headers = { 'content-type': 'application/octet-stream', 'upload-offset': '0' }
  return app.inject({ method: 'PUT', url: `/v2/keys/${id}`, headers, payload: Buffer.from(bytes) })
}

const keys: string = (await upload(keySet)).json().id
const header = { parameters: { key_set: keys, manifest_digest: manifest.digest } }
const infer = (frame: Uint8Array): Promise<LightMyRequestResponse> =>
  app.inject(query(keys, { frame, header }))

async function stillServes(t: Test): Promise<void> {
  const answer = await infer(good)
  t.equal(answer.statusCode, 200, 'the server still serves')
  const error = client.errorOf(splitAnswer(answer).frame)
  t.ok(error < 0.01, `the answer is correct: error ${error}`)
  t.strictSame(faults, [], 'the server logs no fault')
}

/** A frame with changed content and a digest that fits it. */
function forged(frame: Uint8Array, change: (bytes: Uint8Array) => void): Uint8Array {
  const copy = Uint8Array.from(frame)
  change(copy)
  copy.set(createHash('sha256').update(copy.subarray(0, -32)).digest(), copy.length - 32)
  return copy
}

t.test('the server answers a good query', (t) => stillServes(t))

t.test('truncated, extended and flipped frames are refused', async (t) => {
  for (const length of [0, 47, 64, good.length >> 1, good.length - 1]) {
    isProblem(t, await infer(good.subarray(0, length)), 400, 'TENSOR_MALFORMED')
  }
  isProblem(t, await infer(Buffer.concat([good, Buffer.alloc(1)])), 413, 'TOO_LARGE')
  const next = numbers(11)
  const anywhere = Array.from({ length: 16 }, () => Math.floor(((next() + 1) / 2) * good.length))
  for (const at of [0, 16, 48, 63, 64, good.length - 1, ...anywhere]) {
    const frame = Uint8Array.from(good)
    frame[at] ^= 1 << (at % 8)
    const code = at >= 16 && at < 48 ? 'PARAMETERS_MISMATCH' : 'TENSOR_MALFORMED'
    t.match((await infer(frame)).json(), { code }, `byte ${at}`)
  }
  await stillServes(t)
})

t.test('a residue above its prime is refused, although the digest fits', async (t) => {
  const pair = (tensorBytes(simdParameters, { ciphertexts: 2, level: 2, seeded: true }) - 96) / 2
  for (const [ciphertext, residue, prime] of [
    [0, 0, 0],
    [0, ring + 4711, 1],
    [1, 3 * ring - 1, 2],
  ]) {
    const frame = forged(good, (bytes) =>
      saturate(bytes.subarray(64 + ciphertext * pair), residue * BITS, BITS),
    )
    isProblem(t, await infer(frame), 400, 'TENSOR_MALFORMED', { prime })
  }
  await stillServes(t)
})

t.test('frames whose header claims something else are refused, although the digest fits', async (t) => {
  const claims: [at: number, value: number, what: string][] = [
    [4, 2, 'another version'],
    [5, 2, 'a key set'],
    [48, 3, 'three ciphertexts'],
    [52, 1, 'another level'],
    [54, 0, 'not seeded'],
    [63, 0x42, 'another scale'],
    [64 + (ring * 3 * BITS) / 8, 9, 'an unknown kind of seed'],
  ]
  for (const [at, value, what] of claims) {
    const frame = forged(good, (bytes) => {
      bytes[at] = value
    })
    t.match((await infer(frame)).json(), { code: 'TENSOR_MALFORMED', status: 400 }, what)
  }
  await stillServes(t)
})

t.test('a complete key set with a residue above its prime is refused', async (t) => {
  const { galoisKeyAt, pairBytes, publicKeyAt } = keySetLayout(simdParameters, elements.length)
  const bad: [what: string, bytes: Uint8Array][] = [
    ['of the public key', forged(keySet, (b) => saturate(b.subarray(publicKeyAt), 0, BITS))],
    [
      'of the last digit of the last key, modulo the special prime',
      forged(keySet, (b) =>
        saturate(b.subarray(galoisKeyAt(elements.length - 1) + 2 * pairBytes), (4 * ring - 1) * BITS, BITS),
      ),
    ],
  ]
  for (const [what, bytes] of bad) {
    const answer = await upload(bytes)
    t.match(answer.json(), { code: 'TENSOR_MALFORMED', status: 400 }, what)
  }
  await stillServes(t)
})
