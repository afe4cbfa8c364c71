import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { partsOf } from '../../src/circuit/constants/slot-vector.ts'
import { MAX_MESSAGE_BITS } from '../../src/circuit/manifest/bounds.ts'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import {
  type ClientProgress,
  connect,
  imageSlots,
  imageTensor,
  type KeyStore,
  memoryKeyStore,
  rank,
} from '../../src/client/index.ts'
import { TimeLimit } from '../../src/client/time-limit.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { createSealContext } from '../../src/he-ops/seal/context.ts'
import { decryptSlots } from '../../src/he-ops/seal/encryptor.ts'
import { importSecretKey } from '../../src/he-ops/seal/keys/index.ts'
import { loadSeal } from '../../src/he-ops/seal/runtime.ts'
import { decodeTensor, keySetBytes, querySpec } from '../../src/wire/index.ts'
import { forgedManifest, type Loose } from '../circuit/forged.ts'
import {
  binaryAnswer,
  circuit,
  circuitOfLargePrimes,
  FakeServer,
  honestSlots,
  LABELS,
  manifest,
  ORIGIN,
  parameters,
  problem,
  type Seen,
  wrappedSlots,
} from './fake-server.ts'

const MODEL = 'toy-model'
const LOGITS = [0.5, -3, 12.25, 12.5, -40]
const image = {
  width: 3,
  height: 5,
  channels: 1 as const,
  data: Uint8Array.from({ length: 15 }, (_, i) => (i * 53) % 256),
}

async function connected(server = new FakeServer(), keys: KeyStore = memoryKeyStore()) {
  server.slots = honestSlots(LOGITS)
  return { server, keys, polyveil: await connect(ORIGIN, { keys, fetch: server.fetch }) }
}

/** A request as an observer of the network sees it: everything except the values of encrypted bytes. */
const shapeOf = ({ method, path, headers, body }: Seen) => ({ method, path, headers, bytes: body.length })

const pathsOf = ({ seen }: FakeServer): string[] => seen.map(({ method, path }) => `${method} ${path}`)

for (const [primes, served] of [
  ['of the kernels', circuit],
  ['too large for the kernels', circuitOfLargePrimes],
] as const) {
  t.test(`a server that gets only keys and a query classifies an image: primes ${primes}`, (t) =>
    classifies(t, served),
  )
}

async function classifies(t: Test, served: Circuit): Promise<void> {
  const { server, polyveil } = await connected(new FakeServer(served))
  const stages: ClientProgress[] = []
  const best = await polyveil.classify(MODEL, image, { topK: 2, onProgress: (p) => stages.push(p) })
  t.match(best, [
    { label: 'three', index: 3 },
    { label: 'two', index: 2 },
  ])
  t.ok(Math.abs(best[0].logit - 12.5) < 1e-3 && Math.abs(best[1].logit - 12.25) < 1e-3)
  t.ok(Math.abs(best[0].score / best[1].score - Math.exp(0.25)) < 1e-2)
  t.strictSame(pathsOf(server), [
    'GET v2',
    'GET v2/models/toy-model/manifest',
    'POST v2/keys',
    'PUT v2/keys',
    'POST v2/models/toy-model/infer',
  ])
  t.strictSame([...new Set(stages.map(({ stage }) => stage))], ['encrypt', 'keys', 'infer', 'decrypt'])
  const keys = stages.filter(({ stage }) => stage === 'keys')
  const total = keySetBytes(served.parameters, manifest.galoisElements)
  t.strictSame([keys[0].bytesDone, keys.at(-1)?.bytesDone, keys[0].bytesTotal], [0, total, total])
  polyveil.close()
}

