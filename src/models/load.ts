import { PolyVeilError } from '../errors/index.ts'
import type { Checkpoint } from './checkpoint/index.ts'
import type { NetworkConfig } from './config.ts'
import type { DownsizeType } from './config-literal.ts'
import {
  type CellGeometry,
  coarseKernel,
  type KernelShape,
  POINTWISE,
  reductionKernel,
  SAME_3X3,
  STEM_KERNEL,
} from './geometry.ts'
import { invalidConfig } from './invalid-config.ts'
import type { Cell, Convolution, Network, PolyConv, PolyMlp, PolyNorm } from './network.ts'
import { refusePrefixed } from './prefix.ts'
import { TensorReader } from './tensor-reader.ts'

const IMAGE_CHANNELS = 3

/** Entries of `ops` that one stack takes: four of PolyConv, two of PolyMLP. */
const OPS_PER_STACK = 6

/**
 * Builds a network from a checkpoint, which must hold exactly the tensors that the config prescribes. The
 * weights are the checkpoint's own arrays, not copies.
 *
 * @throws TENSOR_MISSING, TENSOR_SHAPE naming the tensor; TENSOR_MISSING naming the prefix when all names
 *   have one
 * @throws NOT_POLYNOMIAL naming the tensors of LayerNorm and the like
 * @throws CONFIG_INVALID when the checkpoint has tensors that the config does not prescribe, or the config
 *   has attention
 * @throws CHECKPOINT_UNREADABLE when a weight is not finite or a variance negative
 */
export function loadNetwork(checkpoint: Checkpoint, config: NetworkConfig): Network {
  if (config.attention) {
    throw invalidConfig('attn', 'PolyAttn (the APolyNeXt networks) is not supported; use a CPolyNeXt network')
  }
  refusePrefixed(checkpoint)
  refuseLayerNorm(checkpoint)
  const tensors = new TensorReader(checkpoint)
  const last = config.geometry[config.geometry.length - 1]
  const network: Network = {
    config,
    height: config.inputSize.height,
    width: config.inputSize.width,
    stem: convolution(tensors, 'stem', IMAGE_CHANNELS, config.initChannels, STEM_KERNEL[config.stem]),
    cells: config.geometry.map((_, index) => loadCell(tensors, config, index)),
    norm: polyNorm(tensors, 'norm', last.channels, last),
    proj: convolution(tensors, 'proj', last.channels, 4 * last.channels, POINTWISE),
    head: {
      classes: config.classes,
      weight: tensors.take('head.3.weight', [config.classes, 2 * last.channels]),
      bias: tensors.take('head.3.bias', [config.classes]),
    },
  }
  tensors.refuseUnread()
  return network
}

/** Where a network has norms; a training module may have other vectors of weights beside it. */
const NORMS = /^(cells\.\d+|norm)\./

/** A norm with a one-dimensional `weight` and no running statistics normalises by the input itself. */
function refuseLayerNorm(checkpoint: Checkpoint): void {
  const names = [...checkpoint]
    .filter(([name, { shape }]) => NORMS.test(name) && name.endsWith('.weight') && shape.length === 1)
    .map(([name]) => name)
    .filter((name) => !checkpoint.has(name.replace(/weight$/, 'running_mean')))
  if (names.length === 0) return
  const some = names.slice(0, 3).join(', ') + (names.length > 3 ? ` and ${names.length - 3} more` : '')
  throw new PolyVeilError('NOT_POLYNOMIAL', `The checkpoint has LayerNorm, which is no polynomial: ${some}`, {
    tensors: names.slice(0, 100),
  })
}

