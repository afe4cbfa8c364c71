import t, { type Test } from 'tap'
import { readCircuit } from '../../src/circuit/index.ts'
import {
  connect,
  deleteKeys,
  directoryKeyStore,
  imageTensor,
  indexedDbKeyStore,
  KeyRing,
  LocalModel,
  listKeys,
  memoryKeyStore,
  type PolyVeil,
  PolyVeilError,
} from '../../src/client/index.ts'
import type { ImageInput } from '../../src/client/local/image-argument.ts'
import { FakeServer, manifest, ORIGIN } from './fake-server.ts'

// Arguments of wrong types, from programs without types or with a cast. Each error says what to pass instead.

const MODEL = 'toy-model'
const given = (input: unknown) => imageTensor(input as ImageInput, manifest.input)

async function told(
  t: Test,
  call: () => Promise<unknown>,
  message: RegExp,
  remedy: RegExp,
  code = 'CONFIG_INVALID',
) {
  await t.rejects(call(), { name: 'PolyVeilError', code, message, remedy }, String(message))
}

t.test('arguments that are not images are refused', async (t) => {
  const path = /path or an address is no image/
  await told(t, () => given('photo.png'), path, /readFile/)
  await told(t, () => given(new URL('file:///photo.png')), path, /readFile/)
  await told(t, () => given(Promise.resolve(new Uint8Array())), /promise is no image/, /await/)
  await told(t, () => given(undefined), /^undefined is no image/, /Uint8Array, ArrayBuffer or Blob/)
  await told(t, () => given(null), /^null is no image/, /decoded image/)
  await told(t, () => given(7), /^a number is no image/, /tensor/)
  await told(t, () => given({}), /^Object is no image/, /tensor/)
  await told(t, () => given(new Float64Array(15)), /^A Float64Array alone has no shape/, /shape: \[C, H, W\]/)
  await told(t, () => given(new Uint8ClampedArray(60)), /alone has no shape/, /width, height, channels/)
})

t.test('decoded images are checked', async (t) => {
  const pixels = { width: 3, height: 5, channels: 1, data: Uint8Array.from({ length: 15 }, (_, i) => 17 * i) }
  const { tensor } = await given(pixels)
  t.equal(tensor[2], (34 / 255 - 0.5) / 0.25)
  await told(t, () => given({ ...pixels, channels: undefined }), /has width, height, channels/, /all four/)
  await told(t, () => given({ ...pixels, width: '3' }), /has width, height, channels/, /all four/)
  await told(
    t,
    () => given({ ...pixels, data: new Float32Array(15) }),
    /bytes of 0 to 255.*Float32Array/,
    /tensor/,
  )
  await told(t, () => given({ ...pixels, data: [...pixels.data] }), /bytes of 0 to 255.*Array/, /tensor/)
  const rgba = Uint8ClampedArray.from({ length: 60 }, (_, i) => (i % 4 === 3 ? 255 : 17 * (i >> 2)))
  const canvas = await imageTensor({ width: 3, height: 5, data: rgba }, manifest.input)
  t.strictSame(canvas.tensor, tensor, 'pixels of a canvas are accepted')
})

t.test('bytes in an ArrayBuffer or a DataView are read as an image file', async (t) => {
  for (const bytes of [new ArrayBuffer(8), new DataView(new ArrayBuffer(8))]) {
    await t.rejects(given(bytes), { code: 'IMAGE_UNREADABLE' })
  }
})

