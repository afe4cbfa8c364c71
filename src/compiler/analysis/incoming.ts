import type { Graph, Node } from '../graph/graph.ts'
import type { NoisyBody, SourceNoise } from './noise.ts'

/**
 * Errors that come into a node's tensor while it is computed, wherever that is and however often it is
 * refreshed.
 */
export interface IncomingErrors {
  /** Variance in each element, in message units. */
  readonly tensor: number
  /** Variance in each weight. */
  readonly weights: number
  /** Whether a weight has an error of its own at every position. */
  readonly isScattered: boolean
}

const NONE: IncomingErrors = Object.freeze({ tensor: 0, weights: 0, isScattered: false })

/** The errors of all noiseSources by the nodes of the graph. */
export function incomingErrors(
  { nodes }: Graph,
  { noiseSources }: Pick<NoisyBody, 'noiseSources'>,
  noises: readonly SourceNoise[],
): IncomingErrors[] {
  const found = new Map<Node, IncomingErrors>()
  noises.forEach((noise, site) => {
    const before = found.get(noiseSources[site]) ?? NONE
    const weights = noise.weights ** 2
    found.set(noiseSources[site], {
      tensor: before.tensor + noise.tensor ** 2,
      weights: Math.max(before.weights, weights),
      isScattered: weights > before.weights ? noise.isScattered : before.isScattered,
    })
  })
  return nodes.map((node) => found.get(node) ?? NONE)
}

/**
 * Weights that each element of a weighted node's tensor is a sum over, those included that are zero but for
 * their rounding.
 */
export function fanIn(node: Node): number {
  switch (node.kind) {
    case 'conv':
      return node.weight.length / node.shape[0]
    case 'repack':
      return node.merged * node.shape[2]
    default:
      return 1
  }
}