function loadCell(tensors: TensorReader, config: NetworkConfig, index: number): Cell {
  const cell = config.geometry[index]
  const name = `cells.${index}`
  const scale = (input: string): Float32Array =>
    tensors.take(`${name}.${input}.scale`, [1, cell.channels, 1, 1])
  const skips = tensors.take(`${name}.skip_weight`, [config.sigmoidScales])
  return {
    ...(cell.downsizes && { reductions: loadReductions(tensors, config.downsizeTypes, cell) }),
    preprocess0: scale('preprocess0'),
    preprocess1: scale('preprocess1'),
    norm: polyNorm(tensors, `${name}.postprocess`, cell.channels, cell),
    stacks: Array.from({ length: config.nodes[index] / 2 }, (_, j) => {
      const [convSkip, mlpSkip] = config.pairedScale ? [j, j + 1] : [2 * j, 2 * j + 1]
      const op = (k: number): string => `${name}.ops.${OPS_PER_STACK * j + k}`
      return {
        conv: loadPolyConv(tensors, op, cell, skips[convSkip]),
        mlp: loadPolyMlp(tensors, op, cell, skips[mlpSkip]),
      }
    }),
    channels: cell.channels,
    height: cell.height,
    width: cell.width,
  }
}

function loadReductions(
  tensors: TensorReader,
  [type0, type1]: NetworkConfig['downsizeTypes'],
  cell: CellGeometry,
): Cell['reductions'] {
  const first = 2 * (cell.stage - 1)
  return {
    s0: loadReduction(tensors, `reductions.${first}`, type0, cell),
    s1: loadReduction(tensors, `reductions.${first + 1}`, type1, cell),
  }
}

function loadReduction(
  tensors: TensorReader,
  name: string,
  type: DownsizeType,
  { inChannels, channels }: CellGeometry,
): Convolution[] {
  const kernel = reductionKernel(type)
  if (type.startsWith('full')) return [convolution(tensors, name, inChannels, channels, kernel)]
  return [
    depthwise(tensors, `${name}.0`, inChannels, kernel),
    convolution(tensors, `${name}.1`, inChannels, channels, POINTWISE),
  ]
}

function loadPolyConv(
  tensors: TensorReader,
  op: (k: number) => string,
  { channels, convChannels, stage, ...map }: CellGeometry,
  skip: number,
): PolyConv {
  return {
    pointwiseIn: convolution(tensors, op(0), channels, convChannels, POINTWISE),
    coarse: depthwise(tensors, op(1), convChannels, coarseKernel(stage)),
    fine: depthwise(tensors, op(2), convChannels, SAME_3X3),
    depthwise: depthwise(tensors, `${op(3)}.0`, convChannels, SAME_3X3),
    pointwiseOut: convolution(tensors, `${op(3)}.1`, convChannels, channels, POINTWISE),
    norm: polyNorm(tensors, `${op(3)}.2`, channels, map),
    skip,
  }
}

function loadPolyMlp(
  tensors: TensorReader,
  op: (k: number) => string,
  { channels, mlpChannels, ...map }: CellGeometry,
  skip: number,
): PolyMlp {
  return {
    pointwiseIn: convolution(tensors, op(4), channels, mlpChannels, POINTWISE),
    norm: polyNorm(tensors, `${op(5)}.0`, mlpChannels / 2, map),
    pointwiseOut: convolution(tensors, `${op(5)}.1`, mlpChannels / 2, channels, POINTWISE),
    skip,
  }
}

function convolution(
  tensors: TensorReader,
  name: string,
  inChannels: number,
  outChannels: number,
  kernel: KernelShape,
  groups = 1,
): Convolution {
  const weightName = `${name}.weight`
  const shape = [outChannels, inChannels / groups, kernel.kernel, kernel.kernel]
  const weight = tensors.take(weightName, shape)
  return { name: weightName, weight, inChannels, outChannels, groups, ...kernel }
}

const depthwise = (tensors: TensorReader, name: string, channels: number, kernel: KernelShape): Convolution =>
  convolution(tensors, name, channels, channels, kernel, channels)

function polyNorm(
  tensors: TensorReader,
  name: string,
  channels: number,
  { height, width }: { readonly height: number; readonly width: number },
): PolyNorm {
  const map = [1, 1, height, width]
  return {
    name,
    channels,
    height,
    width,
    gammaC: tensors.take(`${name}.gamma_c`, [channels]),
    gammaHW: tensors.take(`${name}.gamma_hw`, map),
    mean: tensors.take(`${name}.running_mean`, map),
    variance: tensors.takeVariance(`${name}.running_var`, map),
  }
}