t.test('the client encrypts the packed image', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.classify(MODEL, image)
  const ctx = createSealContext(await loadSeal(), parameters)
  const secretKey = importSecretKey(ctx, (await keys.get(`secret-key/${parameters.digest}`))!)
  const spec = querySpec(manifest)
  const found = decryptSlots(
    ctx,
    secretKey,
    decodeTensor(parameters, spec, server.query!),
    spec.level,
    spec.scale,
  )
  const pixel = (y: number, x: number): number => (image.data[y * 3 + x] / 255 - 0.5) / 0.25
  // Patch channels 0 and 1 (py 0, px 0 and 1) are the real and the imaginary part of ciphertext 0, channels 2
  // and 3 those of ciphertext 1.
  for (const [ciphertext, part, slot, value] of [
    [0, 'imaginary', 2 * 4, pixel(0, 1)],
    [0, 'real', (2 + 2 * 5) * 4, pixel(4, 0)],
    [0, 'imaginary', (2 + 1 * 5 + 2) * 4, 0],
    [1, 'imaginary', (2 + 5) * 4, pixel(3, 1)],
    [1, 'real', (2 + 5) * 4 + 1, 0],
  ] as const) {
    const place = `${part} part of slot ${slot} of ciphertext ${ciphertext}`
    t.ok(Math.abs(found[ciphertext][part][slot] - value) < 1e-4, place)
  }
  const { tensor } = await imageTensor(image, manifest.input)
  imageSlots(tensor, manifest.input, 4096).forEach((vector, k) => {
    for (const [part, values] of partsOf(vector).entries()) {
      const decrypted = part === 0 ? found[k].real : found[k].imaginary
      t.ok(values.every((value, s) => Math.abs(value - decrypted[s]) < 1e-4))
    }
  })
  secretKey.delete()
  ctx.delete()
})

t.test('the traffic is the same after an answer of garbage and after an honest answer', async (t) => {
  const run = async (first: Float64Array) => {
    const { server, polyveil } = await connected()
    server.slots = first
    const outcome = await polyveil.classify(MODEL, image).catch((error: PolyVeilError) => error.code)
    server.slots = honestSlots(LOGITS)
    await polyveil.classify(MODEL, image)
    polyveil.close()
    return { outcome, traffic: server.seen.map(shapeOf) }
  }
  const good = await run(honestSlots(LOGITS))
  const garbage = await run(wrappedSlots)
  t.equal(garbage.outcome, 'TENSOR_OUT_OF_RANGE')
  t.not(good.outcome, 'TENSOR_OUT_OF_RANGE')
  t.strictSame(garbage.traffic, good.traffic)
})

t.test('one wrong slot in a period is detected', async (t) => {
  const { server, polyveil } = await connected()
  for (const [slot, change, name] of [
    [7, 0.02, 'an empty slot'],
    [3, 60, 'a logit beyond the bound'],
  ] as const) {
    // The fault is in all copies: the server masks slots that do not repeat, and the client does not read
    // them.
    server.slots = honestSlots(LOGITS).map((value, s) => (s % 8 === slot ? value + change : value))
    await t.rejects(polyveil.classify(MODEL, image), { code: 'TENSOR_OUT_OF_RANGE' }, name)
  }
  server.slots = honestSlots([49.9, 0, 0, 0, 0])
  await polyveil.classify(MODEL, image)
  server.slots = honestSlots([50.1, 0, 0, 0, 0])
  await t.rejects(polyveil.classify(MODEL, image), { code: 'TENSOR_OUT_OF_RANGE' })
  polyveil.close()
})

t.test('keys are made and uploaded once, and the next connection reuses them', async (t) => {
  const { server, keys, polyveil } = await connected()
  const [first, second] = await Promise.all([polyveil.keys(MODEL), polyveil.keys(MODEL)])
  t.strictSame(first, { id: 'key-set-0', expires: '2099-01-01T00:00:00.000Z' })
  t.equal(second.id, 'key-set-0')
  t.equal(server.keySets.size, 1)
  const again = await connected(server, keys)
  t.equal((await again.polyveil.keys(MODEL)).id, 'key-set-0')
  const [best] = await again.polyveil.classify(MODEL, image, { topK: 1 })
  t.equal(best.label, 'three', 'the stored secret key decrypts')
  t.equal(server.keySets.size, 1)
  const other = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  t.equal((await other.keys(MODEL)).id, 'key-set-1', 'another store has another secret key')
  polyveil.close()
})

