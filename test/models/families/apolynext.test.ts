import t from 'tap'
import { configJson } from '../../../bench/parts/config-file.ts'
import { randomWeights } from '../../../bench/parts/random-network/weights.ts'
import {
  architecture,
  type CPolyNeXtConfig,
  cpolynextConfig,
  loadNetwork,
  parseConfig,
  readCheckpoint,
  referenceForward,
} from '../../../src/models/index.ts'
import { changed, filled } from '../support/changed.ts'
import { goldenFile, goldenJson } from '../support/golden.ts'
import { layerOf, operationOf } from '../support/operations.ts'

const good = await readCheckpoint(goldenFile('micro_attn.pt'))
const config = parseConfig(goldenJson('micro_attn')) as CPolyNeXtConfig

t.test('the published network has its heads and products', async (t) => {
  const published = architecture('apolynext-t')
  t.strictSame(
    published.geometry.map(({ heads }) => heads),
    [0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 5, 5],
  )
  const { operations } = loadNetwork(randomWeights(published, 1), published)
  const count = (kind: string): number => operations.filter((operation) => operation.kind === kind).length
  t.equal(count('attention'), 24)
  t.equal(count('multiply'), 4 * 3 + 36 + 1)
})

t.test('a config with attention is read from its JSON form, and written', async (t) => {
  t.ok(config.attention)
  t.same(parseConfig(configJson(config)), config)
})

t.test('stages with attention have three entries of ops for each stack', async (t) => {
  const network = loadNetwork(good, config)
  t.match(layerOf(network, 'cells.1.stack.0.conv.coarse'), { kernel: 5, dilation: 2 })
  t.match(layerOf(network, 'cells.2.stack.0.attention.q'), { kernel: 5, padding: 2, groups: 32 })
  t.match(layerOf(network, 'cells.3.stack.0.attention.v'), { kernel: 3, groups: 32 })
  t.match(layerOf(network, 'cells.3.stack.0.mlp.in'), { name: 'cells.3.ops.1.weight', outChannels: 84 })
  const { layer, shape } = operationOf(network, 'attention', 'cells.3.stack.0.attention.values')
  t.match(layer, { heads: 1, headChannels: 32 })
  t.strictSame([...shape], [32, 2, 2])
  t.equal(layer.gamma.length, 4)
})

t.test('several stacks of a cell have names of their own', async (t) => {
  const { preprocessing, ...fields } = config
  const deeper = cpolynextConfig({ ...fields, nodes: [2, 2, 4, 6], initChannels: 16 })
  const checkpoint = randomWeights(deeper, 1)
  t.ok(checkpoint.has('cells.2.ops.3.1.qkv.weight'))
  t.ok(checkpoint.has('cells.3.ops.8.1.weight'))
  const network = loadNetwork(checkpoint, deeper)
  t.equal(operationOf(network, 'attention', 'cells.3.stack.2.attention.values').layer.heads, 2)
})

t.test('every tensor is needed, in its shape', async (t) => {
  const ignored = /num_batches_tracked$|^head\.2\.p$/
  for (const [name, { shape, data }] of good) {
    if (ignored.test(name)) continue
    const without = () => loadNetwork(changed(good, { [name]: null }), config)
    t.throws(without, { code: 'TENSOR_MISSING', facts: { tensor: name } }, name)
    const wrong = changed(good, { [name]: { shape: [...shape, 1], data } })
    t.throws(() => loadNetwork(wrong, config), { code: 'TENSOR_SHAPE', facts: { tensor: name } }, name)
  }
})

t.test('a denominator that is not positive is refused', async (t) => {
  const name = 'cells.3.ops.0.1.norm.running_denom'
  for (const value of [0, -1]) {
    const wrong = changed(good, { [name]: filled([1, 1, 4, 1], value) })
    t.throws(() => loadNetwork(wrong, config), { code: 'CHECKPOINT_UNREADABLE', facts: { tensor: name } })
  }
})

t.test('errors name the field', async (t) => {
  const { preprocessing, ...fields } = config
  t.throws(() => cpolynextConfig({ ...fields, nodes: [2, 2], downsizes: [1], channelMultipliers: [2] }), {
    code: 'CONFIG_INVALID',
    facts: { field: 'attn' },
    message: /third stage/,
  })
  t.throws(() => cpolynextConfig({ ...fields, inputSize: { height: 2048, width: 1024 } }), {
    code: 'CONFIG_INVALID',
    facts: { field: 'input_size' },
    message: /128 x 64 positions/,
  })
  t.throws(() => loadNetwork(good, cpolynextConfig({ ...fields, attention: false })), {
    code: 'CONFIG_INVALID',
    facts: { field: 'attn' },
    message: /it is false, but cells\.2 of the checkpoint has PolyAttn/,
  })
  const plain = parseConfig(goldenJson('micro_t')) as CPolyNeXtConfig
  const convolutions = await readCheckpoint(goldenFile('micro_t.pt'))
  t.throws(
    () => loadNetwork(convolutions, cpolynextConfig({ ...plain, preprocessing: null, attention: true })),
    {
      code: 'CONFIG_INVALID',
      facts: { field: 'attn' },
      message: /it is true, but cells\.2 of the checkpoint has PolyConv/,
    },
  )
})

t.test('LayerNorm is refused by name', async (t) => {
  for (const norm of ['cells.2.ops.0.0', 'cells.3.ops.0.1.norm2']) {
    const parts = [...good.keys()].filter((name) => name.startsWith(`${norm}.`))
    const layerNorm = changed(good, {
      ...Object.fromEntries(parts.map((name) => [name, null])),
      [`${norm}.weight`]: filled([32], 1),
      [`${norm}.bias`]: filled([32], 0),
    })
    t.throws(() => loadNetwork(layerNorm, config), {
      code: 'NOT_POLYNOMIAL',
      facts: { tensors: [`${norm}.weight`] },
    })
  }
})

t.test('each head has its scale, and each row its constants', async (t) => {
  const { preprocessing, ...fields } = config
  const two = cpolynextConfig({ ...fields, initChannels: 16, inputSize: { height: 64, width: 96 } })
  const checkpoint = randomWeights(two, 1)
  const image = Float64Array.from({ length: 3 * 64 * 96 }, (_, i) => Math.sin(i))
  const logits = referenceForward(loadNetwork(checkpoint, two), image)
  for (const name of ['scale', 'norm.gamma', 'norm.running_denom']) {
    const tensor = checkpoint.get(`cells.3.ops.0.1.${name}`)!
    for (const index of [0, tensor.data.length - 1]) {
      const data = tensor.data.slice()
      data[index] += 0.5
      const other = changed(checkpoint, { [`cells.3.ops.0.1.${name}`]: { ...tensor, data } })
      t.notSame(referenceForward(loadNetwork(other, two), image), logits, `${name} ${index}`)
    }
  }
})