t.test('tensors are checked', async (t) => {
  const values = Float64Array.from({ length: 15 }, (_, i) => i / 8)
  const tensor = { shape: [1, 5, 3] as const, tensor: values }
  t.strictSame((await given(tensor)).tensor, values)
  const single = await imageTensor({ shape: [1, 5, 3], tensor: Float32Array.from(values) }, manifest.input)
  t.strictSame(single.tensor, values, 'single precision is accepted')
  await told(
    t,
    () => given({ ...tensor, shape: [5, 3, 1] }),
    /height, width, channels; .*\[1, 5, 3\]/,
    /permute/,
  )
  await told(t, () => given({ ...tensor, shape: [1, 1, 5, 3] }), /three whole numbers/, /one image/)
  await told(t, () => given({ tensor: values }), /three whole numbers/, /one image/)
  await told(t, () => given({ ...tensor, tensor: [...values] }), /not Array/, /decoded image/)
  await told(t, () => given({ ...tensor, tensor: new Uint8Array(15) }), /not Uint8Array/, /decoded image/)
  const raw = Float32Array.from({ length: 15 }, (_, i) => 17 * i)
  const range = 'TENSOR_OUT_OF_RANGE'
  await told(
    t,
    () => given({ ...tensor, tensor: raw }),
    /from 0 to 238, like pixels/,
    /value \/ 255 - mean/,
    range,
  )
  await told(
    t,
    () => given({ ...tensor, tensor: values.map((v, i) => (i === 4 ? Number.NaN : v)) }),
    /Value 4 .* no number/,
    /./,
    range,
  )
  await told(t, () => given({ ...tensor, tensor: values.map((v) => v - 9) }), /up to 6 is taken/, /./, range)
})

t.test('arguments of connections and calls are checked', async (t) => {
  const server = new FakeServer()
  const connecting = (options: unknown) => connect(ORIGIN, options as never)
  for (const options of [undefined, {}, { keys: null }, { keys: {} }]) {
    await told(t, () => connecting(options), /needs a key store/, /memoryKeyStore/)
  }
  await told(t, () => connecting({ keys: './keys' }), /path is no key store/, /directoryKeyStore/)
  for (const silenceSeconds of [0, -1, Number.NaN, '5']) {
    await told(t, () => connecting({ keys: memoryKeyStore(), silenceSeconds }), /silenceSeconds/, /default/)
  }
  for (const limits of [{ maxQueryBytes: Number.NaN }, { maxRoundBytes: '1' }, { maxKeysSeconds: -1 }]) {
    await told(t, () => connecting({ keys: memoryKeyStore(), limits }), /limits\.\w+ is a number/, /default/)
  }
  const misspelt = { maxRoundbytes: 1 }
  await told(t, () => connecting({ keys: memoryKeyStore(), limits: misspelt }), /no limit/, /maxRoundBytes/)
  const limits = { maxQueryBytes: undefined, maxInferenceSeconds: undefined }
  using polyveil: PolyVeil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, limits })
  t.equal((await polyveil.manifest(MODEL)).model, MODEL, 'undefined limits are the defaults')
  for (const model of ['', undefined, 7]) {
    await told(t, () => polyveil.manifest(model as never), /name of a model/, /models\(\)/)
  }
  const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15) }
  for (const topK of [0, -1, 1.5, Number.NaN, '3']) {
    await told(t, () => polyveil.classify(MODEL, image, { topK: topK as number }), /topK/, /all classes/)
  }
  await told(t, () => polyveil.classify(MODEL, ['a.png', 'b.png'] as never), /path or an address/, /readFile/)
  const promise = polyveil.encrypt(MODEL, image)
  await told(t, () => polyveil.infer(MODEL, promise as never), /encrypted image is bytes/, /awaited/)
  await told(t, () => polyveil.decrypt(MODEL, 'answer' as never), /encrypted answer is bytes/, /awaited/)
  await promise
  t.notOk(
    server.seen.some(({ path }) => path.startsWith('v2/keys')),
    'no call uploaded anything',
  )
})