t.test('models of the same parameters share a key set that covers them', async (t) => {
  const { server, keys, polyveil } = await connected()
  const other = (model: string, steps: readonly number[]): void => {
    const ops = circuit.ops.map((op, i) => (op.kind === 'rotate' ? { ...op, steps: steps[i - 1] } : op))
    server.others.set(model, manifestOf({ ...circuit, model, ops }))
  }
  other('twin', [4000, 5])
  other('fewer', [4000, 4000])
  other('another', [4000, 6])
  const idOf = async (model: string, from = polyveil) => (await from.keys(model)).id

  const together = await Promise.all([MODEL, 'twin', 'fewer'].map((model) => idOf(model)))
  t.strictSame(together, Array(3).fill('key-set-0'), 'models share a key set while it is being uploaded')
  t.equal(await idOf('another'), 'key-set-1', 'the first set lacks a rotation of this model')
  t.equal(await idOf('twin'), 'key-set-0')
  const again = await connected(server, keys)
  t.equal(await idOf('fewer', again.polyveil), 'key-set-1', 'the newest key set that covers the model')
  t.equal(await idOf('twin', again.polyveil), 'key-set-0', 'the only key set that covers the model')
  t.equal(server.keySets.size, 2)
  t.equal(pathsOf(server).filter((path) => path === 'POST v2/keys').length, 2)

  server.keySets.delete('key-set-0')
  const [best] = await polyveil.classify(MODEL, image, { topK: 1 })
  t.equal(best.label, 'three', 'a shared set that expired is uploaded again')
  t.equal(await idOf('twin'), 'key-set-2', 'all models that shared it use the new one')
  polyveil.close()
})

t.test('expired keys are uploaded again, also during a call', async (t) => {
  const { server, polyveil } = await connected()
  await polyveil.classify(MODEL, image)
  server.keySets.clear()
  server.seen.length = 0
  const [best] = await polyveil.classify(MODEL, image, { topK: 1 })
  t.equal(best.label, 'three')
  t.equal(pathsOf(server).filter((path) => path === 'POST v2/keys').length, 1)
  polyveil.close()
})

t.test('a server that loses keys repeatedly gets only a few uploads', async (t) => {
  const { server, polyveil } = await connected()
  server.intercept = ({ path }) => {
    if (!path.endsWith('/infer')) return undefined
    server.keySets.clear()
    throw new PolyVeilError('KEYS_EXPIRED', 'gone')
  }
  const uploads = () => pathsOf(server).filter((path) => path === 'POST v2/keys').length
  for (let call = 0; call < 8; call++) {
    await t.rejects(polyveil.classify(MODEL, image), { code: 'KEYS_EXPIRED' })
  }
  t.equal(uploads(), 1 + 3)
  server.seen.length = 0
  const many = Array.from({ length: 20 }, () => image)
  await t.rejects(polyveil.classify(MODEL, many), { code: 'KEYS_EXPIRED' })
  t.ok(uploads() <= 1, 'the first failure ends a call with many images')
  polyveil.close()
})

t.test('a key set that lacks an element of the model is not used', async (t) => {
  const { server, keys, polyveil } = await connected()
  await polyveil.keys(MODEL)
  server.keySets.get('key-set-0')!.parameters = 'f'.repeat(64)
  const again = await connected(server, keys)
  t.equal((await again.polyveil.keys(MODEL)).id, 'key-set-1')
})

t.test('malformed images, and tensors out of range, are refused before anything is sent', async (t) => {
  const { server, polyveil } = await connected()
  await polyveil.manifest(MODEL)
  const before = server.seen.length
  const values = (value: number) => ({
    shape: [1, 5, 3] as const,
    tensor: new Float64Array(15).fill(value, 14),
  })
  for (const value of [6.1, -6.1, Number.NaN, Number.POSITIVE_INFINITY]) {
    await t.rejects(polyveil.classify(MODEL, values(value)), { code: 'TENSOR_OUT_OF_RANGE' }, `${value}`)
  }
  t.equal((await polyveil.encrypt(MODEL, values(6))).length > 0, true)
  await t.rejects(polyveil.classify(MODEL, { shape: [1, 3, 5], tensor: new Float64Array(15) }), {
    code: 'CONFIG_INVALID',
  })
  await t.rejects(polyveil.classify(MODEL, { ...image, width: 4 }), { code: 'IMAGE_UNREADABLE' })
  await t.rejects(polyveil.classify(MODEL, Uint8Array.of(1, 2, 3)), { code: 'IMAGE_UNREADABLE' })
  t.equal(server.seen.length, before)
})

