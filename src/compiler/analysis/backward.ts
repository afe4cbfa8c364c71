import { exchangedScores, headProducts, weightedValues } from '../graph/attention.ts'
import { convolveTransposed } from '../graph/convolution.ts'
import { affine, exchangePairs, product, scale, sum } from '../graph/elementwise.ts'
import type { Graph, Node, NodeId, NodeOf } from '../graph/graph.ts'
import { applyTapsTransposed } from '../graph/taps.ts'

/**
 * Receives the gradient with respect to a node's tensor. The visitor may keep the array and must not change
 * it.
 */
export type GradientVisitor = (id: NodeId, gradient: Float64Array) => void

/**
 * Reverse-mode differentiation of a folded graph: computes the gradient of <cotangent, output> with respect
 * to every tensor.
 *
 * @param tensors of all nodes, from `evaluate`
 * @param cotangent of the output node's shape
 * @param visit called for every node that the output depends on, from the output to the input
 */
export function backward(
  graph: Graph,
  tensors: readonly Float64Array[],
  cotangent: Float64Array,
  visit: GradientVisitor,
): void {
  const gradients: (Float64Array | undefined)[] = []
  const add = (id: NodeId, own: Float64Array): void => {
    const before = gradients[id]
    gradients[id] = before === undefined ? own : sum(before, own)
  }
  gradients[graph.output] = cotangent
  for (let id = graph.output; id >= 0; id--) {
    const gradient = gradients[id]
    if (gradient === undefined) continue
    visit(id, gradient)
    for (const [operand, own] of passedOn(graph.nodes[id], graph, tensors, gradient)) add(operand, own)
    // The gradient is complete and visited: its memory can be freed.
    gradients[id] = undefined
  }
}

/** The part of each operand's gradient that comes from a node (chain rule). */
function passedOn(
  node: Node,
  { nodes }: Graph,
  tensors: readonly Float64Array[],
  gradient: Float64Array,
): [operand: NodeId, gradient: Float64Array][] {
  switch (node.kind) {
    case 'input':
      return []
    case 'conv':
      return [[node.source, convolveTransposed(node, gradient, nodes[node.source].shape)]]
    case 'diagonal':
      return [[node.source, scale(gradient, node.channel, node.position)]]
    case 'taps':
      return [[node.source, applyTapsTransposed(node, gradient)]]
    case 'bias':
    case 'repack':
      return [[node.source, gradient]]
    case 'exchange': {
      const [, height, width] = node.shape
      return [[node.source, exchangePairs(gradient, height * width)]]
    }
    case 'add':
      return [
        [node.left, gradient],
        [node.right, gradient],
      ]
    case 'multiply':
      return [
        [node.left, product(gradient, tensors[node.right])],
        [node.right, product(gradient, tensors[node.left])],
      ]
    case 'scores':
    case 'attend': {
      const [left, right] = productGradients(node, tensors, gradient)
      return [
        [node.left, left],
        [node.right, right],
      ]
    }
    case 'head':
      return [[node.source, headTransposed(node, gradient, tensors[node.source].length)]]
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'flip':
    case 'slice':
      throw new Error(`${node.kind} is folded before its gradient is asked for`)
  }
}

/** Gradients with respect to both operands of one of attention's products. */
export function productGradients(
  { kind, left, right, heads, gain, shape: [, height, width] }: NodeOf<'scores'> | NodeOf<'attend'>,
  tensors: readonly Float64Array[],
  gradient: Float64Array,
): [left: Float64Array, right: Float64Array] {
  const area = height * width
  const [a, b] = [tensors[left], tensors[right]]
  const gradients: [Float64Array, Float64Array] =
    kind === 'scores'
      ? [
          weightedValues(gradient, b, heads, area),
          weightedValues(exchangedScores(gradient, heads, area), a, heads, area),
        ]
      : [
          headProducts(gradient, b, heads, area),
          weightedValues(exchangedScores(a, heads, area), gradient, heads, area),
        ]
  return [affine(gradients[0], gain), affine(gradients[1], gain)]
}

function headTransposed({ weight }: NodeOf<'head'>, gradient: Float64Array, size: number): Float64Array {
  const channels = weight.length / gradient.length
  const area = size / channels
  const means = Float64Array.from({ length: channels }, (_, c) =>
    gradient.reduce((sum, g, k) => sum + g * weight[k * channels + c], 0),
  )
  return Float64Array.from({ length: size }, (_, i) => means[Math.floor(i / area)] / area)
}
