import t, { type Test } from 'tap'
import { connect, imageTensor, memoryKeyStore, type PolyVeil, PolyVeilError } from '../../src/client/index.ts'
import type { ImageInput } from '../../src/client/local/image-argument.ts'
import { FakeServer, manifest, ORIGIN } from './fake-server.ts'

// Arguments of wrong types, from programs without types or with a cast. Each error says what to pass instead.

const MODEL = 'toy model'
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

t.test('a frame may be an ArrayBuffer', async (t) => {
  const server = new FakeServer()
  using polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
  const wrong = await polyveil
    .decrypt(MODEL, new ArrayBuffer(10) as never)
    .catch((error: PolyVeilError) => error)
  t.ok(wrong instanceof PolyVeilError && wrong.code !== 'CONFIG_INVALID', 'the bytes of the buffer were read')
})
