import { spaceToDepth } from '../circuit/layout.ts'
import type { InputSpec } from '../circuit/types.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { Graph, Shape } from './graph/graph.ts'
import { foldGreyInput } from './passes/grey.ts'
import { patchInput } from './passes/patch-input.ts'

/** The graph on what the client packs, and how it gets there. */
export interface PreparedInput {
  readonly graph: Graph
  readonly spec: Pick<InputSpec, 'preprocessing' | 'image' | 'patch' | 'bound'>
  /** From an image [3, H, W] of the network, or [1, H, W] of a grey one, to the graph's input tensor. */
  readonly pack: (image: Float64Array) => Float64Array
}

/** Slack over the largest normalised pixel, for interpolation that overshoots. */
const BOUND_SLACK = 1.25
/** Ranges take inputs to have deviation 1. White noise of that kind, as golden tensors are made of, stays below this. */
const BOUND_DEVIATIONS = 6

/** Sends one channel where three are equal, and patches where the stem strides. */
export function prepareInput(network: Graph, preprocessing: Preprocessing | null): PreparedInput {
  const grey = preprocessing?.channels === 'grey'
  const base = grey ? foldGreyInput(network) : network
  const image = base.nodes[0].shape
  const { graph, patch } = patchInput(base)
  return {
    graph,
    spec: { preprocessing, image, patch, bound: inputBound(preprocessing) },
    pack: (pixels) => spaceToDepth(sentChannels(pixels, image), image, patch),
  }
}

/** The channels that are sent: all, or the first of three equal ones. */
const sentChannels = (pixels: Float64Array, [channels, height, width]: Shape): Float64Array =>
  pixels.subarray(0, channels * height * width)

/** Largest absolute value of an input: of a normalised pixel in 0..1 or of white noise, whichever is larger. */
function inputBound(preprocessing: Preprocessing | null): number {
  if (preprocessing === null) return BOUND_DEVIATIONS
  const { mean, std } = preprocessing
  const extremes = mean.flatMap((m, c) => [m / std[c], (1 - m) / std[c]])
  return Math.max(BOUND_DEVIATIONS, BOUND_SLACK * Math.max(...extremes))
}