t.test('unknown options are refused with the names of those that exist', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  const connecting = (options: object) => connect(ORIGIN, { keys, fetch: server.fetch, ...options })
  await told(t, () => connecting({ pin: 'refuse' }), /no option pin$/, /keys, .*limits, pins/)
  using polyveil = await connecting({})
  const bytes = new Uint8Array(9)
  const wrong = { fullprecision: true } as object
  const calls: [call: () => Promise<unknown>, options: RegExp][] = [
    [() => polyveil.models(wrong), /onProgress, signal/],
    [() => polyveil.manifest(MODEL, wrong), /onProgress, signal/],
    [() => polyveil.keys(MODEL, wrong), /onProgress, signal/],
    [() => polyveil.encrypt(MODEL, bytes, wrong), /invert/],
    [() => polyveil.infer(MODEL, bytes, wrong), /onProgress, signal/],
    [() => polyveil.refresh(MODEL, 0, bytes, wrong), /onProgress, signal/],
    [() => polyveil.decrypt(MODEL, bytes, wrong), /fullPrecision/],
    [() => polyveil.decryptBatch(MODEL, bytes, wrong), /fullPrecision/],
    [() => polyveil.classify(MODEL, bytes, wrong), /topK, releaseKeys, fullPrecision, invert/],
    [() => polyveil.classifySettled(MODEL, [bytes], wrong), /topK, releaseKeys, fullPrecision, invert/],
    [() => polyveil.keySets.list(wrong), /onProgress, signal/],
    [() => polyveil.keySets.rotate(MODEL, wrong), /onProgress, signal/],
    [() => polyveil.keySets.delete(wrong), /parametersDigests, leftOver/],
    [() => imageTensor(bytes, manifest.input, wrong), /invert/],
    [async () => directoryKeyStore('keys', { passphrse: 'secret' } as object), /passphrase/],
    [async () => indexedDbKeyStore('keys', { passphrse: 'secret' } as object), /passphrase/],
  ]
  for (const [call, options] of calls) await told(t, call, /no option (fullprecision|passphrse)$/, options)
  t.equal(server.seen.length, 1, 'only connect has sent a request')
  const local = new LocalModel(manifest, new KeyRing(keys))
  await told(t, () => local.decryptBatch(bytes, wrong), /no option/, /fullPrecision/)
  await told(t, () => local.encrypt(bytes, wrong), /no option/, /invert/)
})

t.test('options of wrong types are refused', async (t) => {
  const server = new FakeServer()
  const keys = memoryKeyStore()
  const connecting = (options: unknown) => connect(ORIGIN, options as never)
  await told(t, () => connecting('x'), /options of a call are an object/, /defaults/)
  for (const limits of [null, 5, [1], 'x']) {
    await told(t, () => connecting({ keys, limits }), /limits are an object/, /defaults/)
  }
  for (const pins of ['refused', true, null]) {
    await told(t, () => connecting({ keys, pins }), /pins is one of warn, refuse, off/, /warn/)
  }
  await told(
    t,
    () => connecting({ keys, onManifestChange: 'x' }),
    /onManifestChange is a function/,
    /console/,
  )
  await told(t, () => connecting({ keys, fetch: 5 }), /fetch is a function/, /platform/)
  for (const signal of [new AbortController(), {}, 'x', null]) {
    await told(t, () => connecting({ keys, signal }), /signal is an AbortSignal/, /controller\.signal/)
  }
  for (const headers of [['a: b'], [['a', 'b']], new Map([['a', 'b']]), 'a: b', null]) {
    await told(t, () => connecting({ keys, headers }), /Headers are an object/, /not a list/)
  }
  using polyveil: PolyVeil = await connect(ORIGIN, { keys, fetch: server.fetch })
  const image = { width: 3, height: 5, channels: 1 as const, data: new Uint8Array(15) }
  const classify = (options: unknown) => polyveil.classify(MODEL, image, options as never)
  for (const options of [null, 3, 'x', [1]]) {
    await told(t, () => classify(options), /options of a call are an object/, /defaults/)
    await told(t, () => polyveil.keySets.delete(options as never), /options of a call/, /defaults/)
  }
  await told(t, () => classify({ signal: new AbortController() }), /signal is an AbortSignal/, /controller/)
  await told(t, () => classify({ onProgress: 'x' }), /onProgress is a function/, /Leave it out/)
  for (const name of ['fullPrecision', 'invert', 'releaseKeys', 'watch']) {
    for (const value of ['false', 'no', 0, null]) {
      await told(t, () => classify({ [name]: value }), RegExp(`${name} is true or false`), /boolean/)
    }
    await classify({ [name]: undefined })
  }
  const local = new LocalModel(manifest, new KeyRing(keys))
  const frame = new Uint8Array(9)
  const text = { fullPrecision: 'false' } as never
  await told(t, () => polyveil.decryptBatch(MODEL, frame, text), /fullPrecision is true/, /boolean/)
  await told(t, () => local.decryptBatch(frame, text), /fullPrecision is true/, /boolean/)
  await told(t, () => local.encrypt(image, { invert: 'no' } as never), /invert is true/, /boolean/)
  await told(t, async () => directoryKeyStore(undefined as never), /path of a key store is a text/, /string/)
  await told(t, async () => indexedDbKeyStore({} as never), /name of a key store is a text/, /string/)
  await told(t, async () => new KeyRing('keys' as never), /path is no key store/, /memoryKeyStore/)
  await told(t, () => listKeys(undefined as never), /needs a key store: listKeys/, /memoryKeyStore/)
  await told(t, () => deleteKeys(undefined as never), /needs a key store: deleteKeys/, /memoryKeyStore/)
})

