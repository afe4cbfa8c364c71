import t from 'tap'
import {
  type Checkpoint,
  type CheckpointTensor,
  loadNetwork,
  parseConfig,
  readCheckpoint,
} from '../../src/models/index.ts'
import { goldenFile, goldenJson } from './support/golden.ts'
import { layerOf, operationOf, skipsOf } from './support/operations.ts'

const config = parseConfig(goldenJson('micro_s'))
const good = await readCheckpoint(goldenFile('micro_s.pt'))

/** The golden checkpoint with some tensors replaced; null removes a tensor. */
function changed(changes: Record<string, CheckpointTensor | null>): Checkpoint {
  const checkpoint = new Map(good)
  for (const [name, tensor] of Object.entries(changes)) {
    if (tensor) checkpoint.set(name, tensor)
    else checkpoint.delete(name)
  }
  return checkpoint
}

const filled = (shape: number[], value: number): CheckpointTensor => ({
  shape,
  data: new Float32Array(shape.reduce((product, n) => product * n, 1)).fill(value),
})

t.test('a network has the sizes of its config', async (t) => {
  const network = loadNetwork(good, config)
  t.match(layerOf(network, 'stem'), {
    name: 'stem.weight',
    kernel: 7,
    stride: 4,
    padding: 3,
    outChannels: 8,
    groups: 1,
  })
  const coarse = (cell: number) => layerOf(network, `cells.${cell}.stack.0.conv.coarse`)
  t.match(coarse(0), { kernel: 3, dilation: 2, padding: 2, groups: 8 })
  t.match(coarse(2), { kernel: 5, dilation: 2, padding: 4, groups: 24 })
  const reductions = network.operations.filter(({ name }) => name.startsWith('reductions.'))
  t.strictSame(
    reductions.map(({ name }) => name),
    [0, 2, 4].flatMap((r) => [`reductions.${r}.0`, `reductions.${r}.1`, `reductions.${r + 1}`]),
  )
  t.match(layerOf(network, 'reductions.2.0'), { kernel: 3, stride: 2, groups: 16, outChannels: 16 })
  t.match(layerOf(network, 'reductions.2.1'), { kernel: 1, stride: 1, groups: 1, outChannels: 32 })
  t.match(layerOf(network, 'reductions.3'), { kernel: 3, stride: 2, groups: 1, outChannels: 32 })
  t.same(operationOf(network, 'norm', 'norm').shape, [48, 3, 3])
  const skips = good.get('cells.3.skip_weight')!.data
  t.same(skipsOf(network, 'cells.3'), [skips[0], skips[1], skips[2], skips[3]], 'unpaired Sigmoid-Scale')
})

t.test('neighbouring stacks share paired Sigmoid-Scales', async (t) => {
  const checkpoint = await readCheckpoint(goldenFile('micro_t.pt'))
  const network = loadNetwork(checkpoint, parseConfig(goldenJson('micro_t')))
  const skips = checkpoint.get('cells.2.skip_weight')!.data
  t.same(skipsOf(network, 'cells.2'), [skips[0], skips[1], skips[1], skips[2]])
})

t.test('a missing tensor is refused by name', async (t) => {
  const ignored = /num_batches_tracked$|^head\.2\.p$/
  for (const name of good.keys()) {
    const load = () => loadNetwork(changed({ [name]: null }), config)
    if (ignored.test(name)) t.doesNotThrow(load, name)
    else t.throws(load, { code: 'TENSOR_MISSING', facts: { tensor: name } }, name)
  }
})

t.test('a wrong shape is refused by name', async (t) => {
  for (const [name, { shape, data }] of good) {
    if (shape.length === 0) continue
    const wrong = changed({ [name]: { shape: [...shape, 1], data } })
    t.throws(() => loadNetwork(wrong, config), { code: 'TENSOR_SHAPE', facts: { tensor: name } }, name)
  }
  const wrong = changed({ 'norm.gamma_hw': filled([1, 1, 9, 1], 1) })
  t.throws(() => loadNetwork(wrong, config), { message: /\[1,1,9,1\].*\[1,1,3,3\]/ })
})

t.test('a config that contradicts the checkpoint is refused', async (t) => {
  const load = (name: string) => () => loadNetwork(good, parseConfig(goldenJson(name)))
  t.throws(load('micro_lr'), { code: 'TENSOR_SHAPE', message: /stem\.weight/ })
  t.throws(load('micro_t'), { code: 'TENSOR_SHAPE', message: /cells\.0\.skip_weight/ })
  const extra = changed({ 'cells.4.ops.0.weight': filled([1, 1, 1, 1], 1) })
  t.throws(() => loadNetwork(extra, config), { code: 'CONFIG_INVALID', message: /cells\.4\.ops\.0\.weight/ })
})

t.test('LayerNorm is refused by name', async (t) => {
  const layerNorm: Record<string, CheckpointTensor | null> = {}
  for (const name of good.keys()) {
    if (!name.startsWith('norm.')) continue
    layerNorm[name] = null
  }
  layerNorm['norm.weight'] = filled([48], 1)
  layerNorm['norm.bias'] = filled([48], 0)
  t.throws(() => loadNetwork(changed(layerNorm), config), {
    code: 'NOT_POLYNOMIAL',
    message: /norm\.weight/,
    facts: { tensors: ['norm.weight'] },
  })
})

t.test('weights that are not finite are refused', async (t) => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const bad = changed({ 'cells.1.ops.4.weight': filled([32, 16, 1, 1], value) })
    t.throws(() => loadNetwork(bad, config), {
      code: 'CHECKPOINT_UNREADABLE',
      message: /cells\.1\.ops\.4\.weight/,
    })
  }
  const negative = changed({ 'norm.running_var': filled([1, 1, 3, 3], -1) })
  t.throws(() => loadNetwork(negative, config), { code: 'CHECKPOINT_UNREADABLE', message: /variance/ })
})
