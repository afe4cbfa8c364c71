import t from 'tap'
import { configJson } from '../../../bench/parts/config-file.ts'
import { randomWeights } from '../../../bench/parts/random-network/weights.ts'
import {
  architecture,
  type DttnConfig,
  loadNetwork,
  parseConfig,
  readCheckpoint,
} from '../../../src/models/index.ts'
import { changed, filled } from '../support/changed.ts'
import { goldenFile, goldenJson } from '../support/golden.ts'
import { layerOf } from '../support/operations.ts'

const json = (change: object = {}): object => ({ ...(goldenJson('micro_dttn') as object), ...change })
const branches = await readCheckpoint(goldenFile('micro_dttn.pt'))
const product = await readCheckpoint(goldenFile('micro_dttn_product.pt'))

t.test('the published networks have their sizes', async (t) => {
  // The paper states 7.1, 12 and 36 million parameters. These counts follow from the widths and depths alone.
  const sizes = { 'dttn-t': [7_823_210, 34], 'dttn-s': [12_937_748, 44], 'dttn-l': [35_226_720, 56] } as const
  for (const [name, [expected, products]] of Object.entries(sizes)) {
    const config = architecture(name as keyof typeof sizes)
    const weights = randomWeights(config, 1)
    const trained = [...weights].filter(([tensor]) => !tensor.includes('running_'))
    const parameters = trained.reduce((sum, [, { data }]) => sum + data.length, 0)
    t.equal(parameters, expected, `${name}: parameters`)
    const { operations } = loadNetwork(weights, config)
    t.equal(operations.filter(({ kind }) => kind === 'multiply').length, products, `${name}: products`)
  }
  const { geometry, preprocessing } = architecture('dttn-s')
  t.strictSame(
    geometry.map(({ channels, height, width }) => [channels, height, width]),
    [
      [96, 56, 56],
      [128, 28, 28],
      [192, 14, 14],
      [192, 7, 7],
    ],
  )
  t.match(preprocessing, {
    resize: { mode: 'shortSide', size: 256, height: 224 },
    mean: [0.485, 0.456, 0.406],
  })
})

t.test('a config is read from its JSON form, and written', async (t) => {
  const config = parseConfig(json()) as DttnConfig
  t.match(config, { family: 'dttn', layers: [1, 2], dims: [12, 20], scale: 3, form: 'branches', classes: 6 })
  t.equal(config.preprocessing, null, 'it is no published network')
  t.same(parseConfig(configJson(config)), config)
  const published = configJson(architecture('dttn-t')) as Record<string, unknown>
  const stated = parseConfig({ ...published, preprocessing: undefined, form: 'product' })
  t.same(stated.preprocessing, architecture('dttn-t').preprocessing, 'a form may be stated')
  t.equal(parseConfig({ ...published, preprocessing: undefined, scale: 2 }).preprocessing, null)
  t.match(parseConfig(json(), { classes: 4, inputSize: [64, 32] }), {
    classes: 4,
    inputSize: { height: 64, width: 32 },
  })
})

