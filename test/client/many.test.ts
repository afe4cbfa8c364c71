import t from 'tap'
import { type Manifest, manifestOf } from '../../src/circuit/manifest/manifest.ts'
import {
  type ClientProgress,
  connect,
  type ImageInput,
  memoryKeyStore,
  PolyVeilError,
} from '../../src/client/index.ts'
import { type ClassifyOptions, classifyMany, type OpenModel } from '../../src/client/many.ts'
import type { Image, PreprocessedImage } from '../../src/preprocessing/index.ts'
import { circuit, FakeServer, LABELS, manifest, ORIGIN } from './fake-server.ts'

// Outcomes of each of many images, without encryption: the steps record their calls, and two images share an
// inference. test/client/batch.test.ts tests the same with a real service.

const MODEL = 'toy-model'
const SIZE = { width: 3, height: 5 }

/** A grey picture of a single value. */
const plain = (value: number): Image => ({ ...SIZE, channels: 1, data: new Uint8Array(15).fill(value) })
const UNREADABLE: Image = { ...SIZE, channels: 1, data: new Uint8Array(14) }
/** A tensor beyond the bound that every circuit accepts. */
const WILD: PreprocessedImage = { shape: [1, 5, 3], tensor: new Float64Array(15).fill(7) }

interface Faults {
  /** Indices of inferences that fail. */
  readonly infer?: Readonly<Record<number, Error>>
  /** Indices of answers that are not honest. */
  readonly decrypt?: readonly number[]
}

/** Client steps whose logits are the first values of the images. */
class Steps implements OpenModel {
  /** The calls in order: `encrypt 1 3` encrypts two images whose first values are 1 and 3. */
  readonly calls: string[] = []
  readonly #faults: Faults
  readonly #sent: number[][] = []

  constructor(faults: Faults = {}) {
    this.#faults = faults
  }

  readonly manifest: Manifest = { ...manifest, batch: 2 }

  async infer(tensors: readonly PreprocessedImage[], options: ClassifyOptions) {
    const inference = this.#encrypt(tensors, options)
    this.calls.push(`infer ${inference}`)
    options.signal?.throwIfAborted()
    const fault = this.#faults.infer?.[inference]
    if (fault) throw fault
    return Uint8Array.of(inference)
  }

  #encrypt(tensors: readonly PreprocessedImage[], options: ClassifyOptions): number {
    const values = tensors.map(({ tensor }) => tensor[0])
    this.calls.push(`encrypt ${values.join(' ')}`)
    options.onProgress?.({ stage: 'encrypt', round: 0, bytesDone: 0, bytesTotal: 1 })
    this.#sent.push(values)
    return this.#sent.length - 1
  }

  async decryptBatch([inference]: Uint8Array) {
    this.calls.push(`decrypt ${inference}`)
    if (this.#faults.decrypt?.includes(inference)) {
      throw new PolyVeilError('TENSOR_OUT_OF_RANGE', 'No honest result', { batch: 2 })
    }
    const [first, second = first] = this.#sent[inference]
    return [first, second].map((value) => Float64Array.of(value, 0, 0, 0, 0))
  }

  async releaseKeys() {
    this.calls.push('release')
  }
}

const settledBy = (steps: Steps, images: readonly ImageInput[], options: ClassifyOptions = {}) =>
  classifyMany(async () => steps, images, options, 'readable')

/** The logit of class 0, or the code of the error. */
const found = (results: Awaited<ReturnType<typeof settledBy>>): (number | string)[] =>
  results.map((result) =>
    result.status === 'fulfilled'
      ? result.value.find(({ index }) => index === 0)!.logit
      : (result.reason as PolyVeilError).code,
  )

// (value / 255 - 0.5) / 0.25
const [BLACK, WHITE] = [-2, 2]

t.test('unreadable images are left out, and the others fill the batches', async (t) => {
  const steps = new Steps()
  const images = [plain(0), UNREADABLE, plain(255), WILD, plain(255)]
  const progress: ClientProgress[] = []
  const results = await settledBy(steps, images, { onProgress: (state) => progress.push(state) })
  t.strictSame(found(results), [BLACK, 'IMAGE_UNREADABLE', WHITE, 'TENSOR_OUT_OF_RANGE', WHITE])
  t.strictSame(steps.calls, ['encrypt -2 2', 'infer 0', 'encrypt 2', 'infer 1', 'decrypt 0', 'decrypt 1'])
  t.match(progress, [
    { images: [0, 2], inference: 1, inferences: 2 },
    { images: [4], inference: 2, inferences: 2 },
  ])
  t.match(results[0], { value: [{ label: String }] })
  t.strictSame(found(await settledBy(new Steps(), [UNREADABLE, UNREADABLE])), [
    'IMAGE_UNREADABLE',
    'IMAGE_UNREADABLE',
  ])
  t.strictSame(await settledBy(new Steps(), []), [])
})

/**
 * Steps that also record when the mean of the preprocessing is read, which brightness needs, and labels,
 * which ranks need.
 */
class WatchedSteps extends Steps {
  override readonly manifest: Manifest = {
    ...manifest,
    input: { ...manifest.input, preprocessing: this.#watched() },
    labels: new Proxy(manifest.labels, {
      get: (labels, key) => {
        this.calls.push(`label ${String(key)}`)
        return Reflect.get(labels, key)
      },
    }),
  }

  #watched() {
    const { calls } = this
    const preprocessing = manifest.input.preprocessing!
    return {
      ...preprocessing,
      get mean() {
        calls.push('mean')
        return preprocessing.mean
      },
    }
  }
}

