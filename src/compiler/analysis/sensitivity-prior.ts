import type { ConvNode, Graph, Node, NodeId, NodeOf, Sensitivity } from '../graph/graph.ts'
import { rootMeanSquare } from '../graph/statistics.ts'
import { meanSquareOfTaps } from '../graph/taps.ts'
import { attentionMaskSensitivity, backThroughAttention } from './attention.ts'
import { COHERENT_SHARE, coherence } from './coherence.ts'
import { estimateRanges, type Range } from './ranges.ts'

/**
 * Assumed deviation of a logit when every element of a residual sum, in units in which sums are near 1, has
 * an independent error of deviation 1. The measured deviation was 0.1 to 0.6 at all sums, first and last, of
 * trained and random networks of 3 to 73 products, and up to 1.5 in one random network. Residual networks
 * neither amplify errors with depth nor damp them.
 */
const OF_SUMS = 0.35

/**
 * Variance in a logit of errors that are equal along rows and in all channels, relative to that of
 * independent errors. It was 2 to 18 behind the strided convolutions of a network trained on photographs.
 */
const COHERENT_ALONG_ROWS = 8

/**
 * Estimates sensitivities without images, from the weights and the ranges of tensors. Residual sums get the
 * sensitivity that was measured in other networks. Between sums, variances are propagated backwards as if
 * errors were independent. The estimate can be several times too small or too large.
 */
export function estimateSensitivities(graph: Graph): Graph {
  const ranges = estimateRanges(graph)
  const variances = propagateBack(graph, ranges)
  return {
    ...graph,
    nodes: graph.nodes.map((node, id) => ({
      ...node,
      sensitivity: sensitivityOf(id, graph, ranges, variances[id]),
    })),
  }
}

/** Variance of a logit for independent errors of variance 1 in a node's elements. */
function propagateBack({ nodes, output }: Graph, ranges: readonly Range[]): Float64Array {
  const variances = new Float64Array(nodes.length)
  variances[output] = 1
  for (let id = output; id >= 0; id--) {
    const node = nodes[id]
    if (node.kind === 'add') variances[id] = OF_SUMS ** 2
    const own = variances[id]
    switch (node.kind) {
      case 'add':
        variances[node.left] += own
        variances[node.right] += own
        break
      case 'multiply':
        variances[node.left] += own * ranges[node.right].rms ** 2
        variances[node.right] += own * ranges[node.left].rms ** 2
        // The errors of both factors of a square are equal.
        if (node.left === node.right) variances[node.left] *= 2
        break
      case 'scores':
      case 'attend': {
        const [left, right] = backThroughAttention(node, { nodes, output }, ranges)
        variances[node.left] += own * left
        variances[node.right] += own * right
        break
      }
      case 'conv':
        variances[node.source] += own * meanRow(node)
        break
      case 'diagonal':
        variances[node.source] += own * (rootMeanSquare(node.channel) * rootMeanSquare(node.position)) ** 2
        break
      case 'taps':
        variances[node.source] += own * meanSquareOfTaps(node)
        break
      case 'head':
        variances[node.source] += ofHead(node, nodes[node.source])
        break
      case 'bias':
      case 'exchange':
      case 'repack':
        variances[node.source] += own
        break
      case 'input':
      case 'norm':
      case 'sigmoidScale':
      case 'scaleChannels':
      case 'flip':
      case 'slice':
        break
      default:
        node satisfies never
    }
  }
  return variances
}

/** Mean square of an output for independent inputs of deviation 1. */
const meanRow = ({ weight, shape, position }: ConvNode): number =>
  (rootMeanSquare(weight) ** 2 * weight.length * (position ? rootMeanSquare(position) ** 2 : 1)) / shape[0]

/** The head's factor of variance from its source to a logit. */
const ofHead = ({ weight, bias }: NodeOf<'head'>, { shape: [, height, width] }: Node): number =>
  (rootMeanSquare(weight) ** 2 * weight.length) / bias.length / (height * width)

function sensitivityOf(id: NodeId, graph: Graph, ranges: readonly Range[], variance: number): Sensitivity {
  const { nodes } = graph
  const node = nodes[id]
  const tensor = Math.sqrt(variance)
  const [channels, height, width] = node.shape
  const relative = tensor * ranges[id].rms
  if (node.kind === 'head') {
    const source = nodes[node.source].shape
    const area = source[1] * source[2]
    const mean = ranges[node.source].rms * Math.sqrt(1 / area + COHERENT_SHARE)
    return { tensor, relative, weights: area * mean * Math.sqrt(source[0]), scattered: 0, moved: 0 }
  }
  if (node.kind === 'conv') {
    const fan = (node.weight.length / node.shape[0]) * ranges[node.source].rms ** 2
    const scale = node.position ? rootMeanSquare(node.position) : 1
    return {
      tensor,
      relative,
      weights: tensor * scale * Math.sqrt(fan * coherence(height * width)),
      scattered: tensor * Math.sqrt(fan * (node.position ? coherence(channels) : 1)),
      moved: node.stride > 1 ? relative * Math.sqrt(width * COHERENT_ALONG_ROWS) : 0,
    }
  }
  if (node.kind === 'scores' || node.kind === 'attend') {
    const [, toRight] = backThroughAttention(node, graph, ranges)
    const masked = node.kind === 'scores' ? tensor * Math.sqrt(toRight) * ranges[node.right].rms : relative
    return { tensor, relative, weights: attentionMaskSensitivity(node, masked), scattered: 0, moved: 0 }
  }
  const terms = node.kind === 'diagonal' ? 1 : node.kind === 'taps' ? node.taps.length : 0
  const scattered =
    'source' in node ? tensor * ranges[node.source].rms * Math.sqrt(terms * coherence(channels)) : 0
  return { tensor, relative, weights: 0, scattered, moved: 0 }
}