t.test('tensors are checked before the server is asked for anything', async (t) => {
  const { server, polyveil } = await connected()
  const before = server.seen.length
  const outlier = { shape: [1, 5, 3] as const, tensor: new Float64Array(15).fill(6.1) }
  await t.rejects(polyveil.classify(MODEL, outlier), { code: 'TENSOR_OUT_OF_RANGE', facts: { bound: 6 } })
  await t.rejects(polyveil.classify(MODEL, [image, outlier]), { code: 'TENSOR_OUT_OF_RANGE' })
  await t.rejects(polyveil.encrypt(MODEL, outlier), { code: 'TENSOR_OUT_OF_RANGE' })
  await t.rejects(polyveil.encrypt(MODEL, { ...outlier, shape: [1, 5, 4] }), { code: 'CONFIG_INVALID' })
  t.equal(server.seen.length, before, 'the client does not even ask for the manifest')
})

t.test('every picture can be encrypted at the largest scale that a manifest may have', async (t) => {
  // Primes of more than 30 bits use the encoder of node-seal, which rounds sizes to whole bits.
  const modulus = parameters.primes.reduce((sum, prime) => sum + Math.log2(Number(prime)), 0)
  const bits = Math.min(modulus - 1, MAX_MESSAGE_BITS)
  const largest = 2 ** (bits - 1 - 1e-9) / (Math.SQRT2 * manifest.input.bound)
  const sends = async (value: number): Promise<boolean> => {
    const server = new FakeServer()
    server.manifest = forgedManifest(manifest, (content) => {
      content.input.scale = largest
    })
    const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
    const picture = { ...image, data: new Uint8Array(15).fill(value) }
    await polyveil.classify(MODEL, picture).catch(() => {})
    await polyveil.close()
    return pathsOf(server).some((path) => path.endsWith('/infer'))
  }
  for (const value of [0, 127, 128, 255]) t.ok(await sends(value), `grey ${value}`)
})

t.test('answers before a failed inference are kept, even if the manifest has changed since', async (t) => {
  const { server, polyveil } = await connected()
  let queries = 0
  server.intercept = ({ path }) => {
    if (!path.endsWith('/infer') || queries++ === 0) return undefined
    server.manifest = manifestOf({ ...circuit, estimate: { ...circuit.estimate, seconds: 9 } })
    return problem(new PolyVeilError('PARAMETERS_MISMATCH', 'another manifest'))
  }
  const results = await polyveil.classifySettled(MODEL, [image, image], { topK: 1 })
  t.match(results, [
    { status: 'fulfilled', value: [{ label: 'three' }] },
    { status: 'rejected', reason: { code: 'PARAMETERS_MISMATCH' } },
  ])
  await polyveil.close()
})

t.test('an upload of keys that does not finish ends at its time limit', async (t) => {
  const server = new FakeServer()
  const limits = { maxKeysSeconds: 0.3 }
  const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, limits })
  server.intercept = async ({ method }) => {
    if (method !== 'PUT') return undefined
    await sleep(400)
    return new Response('too large', { status: 413 })
  }
  await t.rejects(polyveil.keys(MODEL), {
    code: 'SERVER_UNREACHABLE',
    message: /did not finish the exchange of keys within 0.3 seconds/,
    facts: { reason: 'slow' },
  })
  await polyveil.close()
})

t.test('the parts of an operation share one time limit', async (t) => {
  const time = new TimeLimit('a test', 2, ORIGIN)
  await time.within(undefined, () => sleep(500))
  await t.rejects(
    time.within(undefined, (signal) =>
      sleep(1900, undefined, { signal }).catch(() => signal.throwIfAborted()),
    ),
    { code: 'SERVER_UNREACHABLE' },
  )
})

