import { headProducts, weightedValues } from './attention.ts'
import { convolve } from './convolution.ts'
import { affine, exchangePairs, normalise, product, scale, scaleChannels, sum } from './elementwise.ts'
import { type Graph, type Node, type NodeId, operands, users } from './graph.ts'
import { applyTaps } from './taps.ts'

/** Values of one node, [C, H, W], row-major. */
export type Tensor = Float64Array

/**
 * Evaluates a graph in double precision. It defines the meaning of every node, and tests compare each pass
 * with it.
 *
 * @param image [C, H, W] of the input node, row-major
 * @param observe called with every node's tensor when it is computed; the observer may keep the tensor
 * @returns the output node's tensor
 */
export function evaluate(
  graph: Graph,
  image: Float64Array,
  observe?: (id: NodeId, tensor: Tensor) => void,
): Tensor {
  let output: Tensor | undefined
  for (const { id, tensor } of evaluation(graph, image)) {
    observe?.(id, tensor)
    if (id === graph.output) output = tensor
  }
  return output!
}

/** A node with its tensor. */
export interface Evaluated {
  readonly id: NodeId
  readonly tensor: Tensor
}

/**
 * Evaluates a graph node by node. The caller may change a tensor before it asks for the next node; later
 * nodes read the changed tensor. Tensors without further readers are released.
 */
export function* evaluation(graph: Graph, image: Float64Array): Generator<Evaluated> {
  const values: Tensor[] = []
  const readers = users(graph)
  for (const [id, node] of graph.nodes.entries()) {
    const tensor = evaluateNode(node, graph, values, image)
    values[id] = tensor
    yield { id, tensor }
    for (const operand of operands(node)) if (readers[operand].at(-1) === id) delete values[operand]
  }
}

function evaluateNode(node: Node, graph: Graph, values: Tensor[], image: Float64Array): Tensor {
  const [, h, w] = node.shape
  const area = h * w
  switch (node.kind) {
    case 'input':
      return image.slice()
    case 'conv':
      return convolve(node, values[node.source], graph.nodes[node.source].shape)
    case 'norm':
      return normalise(values[node.source], node)
    case 'sigmoidScale':
      return scaleChannels(values[node.source], Float64Array.of(sigmoid(node.skip)))
    case 'scaleChannels':
      return scaleChannels(values[node.source], node.channel)
    case 'diagonal':
      return scale(values[node.source], node.channel, node.position)
    case 'bias':
      return sum(values[node.source], node.bias)
    case 'taps':
      return applyTaps(node, values[node.source])
    case 'flip':
      return reverseChannels(values[node.source], node.shape[0], area)
    case 'exchange':
      return exchangePairs(values[node.source], area)
    case 'slice':
      return values[node.source].slice(node.start * area, (node.start + node.shape[0]) * area)
    case 'repack':
      return values[node.source].slice()
    case 'add':
      return sum(values[node.left], values[node.right])
    case 'multiply':
      return product(values[node.left], values[node.right])
    case 'scores': {
      const products = headProducts(values[node.left], values[node.right], node.heads, area)
      return affine(products, node.gain, node.offset)
    }
    case 'attend':
      return affine(weightedValues(values[node.left], values[node.right], node.heads, area), node.gain)
    case 'head':
      return head(node.weight, node.bias, values[node.source])
  }
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

function reverseChannels(x: Tensor, channels: number, area: number): Tensor {
  const out = new Float64Array(x.length)
  for (let c = 0; c < channels; c++) out.set(x.subarray(c * area, (c + 1) * area), (channels - 1 - c) * area)
  return out
}

function head(weight: Float64Array, bias: Float64Array, x: Tensor): Tensor {
  const channels = weight.length / bias.length
  const area = x.length / channels
  const means = Float64Array.from({ length: channels }, (_, c) => {
    let sum = 0
    for (let i = 0; i < area; i++) sum += x[c * area + i]
    return sum / area
  })
  return bias.map((b, k) => means.reduce((sum, mean, c) => sum + mean * weight[k * channels + c], b))
}