t.test('errors name the field', async (t) => {
  const faults: [message: RegExp, change: object][] = [
    [/config's dims .*1 values, but layers has 2 stages/, { dims: [12] }],
    [/config's transitions/, { transitions: [true] }],
    [/config's layers\.1/, { layers: [1, 0] }],
    [/config's scale/, { scale: 1.5 }],
    [/config's form/, { form: 'sum' }],
    [/config's input .*36 and 32 do not divide by 8/, { input: [36, 32] }],
    [/config's input/, { input: 0 }],
    [/config's classes/, { classes: undefined }],
    [/config's num_classes .*did you mean classes\?/, { num_classes: 6 }],
    [/config's labels/, { labels: ['cat'] }],
  ]
  for (const [message, change] of faults) {
    t.throws(() => parseConfig(json(change)), { code: 'CONFIG_INVALID', message }, String(message))
  }
})

t.test('the form is what the checkpoint shows', async (t) => {
  const { form, ...rest } = goldenJson('micro_dttn_product') as { form: string }
  t.equal(form, 'product')
  t.equal(
    loadNetwork(product, parseConfig(rest)).operations.length,
    loadNetwork(product, parseConfig({ ...rest, form })).operations.length,
  )
  t.throws(() => loadNetwork(product, parseConfig({ ...rest, form: 'branches' })), {
    code: 'CONFIG_INVALID',
    message: /form.*branches.*product/,
    facts: { field: 'form' },
  })
  t.throws(() => loadNetwork(branches, parseConfig(json({ form: 'product' }))), {
    code: 'CONFIG_INVALID',
    message: /form/,
  })
})

t.test('every second block is wider, and reads each input several times', async (t) => {
  const network = loadNetwork(branches, parseConfig(json()))
  t.match(layerOf(network, 'network.2.model.0.L1'), {
    inChannels: 20,
    outChannels: 20,
    groups: 20,
    kernel: 3,
  })
  t.match(layerOf(network, 'network.2.model.1.L1'), {
    inChannels: 20,
    outChannels: 60,
    groups: 20,
    kernel: 3,
  })
  t.match(layerOf(network, 'network.2.model.1.R2'), { inChannels: 60, outChannels: 60, groups: 60 })
  t.ok(layerOf(network, 'network.2.model.1.R1').bias)
})

t.test('every tensor is needed, in its shape', async (t) => {
  const config = parseConfig(json())
  const ignored = /num_batches_tracked$/
  for (const [name, { shape, data }] of branches) {
    const without = () => loadNetwork(changed(branches, { [name]: null }), config)
    // A norm that lacks one of its statistics is incomplete, and no LayerNorm.
    if (ignored.test(name)) t.doesNotThrow(without, name)
    else if (name === 'network.0.model.0.0.norm2.weight') t.throws(without, { code: 'TENSOR_MISSING' }, name)
    else t.throws(without, { code: 'TENSOR_MISSING', facts: { tensor: name } }, name)
    if (shape.length === 0) continue
    const wrong = changed(branches, { [name]: { shape: [...shape, 1], data } })
    t.throws(() => loadNetwork(wrong, config), { code: 'TENSOR_SHAPE', facts: { tensor: name } }, name)
  }
})

t.test('LayerNorm is refused by name', async (t) => {
  const name = 'network.2.model.1.0.norm1'
  const layerNorm = changed(branches, { [`${name}.running_mean`]: null, [`${name}.running_var`]: null })
  t.throws(() => loadNetwork(layerNorm, parseConfig(json())), {
    code: 'NOT_POLYNOMIAL',
    facts: { tensors: [`${name}.weight`] },
  })
})

t.test('a checkpoint of another family is named', async (t) => {
  const cpolynext = await readCheckpoint(goldenFile('micro_t.pt'))
  t.throws(() => loadNetwork(cpolynext, parseConfig(json())), {
    code: 'CONFIG_INVALID',
    message: /config says DTTN, but the checkpoint looks like CPolyNeXt/,
    facts: { field: 'network' },
  })
  t.throws(() => loadNetwork(branches, parseConfig(goldenJson('micro_t'))), {
    code: 'CONFIG_INVALID',
    message: /config says CPolyNeXt, but the checkpoint looks like DTTN/,
  })
})

t.test('tensors that the config does not prescribe are named', async (t) => {
  const extra = changed(branches, { 'network.3.weight': filled([1], 1) })
  t.throws(() => loadNetwork(extra, parseConfig(json())), {
    code: 'CONFIG_INVALID',
    message: /network\.3\.weight/,
  })
})

t.test('a width that changes without a convolution is refused by its field', async (t) => {
  const shape = { layers: [1, 2, 1], dims: [12, 20, 10], transitions: [false, true, false] }
  t.throws(() => parseConfig(json(shape)), {
    code: 'CONFIG_INVALID',
    facts: { field: 'dims[2]' },
    message: /has 10 channels and begins without a convolution, so it must have the 20/,
  })
  t.match(parseConfig(json({ ...shape, dims: [12, 20, 20] })), { dims: [12, 20, 20] })
})

t.test('the checkpoint shows its form also where the first stage begins with a convolution', async (t) => {
  for (const form of ['branches', 'product'] as const) {
    const stated = parseConfig(json({ transitions: [true, true], form })) as DttnConfig
    const weights = randomWeights(stated, 1)
    const open = parseConfig(json({ transitions: [true, true], form: undefined }))
    const names = (network: ReturnType<typeof loadNetwork>): string[] =>
      network.operations.map(({ name }) => name)
    t.strictSame(names(loadNetwork(weights, open)), names(loadNetwork(weights, stated)), form)
    const other = form === 'branches' ? 'product' : 'branches'
    const wrong = parseConfig(json({ transitions: [true, true], form: other }))
    t.throws(() => loadNetwork(weights, wrong), { code: 'CONFIG_INVALID', facts: { field: 'form' } })
  }
})