t.test('a server cannot choose which pictures are refused', async (t) => {
  const requestsFor = async (edit: (content: Loose) => void, value: number): Promise<string[]> => {
    const server = new FakeServer()
    server.manifest = forgedManifest(manifest, edit)
    const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
    const picture = { ...image, data: new Uint8Array(15).fill(value) }
    await polyveil.classify(MODEL, picture).catch(() => {})
    polyveil.close()
    return pathsOf(server)
  }
  const edits: [what: string, edit: (content: Loose) => void][] = [
    ['a bound that white is beyond', (c) => Object.assign(c.input, { bound: 1 })],
    ['a deviation that white is beyond the bound with', (c) => (c.input.preprocessing.std = [0.05])],
    ['a scale that white does not fit', (c) => (c.input.scale = 2 ** 105)],
    [
      'a crop that only some pictures have',
      (c) => (c.input.preprocessing.resize = { mode: 'shortSide', size: 4, height: 5, width: 3 }),
    ],
    ['none of these', () => {}],
  ]
  for (const [what, edit] of edits) {
    const grey = await requestsFor(edit, 127)
    t.strictSame(await requestsFor(edit, 255), grey, `${what}: requests for white are those for grey`)
    t.equal(grey.includes('POST v2/keys'), what === 'none of these')
  }
})

t.test(
  'logits are rounded to the precision of the manifest, and scores use the rounded logits',
  async (t) => {
    const { server, polyveil } = await connected()
    server.slots = honestSlots([0.123456, -3.002, 1.9999, 0.0001, -0.0001])
    const frame = await polyveil.encrypt(MODEL, image)
    const answer = await polyveil.infer(MODEL, frame)
    const rounded = await polyveil.decrypt(MODEL, answer)
    t.strictSame([...rounded], [32 / 256, -769 / 256, 2, 0, 0])
    const full = await polyveil.decrypt(MODEL, answer, { fullPrecision: true })
    t.ok(Math.abs(full[0] - 0.123456) < 1e-3 && full[0] * 256 !== Math.round(full[0] * 256))
    t.strictSame(await polyveil.decryptBatch(MODEL, answer), [rounded])
    t.strictSame(await polyveil.decryptBatch(MODEL, answer, { fullPrecision: true }), [full])
    const classes = await polyveil.classify(MODEL, image)
    t.strictSame(classes, rank(rounded, LABELS, 5), 'the classes depend only on rounded logits')
    const again = await polyveil.classify(MODEL, image, { fullPrecision: true })
    t.not(again[0].logit * 256, Math.round(again[0].logit * 256))
    polyveil.close()
  },
)

t.test('text of the server has no effect on a terminal', async (t) => {
  const { server, polyveil } = await connected()
  const evil = '\u001b[2J\u001b]0;title\u0007\u009b31mEnter your\r\npassphrase:\u007f \u202eabc'
  const harmless = '[2J]0;title31mEnter your passphrase: abc'
  server.intercept = () =>
    Response.json(
      { code: 'MODEL_UNKNOWN', detail: evil, served: [evil], [evil]: 1, note: evil },
      { status: 404, headers: { 'content-type': 'application/problem+json' } },
    )
  await t.rejects(polyveil.models(), {
    code: 'MODEL_UNKNOWN',
    message: harmless,
    facts: { served: [harmless], note: harmless, [harmless]: 1 },
  })
  server.intercept = ({ path }) =>
    path === 'v2/models' ? Response.json({ models: [{ name: evil, labels: [evil] }] }) : undefined
  t.strictSame(await polyveil.models(), [{ name: harmless, labels: [harmless] }])
  t.strictSame(rank(Float64Array.of(1), [evil], 1), [{ label: harmless, score: 1, logit: 1, index: 0 }])
})

t.test('a call that waits for the work of another call heeds its own signal', async (t) => {
  for (const part of ['v2/keys', '/manifest']) {
    const { server, polyveil } = await connected()
    const { promise: answered, resolve } = Promise.withResolvers<undefined>()
    const isPart = ({ path, method }: Seen): boolean => path.endsWith(part) && method !== 'POST'
    server.intercept = (seen) => (isPart(seen) ? answered : undefined)
    const first = polyveil.keys(MODEL)
    const gone = new AbortController()
    const second = polyveil.keys(MODEL, { signal: gone.signal })
    while (!server.seen.some(isPart)) await sleep(1)
    gone.abort(new Error('enough'))
    await t.rejects(second, { message: 'enough' }, part)
    resolve(undefined)
    t.ok(await first, 'the first call goes on')
  }
})

