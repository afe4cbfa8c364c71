import { evaluate } from '../graph/evaluate.ts'
import type { Graph, Node, NodeId } from '../graph/graph.ts'
import { deviation, geometricMean, peak, rootMeanSquare } from '../graph/statistics.ts'
import { meanSquareOfTaps } from '../graph/taps.ts'
import { attentionRms } from './attention.ts'

/** Root mean square and largest absolute value of a tensor. */
export interface Range {
  readonly rms: number
  readonly peak: number
}

/**
 * Assumed ratio of a tensor's peak to its root mean square, where no image was measured. In trained networks
 * the ratio is at most 50; the largest is inside PolyConv, before its poly-BN.
 */
export const PEAK_FACTOR = 64

/**
 * Estimates ranges without images. Poly-BN statistics give the root mean square of each normalised tensor in
 * training. The ranges of the tensors between are propagated as if inputs were independent.
 *
 * @returns one range for each node
 */
export function estimateRanges(graph: Graph): Range[] {
  const rms: number[] = []
  graph.nodes.forEach((node, id) => {
    rms[id] = node.rms ?? propagate(node, rms, graph)
  })
  return rms.map((value) => ({ rms: value, peak: value * PEAK_FACTOR }))
}

function propagate(node: Node, rms: readonly number[], graph: Graph): number {
  switch (node.kind) {
    case 'input':
      return 1
    case 'conv': {
      const fanIn = node.weight.length / node.shape[0]
      const gain = rootMeanSquare(node.weight) * Math.sqrt(fanIn)
      return rms[node.source] * gain * (node.position ? rootMeanSquare(node.position) : 1)
    }
    case 'diagonal':
      return rms[node.source] * rootMeanSquare(node.channel) * rootMeanSquare(node.position)
    case 'taps':
      return rms[node.source] * Math.sqrt(meanSquareOfTaps(node))
    case 'norm':
      return rms[node.source] * rootMeanSquare(node.channel) * rootMeanSquare(node.position)
    case 'scaleChannels':
      return rms[node.source] * rootMeanSquare(node.channel)
    case 'sigmoidScale':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
      return rms[node.source]
    case 'bias':
      return Math.hypot(rms[node.source], rootMeanSquare(node.bias))
    case 'add':
      return Math.hypot(rms[node.left], rms[node.right])
    case 'multiply':
      return rms[node.left] * rms[node.right]
    case 'scores':
    case 'attend':
      return attentionRms(node, graph, rms)
    case 'head': {
      const [channels] = graph.nodes[node.source].shape
      const gain = rootMeanSquare(node.weight) * Math.sqrt(channels)
      return Math.hypot(rms[node.source] * gain, rootMeanSquare(node.bias))
    }
  }
}

/** Results of running a network on images. */
export interface Measured {
  readonly ranges: readonly Range[]
  /**
   * Deviation of an image's logits, as a geometric mean over the images, so that one image with large logits
   * does not outweigh the others.
   */
  readonly deviation: number
  /**
   * For each image, the ratio of its poly-BN tensors to the running statistics, as a geometric mean over all
   * poly-BNs.
   */
  readonly agreements: readonly number[]
}

/**
 * Measures ranges on images: the root mean square over all images, and the largest absolute value times
 * `margin`.
 *
 * @param images preprocessed images, [C, H, W] of the input node
 */
export function measureRanges(graph: Graph, images: readonly Float64Array[], margin = 2): Measured {
  const deviations: number[] = []
  const agreements: number[] = []
  const squares = new Float64Array(graph.nodes.length)
  const peaks = new Float64Array(graph.nodes.length)
  for (const image of images) {
    const ratios: number[] = []
    const logits = evaluate(graph, image, (id: NodeId, tensor) => {
      const { kind, rms } = graph.nodes[id]
      const size = rootMeanSquare(tensor)
      squares[id] += size ** 2
      // A norm whose gains are all zero makes no tensor that could agree or not.
      if (rms !== undefined && rms > 0 && kind !== 'input') ratios.push(size / rms)
      peaks[id] = Math.max(peaks[id], peak(tensor))
    })
    deviations.push(deviation(logits))
    agreements.push(geometricMean(ratios))
  }
  const ranges = graph.nodes.map((_, id) => ({
    rms: Math.sqrt(squares[id] / images.length),
    peak: peaks[id] * margin,
  }))
  return { ranges, deviation: geometricMean(deviations), agreements }
}