t.test('lists that are no lists are refused at once', async (t) => {
  const server = new FakeServer()
  using polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  const began = performance.now()
  for (const images of [new Uint8Array(2 ** 22), 'photo.png', new Set(), undefined]) {
    const call = () => polyveil.classifySettled(MODEL, images as never)
    await told(t, call, /images of classifySettled are a list/, /\[image\], or call classify/)
  }
  t.ok(performance.now() - began < 1000)
  await told(t, () => polyveil.encrypt(MODEL, new Array(2) as never), /^undefined is no image/, /Uint8Array/)
  const local = new LocalModel(manifest, new KeyRing(memoryKeyStore()))
  await told(
    t,
    () => local.encryptTensors(new Uint8Array(9) as never),
    /tensors of a query are a list/,
    /tensor/,
  )
})

t.test('names that no model can have are refused before a request', async (t) => {
  const server = new FakeServer()
  using polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  for (const model of ['.', '..', '../../v2/keys', 'a/b?c#d', 'a b', 'x'.repeat(129)]) {
    await told(t, () => polyveil.manifest(model), /name of a model is 1 to 128/, /models\(\)/)
  }
  t.equal(server.seen.length, 1, 'only connect has sent a request')
})

t.test('a Headers object is sent', async (t) => {
  const server = new FakeServer()
  const headers = new Headers({ Authorization: 'Bearer abc', 'x-team': 'one' })
  await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch, headers })
  t.match(server.seen[0].headers, { authorization: 'Bearer abc', 'x-team': 'one' })
  const reserved = new Headers({ 'polyveil-key-set': 'x' })
  await t.rejects(connect(ORIGIN, { keys: memoryKeyStore(), headers: reserved }), {
    code: 'CONFIG_INVALID',
    facts: { header: 'polyveil-key-set' },
  })
})

t.test('a circuit is read from bytes only', async (t) => {
  for (const bytes of ['x', undefined, new ArrayBuffer(100)]) {
    t.throws(() => readCircuit(bytes as never), {
      code: 'CONFIG_INVALID',
      message: /no Uint8Array.*readFile/,
    })
  }
})

t.test('a frame may be an ArrayBuffer', async (t) => {
  const server = new FakeServer()
  using polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  const wrong = await polyveil
    .decrypt(MODEL, new ArrayBuffer(10) as never)
    .catch((error: PolyVeilError) => error)
  t.ok(wrong instanceof PolyVeilError && wrong.code !== 'CONFIG_INVALID', 'the bytes of the buffer were read')
})