t.test('a list of a million wrong items is refused at the first item', async (t) => {
  const { server, polyveil } = await connected()
  const wrong = new Array(1_000_000).fill(0)
  const answered = async (suffix: string, json: unknown, body: () => Promise<unknown>, code: string) => {
    server.intercept = ({ path, method }) =>
      path.endsWith(suffix) && method === 'GET' ? Response.json(json) : undefined
    await t.rejects(body(), { code }, suffix)
  }
  await answered(
    'v2/models',
    { models: [{ name: 'm', labels: wrong }] },
    () => polyveil.models(),
    'CONFIG_INVALID',
  )
  await answered('v2/models', { models: wrong }, () => polyveil.models(), 'CONFIG_INVALID')
  const few = { models: [{ name: 'm', labels: wrong.slice(0, 90_000) }] }
  await answered('v2/models', few, () => polyveil.models(), 'CONFIG_INVALID')
  await answered(
    '/manifest',
    { ...manifest, labels: wrong },
    () => polyveil.manifest(MODEL),
    'CONFIG_INVALID',
  )
  const again = () => connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  await answered('v2', { extensions: wrong }, again, 'TOO_LARGE')
  await answered('v2', { extensions: wrong.slice(0, 20_000) }, again, 'CONFIG_INVALID')
})

t.test('invalid manifests are refused', async (t) => {
  const server = new FakeServer()
  const refused = async (data: unknown, code: string, limits = {}) => {
    server.manifest = data
    const polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, limits })
    await t.rejects(polyveil.keys(MODEL), { code }, code)
  }
  await refused({ ...manifest, labels: ['a', 'b', 'c', 'd', 'e'] }, 'PARAMETERS_MISMATCH')
  await refused('nothing', 'CONFIG_INVALID')
  await refused(manifest, 'TOO_LARGE', { maxKeyBytes: 1_000_000 })
  await refused(manifest, 'TOO_LARGE', { maxQueryBytes: 1000 })
  t.equal(server.keySets.size, 0)
})

t.test('answers that are malformed, oversized, endless or errors are refused', async (t) => {
  const { server, polyveil } = await connected()
  const frame = await polyveil.encrypt(MODEL, image)
  const answered = async (response: () => Response, code: string, name: string) => {
    server.intercept = ({ path }) => (path.endsWith('/infer') ? response() : undefined)
    await t.rejects(
      polyveil.infer(MODEL, frame).then((answer) => polyveil.decrypt(MODEL, answer)),
      { code },
      name,
    )
    server.intercept = () => undefined
  }
  const honest = await polyveil.infer(MODEL, frame)
  const damaged = honest.slice()
  damaged[5000] ^= 1
  await answered(() => binaryAnswer(damaged), 'TENSOR_MALFORMED', 'damaged')
  await answered(() => binaryAnswer(honest.subarray(1)), 'TENSOR_MALFORMED', 'cut off')
  await answered(() => binaryAnswer(honest, 7), 'TENSOR_MALFORMED', 'a lie about its size')
  await answered(() => new Response(Uint8Array.from(honest)), 'TENSOR_MALFORMED', 'no JSON header')
  server.intercept = ({ path }) =>
    path.endsWith('/infer') ? binaryAnswer(honest.subarray(1), honest.length, 65_537) : undefined
  await t.rejects(polyveil.infer(MODEL, frame), {
    code: 'TENSOR_MALFORMED',
    message: /has no valid length of its JSON header/,
  })
  await answered(() => new Response(new Uint8Array(honest.length + 70_000)), 'TOO_LARGE', 'oversized')
  let pulled = 0
  const endless = new ReadableStream({
    pull(controller) {
      pulled++
      controller.enqueue(new Uint8Array(65_536))
    },
  })
  await answered(() => new Response(endless), 'TOO_LARGE', 'endless')
  t.ok(pulled < 10, `stopped after ${pulled} chunks`)
  const gone = () => problem(new PolyVeilError('WORKER_LOST', 'lost', { requestId: 'r' }))
  await answered(gone, 'WORKER_LOST', 'a problem document')
  const proxy = { status: 502, headers: { 'retry-after': '0' } }
  await answered(() => new Response('<html>', proxy), 'SERVER_UNREACHABLE', 'a proxy in between')
  polyveil.close()
})

