import t from 'tap'
import { configJson } from '../../../bench/parts/config-file.ts'
import { randomWeights } from '../../../bench/parts/random-network/weights.ts'
import {
  architecture,
  type Checkpoint,
  loadNetwork,
  type MonetConfig,
  monetConfig,
  parseConfig,
  readCheckpoint,
} from '../../../src/models/index.ts'
import { changed, filled } from '../support/changed.ts'
import { goldenFile, goldenJson } from '../support/golden.ts'
import { layerOf, operationOf } from '../support/operations.ts'

const json = (change: object = {}): object => ({ ...(goldenJson('micro_monet') as object), ...change })
const good = await readCheckpoint(goldenFile('micro_monet.pt'))

t.test('the published networks have their sizes', async (t) => {
  // The paper states 10.3 and 32.9 million parameters, of the variant with LayerNorm.
  const sizes = { 'monet-t': [10.4, 68], 'monet-s': [32.9, 72] } as const
  for (const [name, [millions, products]] of Object.entries(sizes)) {
    const config = architecture(name as keyof typeof sizes)
    const weights = randomWeights(config, 1)
    const trained = [...weights].filter(([tensor]) => !tensor.includes('running_'))
    const parameters = trained.reduce((sum, [, { data }]) => sum + data.length, 0)
    t.equal(Math.round(parameters / 1e5) / 10, millions, `${name}: ${parameters} parameters`)
    const { operations } = loadNetwork(weights, config)
    t.equal(operations.filter(({ kind }) => kind === 'multiply').length, products, `${name}: products`)
  }
  const { geometry, preprocessing } = architecture('monet-t')
  t.strictSame(
    geometry.map(({ channels, height, width }) => [channels, height, width]),
    [
      [64, 56, 56],
      [128, 28, 28],
      [192, 14, 14],
      [192, 7, 7],
    ],
  )
  t.match(preprocessing, { resize: { mode: 'shortSide', size: 256, height: 224 }, mean: [0.5, 0.5, 0.5] })
})

t.test('a config is read from its JSON form, and written', async (t) => {
  const config = parseConfig(json()) as MonetConfig
  t.match(config, { family: 'monet', dims: [16, 24], expansion: 3, norm: 'position', normBias: true })
  t.same(parseConfig(configJson(config)), config)
  const published = configJson(architecture('monet-s')) as Record<string, unknown>
  const stated = parseConfig({ ...published, preprocessing: undefined, norm: 'channel', norm_bias: true })
  t.same(stated.preprocessing, architecture('monet-s').preprocessing, 'the norm may be stated')
  const odd = parseConfig(json({ input: [44, 36] })) as MonetConfig
  t.match(odd.geometry, [
    { height: 11, width: 9 },
    { height: 6, width: 5 },
  ])
})

