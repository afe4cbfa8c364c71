import type { Graph, NodeId, NodeOf } from '../graph/graph.ts'
import { coherence } from './coherence.ts'
import { perChannelGradient, relativeGradient } from './weight-gradient.ts'

// Statistics of attention's two products, gain * sum over `summands` of left times right, as if elements were
// independent.

export type AttentionNode = NodeOf<'scores'> | NodeOf<'attend'>

/** Sizes of tensors, by node. */
type Sizes = readonly { readonly rms: number }[]

/**
 * Layers of masks that elements pass on their way through a product (`lowering/lane-moves.ts`). Each of them
 * adds the errors of its rounded masks.
 */
const MASK_LAYERS = 3

const positionsOf = ({ shape: [, height, width] }: AttentionNode): number => height * width

/** Channels of a head. */
const channelsOf = (node: AttentionNode, { nodes }: Graph): number =>
  nodes[node.kind === 'scores' ? node.left : node.right].shape[0] / node.heads

/** Summands of each element. */
const summandsOf = (node: AttentionNode, graph: Graph): number =>
  node.kind === 'scores' ? channelsOf(node, graph) : positionsOf(node)

/** Root mean square of the product of operands of the given sizes. */
export function attentionRms(node: AttentionNode, graph: Graph, rms: readonly number[]): number {
  const count = summandsOf(node, graph)
  const product = Math.abs(node.gain) * rms[node.left] * rms[node.right]
  // Scores are all near their offset, so that a sum over positions is partly a sum of equal weights.
  return node.kind === 'scores'
    ? Math.hypot(product * Math.sqrt(count), node.offset)
    : product * Math.sqrt(count * coherence(count))
}

/** Variances of the product for errors of the given variances in its operands. */
export const passedByAttention = (
  node: AttentionNode,
  graph: Graph,
  variances: ArrayLike<number>,
  ranges: Sizes,
): number =>
  summandsOf(node, graph) *
  node.gain ** 2 *
  (variances[node.left] * ranges[node.right].rms ** 2 + variances[node.right] * ranges[node.left].rms ** 2)

/** Variance of a logit for errors of variance 1 in each operand, by that for errors in the product. */
export function backThroughAttention(
  node: AttentionNode,
  graph: Graph,
  ranges: Sizes,
): readonly [left: number, right: number] {
  const positions = positionsOf(node)
  const readersOfLeft = node.kind === 'scores' ? positions : channelsOf(node, graph)
  return [
    readersOfLeft * (node.gain * ranges[node.right].rms) ** 2,
    positions * (node.gain * ranges[node.left].rms) ** 2,
  ]
}

/**
 * The tensor whose elements the masks of a product multiply: the key of scores, and the output otherwise.
 * Errors in the masks of the query or the value have the same effect, because the product is linear in each
 * of them.
 */
export const maskedTensor = (node: AttentionNode, id: NodeId): NodeId =>
  node.kind === 'scores' ? node.right : id

/**
 * Sum of squares of a scalar's gradient with respect to all masks of a product. A mask is equal at all
 * positions.
 *
 * @param tensor of `maskedTensor`
 * @param gradient of the scalar with respect to it, as far as it comes through the product
 */
export const attentionMaskGradient = (
  node: AttentionNode,
  tensor: Float64Array,
  gradient: Float64Array,
): number =>
  MASK_LAYERS *
  Math.max(perChannelGradient(tensor, gradient, positionsOf(node)), relativeGradient(tensor, gradient))

/**
 * An estimate of the root of `attentionMaskGradient`.
 *
 * @param relative deviation of the scalar for relative errors in the elements of `maskedTensor`
 */
export const attentionMaskSensitivity = (node: AttentionNode, relative: number): number =>
  relative * Math.sqrt(MASK_LAYERS * coherence(positionsOf(node)))