t.test('brightness and ranks are computed whether the answer is honest or not', async (t) => {
  const image: PreprocessedImage = { shape: [1, 5, 3], tensor: new Float64Array(15).fill(1) }
  const honest = new WatchedSteps()
  await settledBy(honest, [image])
  const dishonest = new WatchedSteps({ decrypt: [0] })
  t.match(await settledBy(dishonest, [image]), [{ reason: { facts: { brightness: Number } } }])
  const labels = manifest.labels.map((_, k) => `label ${k}`)
  t.strictSame(honest.calls.slice(-7), ['mean', 'decrypt 0', ...labels])
  t.strictSame(dishonest.calls, honest.calls, 'the time of later requests hardly depends on it')
})

t.test('keys of a temporary store are released before any answer is decrypted', async (t) => {
  for (const decrypt of [[], [0]]) {
    const steps = new Steps({ decrypt })
    await settledBy(steps, [plain(0), plain(255), plain(0)], { releaseKeys: true })
    t.strictSame(steps.calls.slice(3), ['infer 1', 'release', 'decrypt 0', 'decrypt 1'])
  }
})

t.test('a batch on which the network diverges affects neither other batches nor the calls', async (t) => {
  const images = [plain(0), plain(255), plain(255), plain(0), plain(0)]
  const good = new Steps()
  await settledBy(good, images)
  const bad = new Steps({ decrypt: [0] })
  const results = await settledBy(bad, images)
  const code = 'TENSOR_OUT_OF_RANGE'
  t.strictSame(found(results), [code, code, WHITE, BLACK, BLACK])
  t.strictSame(bad.calls, good.calls, 'the calls and their order are the same')
  t.ok(
    bad.calls.lastIndexOf('infer 2') < bad.calls.indexOf('decrypt 0'),
    'all queries are sent before any answer is decrypted',
  )
  t.match(results.slice(0, 2), [
    { reason: { message: /This picture has 0\.00$/, facts: { batch: 2, brightness: 0 } } },
    { reason: { message: /This picture has 1\.00$/, facts: { batch: 2, brightness: 1 } } },
  ])
})

t.test('a failed inference ends the sending; earlier answers are kept', async (t) => {
  const fault = new PolyVeilError('WORKER_LOST', 'gone')
  const images = [plain(0), plain(255), plain(255), plain(255), plain(0)]
  const steps = new Steps({ infer: { 1: fault } })
  const results = await settledBy(steps, images)
  t.strictSame(found(results), [BLACK, WHITE, 'WORKER_LOST', 'WORKER_LOST', 'WORKER_LOST'])
  t.strictSame(steps.calls, ['encrypt -2 2', 'infer 0', 'encrypt 2 2', 'infer 1', 'decrypt 0'])
  await t.rejects(settledBy(new Steps({ infer: { 0: fault } }), images), fault)
  const bug = new TypeError('a fault of the program')
  await t.rejects(settledBy(new Steps({ infer: { 1: bug } }), images), bug)
})

t.test('an abort rejects the call', async (t) => {
  const controller = new AbortController()
  controller.abort(new Error('enough'))
  const { signal } = controller
  await t.rejects(settledBy(new Steps(), [plain(0), UNREADABLE], { signal }), { message: 'enough' })
})

t.test('classifyMany with `all` names an unreadable image before anything is sent', async (t) => {
  const steps = new Steps()
  const all = (images: readonly ImageInput[]) => classifyMany(async () => steps, images, {}, 'all')
  await t.rejects(all([plain(0), UNREADABLE]), {
    code: 'IMAGE_UNREADABLE',
    message: /^images\[1\]: 14 samples do not fill 3 x 5/,
    facts: { image: 1 },
  })
  await t.rejects(all([UNREADABLE]), { message: /^14 samples/ })
  t.strictSame(steps.calls, [])
})

t.test('pictures are inverted on request; tensors cannot be', async (t) => {
  const steps = new Steps()
  const tensor: PreprocessedImage = { shape: [1, 5, 3], tensor: new Float64Array(15).fill(0.5) }
  const results = await settledBy(steps, [plain(0), plain(255), tensor], { invert: true })
  t.strictSame(found(results), [WHITE, BLACK, 'CONFIG_INVALID'])
  t.match(results[2], { reason: { message: /already preprocessed and cannot be inverted/ } })
})

t.test(
  'pictures are accepted whatever their preprocessing yields; tensors only if every circuit accepts them',
  async (t) => {
    const server = new FakeServer()
    const preprocessing = { ...circuit.input.preprocessing!, std: [0.05] }
    server.manifest = manifestOf({ ...circuit, input: { ...circuit.input, preprocessing, bound: 10 } })
    using polyveil = await connect(ORIGIN, { keys: memoryKeyStore(), fetch: server.fetch })
    server.intercept = ({ path }) => {
      // The fake server answers only for its own manifest. The test checks that the query was sent.
      if (path.endsWith('/infer')) throw new PolyVeilError('FORBIDDEN', 'sent')
      return undefined
    }
    await t.rejects(polyveil.classify(MODEL, plain(255)), { code: 'FORBIDDEN' })
    await t.rejects(polyveil.classifySettled(MODEL, [plain(255)]), { code: 'FORBIDDEN' })
    const results = await polyveil.classifySettled(MODEL, [WILD])
    t.match(results, [{ status: 'rejected', reason: { code: 'TENSOR_OUT_OF_RANGE' } }])
  },
)

t.test('classes have the labels of the model', async (t) => {
  const [result] = await settledBy(new Steps(), [plain(255)])
  t.match(result, { status: 'fulfilled', value: [{ label: LABELS[0], index: 0, logit: WHITE }] })
})
