import { spaceToDepth } from '../circuit/layout.ts'
import { LEAST_INPUT_BOUND } from '../circuit/manifest/bounds.ts'
import type { InputSpec } from '../circuit/types.ts'
import { largestYield } from '../preprocessing/check.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { Graph, Shape } from './graph/graph.ts'
import { composeStem } from './passes/compose-stem.ts'
import { foldGreyInput } from './passes/grey.ts'
import { patchInput } from './passes/patch-input.ts'

/** The graph of the tensor that the client packs, and the way from images to that tensor. */
export interface PreparedInput {
  readonly graph: Graph
  readonly spec: Pick<InputSpec, 'preprocessing' | 'image' | 'patch' | 'bound'>
  /** Turns an image [3, H, W] of the network, or [1, H, W] of a grey one, into the graph's input tensor. */
  readonly pack: (image: Float64Array) => Float64Array
}

/**
 * Folds three equal channels into one, two convolutions of a stem into one, and a strided stem into patches.
 */
export function prepareInput(network: Graph, preprocessing: Preprocessing | null): PreparedInput {
  const grey = preprocessing?.channels === 'grey'
  const base = grey ? foldGreyInput(network) : network
  const image = base.nodes[0].shape
  const { graph, patch } = patchInput(composeStem(base))
  return {
    graph,
    spec: { preprocessing, image, patch, bound: Math.max(LEAST_INPUT_BOUND, largestYield(preprocessing)) },
    pack: (pixels) => spaceToDepth(sentChannels(pixels, image), image, patch),
  }
}

/** The channels that the client sends: all, or the first of three equal ones. */
const sentChannels = (pixels: Float64Array, [channels, height, width]: Shape): Float64Array =>
  pixels.subarray(0, channels * height * width)
