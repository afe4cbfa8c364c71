import type { Graph, Node, NodeOf } from '../graph/graph.ts'
import { rootMeanSquare } from '../graph/statistics.ts'
import { meanSquareOfTaps } from '../graph/taps.ts'
import { passedByAttention } from './attention.ts'
import { bitsBelow, fanIn, type IncomingErrors } from './incoming.ts'
import { estimateRanges, type Range } from './ranges.ts'

/**
 * Estimates the result of `rehearse` without images. Variances are propagated from node to node as if errors
 * were independent of each other and of the values.
 *
 * @returns for each node, the bits by which its errors lie below its values
 */
export function propagateErrors(graph: Graph, incoming: readonly IncomingErrors[]): number[] {
  const ranges = estimateRanges(graph)
  const variances: number[] = []
  graph.nodes.forEach((node, id) => {
    variances[id] =
      ownVariance(node, graph, incoming[id], ranges) + passedVariance(node, graph, variances, ranges)
  })
  return variances.map((variance, id) => bitsBelow(ranges[id].rms ** 2, variance))
}

/** Variance of the errors that enter a node's tensor. */
function ownVariance(
  node: Node,
  { nodes }: Graph,
  { tensor, weights }: IncomingErrors,
  ranges: readonly Range[],
): number {
  if (weights === 0 || !('source' in node)) return tensor
  const [channels, height, width] = nodes[node.source].shape
  // The head's weights are divided by the area before they are encoded.
  const terms = node.kind === 'head' ? channels * height * width : fanIn(node)
  return tensor + weights * terms * ranges[node.source].rms ** 2
}

/** Variance of the operands' errors after the node. */
function passedVariance(
  node: Node,
  graph: Graph,
  variances: readonly number[],
  ranges: readonly Range[],
): number {
  const { nodes } = graph
  switch (node.kind) {
    case 'input':
      return 0
    case 'add':
      return variances[node.left] + variances[node.right]
    case 'scores':
    case 'attend':
      return passedByAttention(node, graph, variances, ranges)
    case 'multiply':
      // The errors of both factors of a square are equal.
      if (node.left === node.right) return 4 * variances[node.left] * ranges[node.left].rms ** 2
      return (
        variances[node.left] * ranges[node.right].rms ** 2 +
        variances[node.right] * ranges[node.left].rms ** 2
      )
    case 'conv': {
      const position = node.position ? rootMeanSquare(node.position) : 1
      return variances[node.source] * fanIn(node) * (rootMeanSquare(node.weight) * position) ** 2
    }
    case 'diagonal':
      return variances[node.source] * (rootMeanSquare(node.channel) * rootMeanSquare(node.position)) ** 2
    case 'taps':
      return variances[node.source] * meanSquareOfTaps(node)
    case 'head':
      return variances[node.source] * meanGain(node, nodes[node.source])
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'bias':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
      return variances[node.source]
  }
}

/** Mean square of an output for independent inputs of deviation 1. */
const meanGain = ({ weight }: NodeOf<'head'>, { shape: [channels, height, width] }: Node): number =>
  (rootMeanSquare(weight) ** 2 * channels) / (height * width)
