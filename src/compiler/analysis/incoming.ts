import type { Graph, Node } from '../graph/graph.ts'
import type { NoisyBody, SourceNoise } from './noise.ts'

/** Errors that enter a node's tensor in all noise sources of the node. */
export interface IncomingErrors {
  /** Variance of the error in each element, in message units. */
  readonly tensor: number
  /** Variance of the error in each weight. */
  readonly weights: number
  /** Whether a weight has an independent error at every position. */
  readonly isScattered: boolean
}

/**
 * Bits by which errors lie below values, by their mean squares; infinite where there are no errors, also of
 * a tensor of zeros.
 */
export const bitsBelow = (values: number, errors: number): number =>
  errors === 0 ? Infinity : Math.log2(values / errors) / 2

const NONE: IncomingErrors = Object.freeze({ tensor: 0, weights: 0, isScattered: false })

/** Sums up the errors of all noise sources for each node of the graph. */
export function incomingErrors(
  { nodes }: Graph,
  { noiseSources }: Pick<NoisyBody, 'noiseSources'>,
  noises: readonly SourceNoise[],
): IncomingErrors[] {
  const found = new Map<Node, IncomingErrors>()
  noises.forEach((noise, source) => {
    const before = found.get(noiseSources[source]) ?? NONE
    const weights = noise.weights ** 2
    found.set(noiseSources[source], {
      tensor: before.tensor + noise.tensor ** 2,
      weights: Math.max(before.weights, weights),
      isScattered: weights > before.weights ? noise.isScattered : before.isScattered,
    })
  })
  return nodes.map((node) => found.get(node) ?? NONE)
}

/**
 * Number of weights that each element of a weighted node's tensor is a sum over. It includes weights that are
 * zero, because they have rounding errors too.
 */
export function fanIn(node: Node): number {
  switch (node.kind) {
    case 'conv':
      return node.weight.length / node.shape[0]
    case 'repack':
      return node.merged * node.shape[2]
    case 'taps':
      return node.taps.length
    case 'input':
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'diagonal':
    case 'bias':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'add':
    case 'multiply':
    case 'scores':
    case 'attend':
    case 'head':
      return 1
  }
}