t.test('the client repeats a request to a busy server a few times', async (t) => {
  const { server, polyveil } = await connected()
  let busy = 3
  server.intercept = ({ path }) =>
    path.endsWith('/infer') && busy-- > 0
      ? problem(new PolyVeilError('TOO_BUSY', 'full'), { 'retry-after': '0' })
      : undefined
  const [best] = await polyveil.classify(MODEL, image, { topK: 1 })
  t.equal(best.label, 'three')
  busy = 1000
  await t.rejects(polyveil.classify(MODEL, image), { code: 'TOO_BUSY', message: 'full' })
  t.equal(busy, 1000 - 6)
  polyveil.close()
})

t.test('abort signals end calls', async (t) => {
  const { server, polyveil } = await connected()
  await polyveil.keys(MODEL)
  const stop = new AbortController()
  server.intercept = ({ path }) => {
    if (!path.endsWith('/infer')) return undefined
    stop.abort(new Error('enough'))
    return problem(new PolyVeilError('TOO_BUSY', 'full'), { 'retry-after': '50' })
  }
  await t.rejects(polyveil.classify(MODEL, image, { signal: stop.signal }), { message: 'enough' })
  const before = server.seen.length
  await t.rejects(polyveil.classify(MODEL, image, { signal: stop.signal }), { message: 'enough' })
  t.equal(server.seen.length, before)
  const whole = new AbortController()
  const bound = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, signal: whole.signal })
  whole.abort(new Error('all of it'))
  await t.rejects(bound.models(), { message: 'all of it' })
})

t.test('a call after an aborted upload uploads the keys again', async (t) => {
  const { server, polyveil } = await connected()
  const stop = new AbortController()
  server.intercept = ({ method }) => {
    if (method === 'PUT') stop.abort(new Error('enough'))
    return undefined
  }
  await t.rejects(polyveil.keys(MODEL, { signal: stop.signal }), { message: 'enough' })
  server.intercept = () => undefined
  const [best] = await polyveil.classify(MODEL, image, { topK: 1 })
  t.equal(best.label, 'three')
  polyveil.close()
})

t.test('releaseKeys deletes throw-away keys on the server before the answer is decrypted', async (t) => {
  const { server, polyveil } = await connected()
  const deletions = () => server.seen.filter(({ method }) => method === 'DELETE').length
  const atDecryption: number[] = []
  const onProgress = ({ stage }: ClientProgress): void => {
    if (stage === 'decrypt') atDecryption.push(deletions())
  }
  const [best] = await polyveil.classify(MODEL, image, { topK: 1, releaseKeys: true, onProgress })
  t.equal(best.label, 'three')
  t.ok(atDecryption.length > 0 && atDecryption.every((count) => count === 1), atDecryption.join())
  await polyveil.close()
  t.equal(deletions(), 1, 'close has nothing left to delete')
})

t.test('connect refuses wrong addresses and servers other than PolyVeil', async (t) => {
  const keys = memoryKeyStore()
  for (const url of ['nonsense', 'ftp://x/', 'file:///etc/passwd']) {
    await t.rejects(connect(url, { keys }), { code: 'CONFIG_INVALID' }, url)
  }
  const answering = (response: () => Response) => connect(ORIGIN, { keys, fetch: async () => response() })
  await t.rejects(
    answering(() => Response.json({ extensions: ['something'] })),
    { message: /no PolyVeil server/ },
  )
  await t.rejects(
    answering(() => new Response('<html>')),
    { code: 'CONFIG_INVALID' },
  )
  const broken = connect(ORIGIN, { keys, fetch: () => Promise.reject(new TypeError('ECONNREFUSED')) })
  await t.rejects(broken, {
    code: 'SERVER_UNREACHABLE',
    message: /cannot be reached/,
    facts: { origin: 'http://polyveil.test' },
  })
  const { polyveil } = await connected()
  t.strictSame(await polyveil.models(), [{ name: MODEL, labels: LABELS }])
  await t.rejects(polyveil.keys('none'), { code: 'MODEL_UNKNOWN' })
})
