import { evaluate } from '../graph/evaluate.ts'
import type { Graph, Node, NodeId } from '../graph/graph.ts'
import { deviation, geometricMean, peak, rootMeanSquare } from '../graph/statistics.ts'

/** Size of a tensor's values. */
export interface Range {
  readonly rms: number
  readonly peak: number
}

/**
 * How far beyond their root mean square values reach, where no image was measured. In trained networks the
 * ratio is at most 50, inside PolyConv before its poly-BN.
 */
export const PEAK_FACTOR = 64

/**
 * Ranges without data: poly-BN statistics say what each normalised tensor was in training; everything between
 * is propagated as if its inputs were independent.
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
    case 'norm':
      return rms[node.source] * rootMeanSquare(node.channel) * rootMeanSquare(node.position)
    case 'scaleChannels':
      return rms[node.source] * rootMeanSquare(node.channel)
    case 'sigmoidScale':
    case 'flip':
    case 'slice':
    case 'repack':
      return rms[node.source]
    case 'bias':
      return Math.hypot(rms[node.source], rootMeanSquare(node.bias))
    case 'add':
      return Math.hypot(rms[node.left], rms[node.right])
    case 'multiply':
      return rms[node.left] * rms[node.right]
    case 'head': {
      const [channels] = graph.nodes[node.source].shape
      const gain = rootMeanSquare(node.weight) * Math.sqrt(channels)
      return Math.hypot(rms[node.source] * gain, rootMeanSquare(node.bias))
    }
  }
}

/** What images show of a network. */
export interface Measured {
  readonly ranges: readonly Range[]
  /**
   * Of an image's logits. Geometric mean over the images: one whose logits are large is not to speak for the
   * others.
   */
  readonly deviation: number
  /**
   * Of each image: how large its poly-BN tensors are by what the running statistics say, as a geometric mean.
   */
  readonly agreements: readonly number[]
}

/**
 * Ranges measured on images: the root mean square over all of them, and the largest value times `margin`.
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
      if (rms !== undefined && kind !== 'input') ratios.push(size / rms)
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