t.test('errors name the field', async (t) => {
  const faults: [message: RegExp, change: object][] = [
    [/config's dims .*3 values, but layers has 2 stages/, { dims: [16, 24, 32] }],
    [/config's dims\.1 .*22 channels do not divide by 4/, { dims: [16, 22] }],
    [/config's dims\.0 .*20 channels do not divide by 8/, { dims: [20, 24] }],
    [/config's expansion/, { expansion: 0 }],
    [/config's input .*30 and 32 do not divide by 4/, { input: [30, 32] }],
    [/config's norm_bias/, { norm_bias: 'yes' }],
    [/config's normbias .*did you mean norm_bias\?/, { normbias: true }],
  ]
  for (const [message, change] of faults) {
    t.throws(() => parseConfig(json(change)), { code: 'CONFIG_INVALID', message }, String(message))
  }
  t.throws(() => parseConfig(json({ norm: 'layer' })), { code: 'NOT_POLYNOMIAL', message: /"layer"/ })
})

t.test('the norms are what the checkpoint shows', async (t) => {
  const { norm, norm_bias, ...rest } = goldenJson('micro_monet') as Record<string, unknown>
  t.strictSame([norm, norm_bias], ['position', true])
  t.ok(loadNetwork(good, parseConfig(rest)))
  const faults: [field: string, change: object][] = [
    ['norm', { norm: 'channel' }],
    ['norm_bias', { norm_bias: false }],
  ]
  for (const [field, change] of faults) {
    t.throws(() => loadNetwork(good, parseConfig({ ...rest, ...change })), {
      code: 'CONFIG_INVALID',
      facts: { field },
    })
  }
})

t.test('networks without betas, and with norms of channels, load', async (t) => {
  const { preprocessing, ...fields } = parseConfig(json()) as MonetConfig
  const variants = [
    { norm: 'position', normBias: false },
    { norm: 'channel', normBias: true },
  ] as const
  for (const variant of variants) {
    const config = monetConfig({ ...fields, ...variant })
    const checkpoint: Checkpoint = randomWeights(config, 3)
    const shown = monetConfig({ ...fields, norm: null, normBias: null })
    const norms = (own: MonetConfig) =>
      loadNetwork(checkpoint, own).operations.filter(({ kind }) => kind === 'norm')
    t.same(norms(shown), norms(config), variant.norm)
    const norm = operationOf(loadNetwork(checkpoint, config), 'norm', 'network.0.model.0.mlp1.norm1').norm
    t.equal('gammaHW' in norm, variant.norm === 'position')
    t.equal('betaC' in norm, false)
  }
  t.throws(
    () =>
      loadNetwork(
        randomWeights(monetConfig({ ...fields, norm: 'channel', normBias: null }), 3),
        monetConfig({ ...fields, norm: 'channel', normBias: false }),
      ),
    { code: 'CONFIG_INVALID', facts: { field: 'norm_bias' } },
  )
})

t.test('both halves of a block have one norm, and the second is wider', async (t) => {
  const network = loadNetwork(good, parseConfig(json()))
  const normOf = (half: string) => operationOf(network, 'norm', `network.2.model.1.${half}.norm`).norm
  t.equal(normOf('mlp1'), normOf('mlp2'))
  t.match(layerOf(network, 'network.2.model.1.mlp1.U2'), { inChannels: 24, outChannels: 3 })
  t.match(layerOf(network, 'network.2.model.1.mlp2.U1'), { inChannels: 24, outChannels: 72 })
  t.match(layerOf(network, 'network.1'), {
    kernel: 3,
    stride: 2,
    padding: 1,
    inChannels: 16,
    outChannels: 24,
  })
})

t.test('every tensor is needed, in its shape', async (t) => {
  const config = parseConfig(json())
  for (const [name, { shape, data }] of good) {
    if (name.endsWith('num_batches_tracked')) continue
    const without = () => loadNetwork(changed(good, { [name]: null }), config)
    // The first norm's tensors show which norms there are.
    const shows = /^network\.0\.model\.0\.0\.norm\.(beta_c|gamma_hw)$/.test(name)
    if (shows) t.throws(without, name)
    else t.throws(without, { code: 'TENSOR_MISSING', facts: { tensor: name } }, name)
    const wrong = changed(good, { [name]: { shape: [...shape, 1], data } })
    t.throws(() => loadNetwork(wrong, config), { code: 'TENSOR_SHAPE', facts: { tensor: name } }, name)
  }
})

t.test('LayerNorm is refused by name', async (t) => {
  const names = ['network.0.model.0.0.norm', 'network.2.model.1.0.mlp2.norm3']
  for (const name of names) {
    const parts = [...good.keys()].filter((tensor) => tensor.startsWith(`${name}.`))
    const layerNorm = changed(good, {
      ...Object.fromEntries(parts.map((tensor) => [tensor, null])),
      [`${name}.weight`]: filled([24], 1),
      [`${name}.bias`]: filled([24], 0),
    })
    t.throws(() => loadNetwork(layerNorm, parseConfig(json())), {
      code: 'NOT_POLYNOMIAL',
      facts: { tensors: [`${name}.weight`] },
    })
  }
})

t.test('a checkpoint of another family is named', async (t) => {
  const dttn = await readCheckpoint(goldenFile('micro_dttn.pt'))
  t.throws(() => loadNetwork(dttn, parseConfig(json())), {
    code: 'CONFIG_INVALID',
    message: /config says MONet, but the checkpoint looks like DTTN/,
  })
  t.throws(() => loadNetwork(good, parseConfig(goldenJson('micro_dttn'))), {
    code: 'CONFIG_INVALID',
    message: /config says DTTN, but the checkpoint looks like MONet/,
  })
})
