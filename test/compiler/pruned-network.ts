import {
  architecture,
  type CPolyNeXtConfig,
  cpolynextConfig,
  loadNetwork,
  type Network,
  referenceForward,
} from '../../src/models/index.ts'
import { numbers, syntheticCheckpoint } from '../models/support/checkpoint.ts'

// Weights that are zero: pruned filters, and layers that training has switched off. The map is so large that
// a ciphertext has one lane, so a pruned filter can leave a ciphertext, or one part of its slots, without
// weights.

type Weights = Float32Array
type Checkpoint = ReturnType<typeof syntheticCheckpoint>

/** Sets a range of an array's equal parts to zero: the filters of channels. */
const zeroFilters =
  (channels: readonly number[]) =>
  (data: Weights, [count]: readonly number[]): void => {
    const size = data.length / count
    for (const c of channels) data.fill(0, c * size, (c + 1) * size)
  }

/** Makes filters so small that they round to zero, as weight decay does. */
const shrinkFilters =
  (channels: readonly number[], factor: number) =>
  (data: Weights, [count]: readonly number[]): void => {
    const size = data.length / count
    for (const c of channels) for (let i = c * size; i < (c + 1) * size; i++) data[i] *= factor
  }

const zeroAll = (data: Weights): void => void data.fill(0)

/** Sets the weights that read an input channel to zero. */
const zeroInput =
  (channel: number) =>
  (data: Weights, [outputs, inputs]: readonly number[]): void => {
    const size = data.length / outputs / inputs
    for (let o = 0; o < outputs; o++)
      data.fill(0, (o * inputs + channel) * size, (o * inputs + channel + 1) * size)
  }

export interface Pruning {
  readonly name: string
  readonly tensors: readonly string[]
  readonly prune: (data: Weights, shape: readonly number[]) => void
}

const ops = (index: number): string => `cells.0.ops.${index}`

export const PRUNINGS: readonly Pruning[] = [
  {
    name: 'one channel of a slot',
    tensors: [`${ops(0)}.weight`, `${ops(4)}.weight`],
    prune: zeroFilters([1]),
  },
  {
    name: 'both channels of a slot',
    tensors: [`${ops(0)}.weight`, `${ops(4)}.weight`],
    prune: zeroFilters([0, 1]),
  },
  {
    name: 'almost, both channels of a slot',
    tensors: [`${ops(0)}.weight`, `${ops(1)}.weight`, `${ops(4)}.weight`],
    prune: shrinkFilters([0, 1], 1e-9),
  },
  {
    name: 'almost, to the least numbers of float32',
    tensors: [`${ops(0)}.weight`, `${ops(1)}.weight`, `${ops(4)}.weight`],
    prune: shrinkFilters([2, 3], 1e-42),
  },
  { name: 'channels that are multiplied', tensors: [`${ops(4)}.weight`], prune: zeroFilters([2, 3, 4]) },
  { name: 'coarse filters', tensors: [`${ops(1)}.weight`], prune: zeroFilters([0, 3]) },
  { name: 'fine filters', tensors: [`${ops(2)}.weight`], prune: zeroFilters([2, 3]) },
  {
    name: 'filters behind the product',
    tensors: [`${ops(3)}.0.weight`, `${ops(3)}.1.weight`],
    prune: zeroFilters([1, 2]),
  },
  { name: 'an input', tensors: [`${ops(0)}.weight`, `${ops(4)}.weight`, 'proj.weight'], prune: zeroInput(1) },
  {
    name: 'gains of a norm',
    tensors: [`${ops(3)}.2.gamma_c`, `${ops(5)}.0.gamma_c`],
    prune: zeroFilters([0, 1]),
  },
  { name: 'a whole norm of a branch', tensors: [`${ops(3)}.2.gamma_c`], prune: zeroAll },
  { name: 'a whole norm of positions', tensors: ['norm.gamma_hw'], prune: zeroAll },
  {
    name: 'scales of a cell',
    tensors: ['cells.0.preprocess1.scale'],
    prune: (data) => void data.fill(0, 1, 3),
  },
  { name: 'filters of the stem', tensors: ['stem.weight'], prune: zeroFilters([0, 1]) },
  { name: 'filters of the head', tensors: ['proj.weight'], prune: zeroFilters([0, 1, 5, 9]) },
  { name: 'all that reads an input ciphertext', tensors: ['stem.weight'], prune: zeroInput(2) },
  { name: 'a whole layer', tensors: [`${ops(4)}.weight`], prune: zeroAll },
  { name: 'a whole branch', tensors: [`${ops(3)}.1.weight`], prune: zeroAll },
  { name: 'a whole depthwise layer', tensors: [`${ops(1)}.weight`], prune: zeroAll },
  {
    name: 'a position of a norm',
    tensors: [`${ops(5)}.0.gamma_hw`],
    prune: (data) => void data.fill(0, 7, 90),
  },
  { name: 'a class', tensors: ['head.3.weight', 'head.3.bias'], prune: zeroFilters([1]) },
  { name: 'the weights of all classes', tensors: ['head.3.weight'], prune: zeroAll },
]

const config: CPolyNeXtConfig = cpolynextConfig({
  ...architecture('cpolynext-t'),
  stem: 'lowres',
  initChannels: 4,
  nodes: [2],
  downsizes: [],
  channelMultipliers: [],
  expansionConv: [1],
  expansionMlp: [2],
  classes: 3,
  inputSize: { height: 50, width: 47 },
  preprocessing: undefined,
} as never)

/** The calibration image of the networks. */
export const image = Float64Array.from({ length: 3 * 50 * 47 }, numbers(9))

/** A network with some weights of zero, whose logits on `image` have the usual size. */
export function prunedNetwork({ tensors, prune }: Pruning): Network {
  const checkpoint: Checkpoint = syntheticCheckpoint(config)
  for (const name of tensors) {
    const { shape, data } = checkpoint.get(name)!
    prune(data, shape)
  }
  const logits = referenceForward(loadNetwork(checkpoint, config), image)
  const factor = 3 / Math.max(...logits.map(Math.abs))
  for (const name of ['head.3.weight', 'head.3.bias']) {
    const { shape, data } = checkpoint.get(name)!
    checkpoint.set(name, { shape, data: data.map((x) => x * factor) })
  }
  return loadNetwork(checkpoint, config)
}
