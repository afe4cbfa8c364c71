import t from 'tap'
import {
  architecture,
  type Checkpoint,
  cpolynextConfig,
  loadNetwork,
  referenceForward,
} from '../../../src/models/index.ts'
import { numbers, syntheticCheckpoint, transposed, transposeMaps } from '../support/checkpoint.ts'
import { maxAbsDifference } from '../support/golden.ts'

/** A small network with an odd, oblong input of 19 x 34. Its maps have 5 x 9 and 3 x 5 positions. */
const oblong = cpolynextConfig({
  ...architecture('cpolynext-t'),
  initChannels: 6,
  nodes: [2, 4],
  downsizes: [1],
  channelMultipliers: [2],
  classes: 5,
  inputSize: { height: 19, width: 34 },
  preprocessing: undefined,
})

const turnedConfig = cpolynextConfig({
  ...oblong,
  inputSize: { height: 34, width: 19 },
  preprocessing: undefined,
})

t.test('exchanging height and width everywhere does not change the logits', async (t) => {
  const checkpoint: Checkpoint = syntheticCheckpoint(oblong)
  const next = numbers(5)
  const input = Float32Array.from({ length: 3 * 19 * 34 }, next)
  const shapes: Record<string, readonly number[]> = {}
  const logits = referenceForward(loadNetwork(checkpoint, oblong), input, (name, { shape }) => {
    shapes[name] = shape
  })
  const turned = loadNetwork(transposed(checkpoint), turnedConfig)
  t.ok(maxAbsDifference(referenceForward(turned, transposeMaps(input, 19, 34)), logits) < 1e-9)
  t.same(shapes.stem, [6, 5, 9])
  t.same(shapes['cells.1'], [12, 3, 5])
  t.ok(logits.every((x) => Number.isFinite(x) && x !== 0))
  t.throws(() => loadNetwork(checkpoint, turnedConfig), { code: 'TENSOR_SHAPE', message: /postprocess/ })
})

t.test('the observer gets every documented name once, in order', async (t) => {
  const names: string[] = []
  const network = loadNetwork(syntheticCheckpoint(oblong), oblong)
  referenceForward(network, new Float32Array(3 * 19 * 34), (name) => names.push(name))
  const stack = (p: string): string[] => [
    ...['b', 'coarse', 'fine', 'product', 'depthwise', 'out', 'norm'].map((part) => `${p}.conv.${part}`),
    `${p}.conv`,
    ...['in', 'product', 'norm', 'out'].map((part) => `${p}.mlp.${part}`),
    `${p}.mlp`,
  ]
  t.same(names, [
    'input',
    'stem',
    'cells.0.sum',
    'cells.0.postprocess',
    ...stack('cells.0.stack.0'),
    'cells.0',
    'reductions.0.0',
    'reductions.0',
    'reductions.1.0',
    'reductions.1',
    'cells.1.sum',
    'cells.1.postprocess',
    ...stack('cells.1.stack.0'),
    ...stack('cells.1.stack.1'),
    'cells.1',
    'norm',
    'proj',
    'head.product',
    'head.sum',
    'head.pool',
    'logits',
  ])
})

t.test('CPolyNeXt-T loads at its published size', async (t) => {
  const config = architecture('cpolynext-t')
  const checkpoint = syntheticCheckpoint(config)
  const cells = loadNetwork(checkpoint, config).operations.filter(({ name }) =>
    /^cells\.\d+\.sum$/.test(name),
  )
  t.equal(cells.length, 12)
  const trained = [...checkpoint].filter(([name]) => !/gamma_hw|running|tracked|head\.2\.p/.test(name))
  const parameters = trained.reduce((sum, [, { data }]) => sum + data.length, 0)
  // The published figure is that of the variant with LayerNorm, which has no gamma for positions.
  t.equal(Math.round(parameters / 1e5) / 10, 6.4, `${parameters} parameters; 6.4 million are published`)
})
