import { evaluate } from '../graph/evaluate.ts'
import type { Graph, Node, NodeId, Sensitivity } from '../graph/graph.ts'
import { attentionMaskGradient, maskedTensor } from './attention.ts'
import { backward, productGradients } from './backward.ts'
import { maskGradient } from './mask-errors.ts'
import { seededSigns } from './signs.ts'
import {
  diagonalGradient,
  headGradient,
  type LayerPass,
  periodicGradient,
  relativeGradient,
  scatteredGradient,
  sumOfSquares,
  tapsGradient,
} from './weight-gradient.ts'

/** Approximate budget of multiply-adds, for the passes through the network in one direction. */
const BUDGET = 4e9
const MOST_IMAGES = 8
/** Random combinations of the logits for each image. */
const COMBINATIONS = { least: 2, most: 8 }

/**
 * Measures the sensitivity of the logits to errors at every node, by reverse-mode differentiation of random
 * combinations of the logits (Hutchinson's estimator of a Jacobian's Frobenius norm). The measure is of first
 * order, which is enough for errors far below the values.
 *
 * @param graph folded
 * @param images of the graph's input, at least one; large networks use only the first few
 * @returns the graph with a sensitivity at every node
 */
export function measureSensitivities(graph: Graph, images: readonly Float64Array[]): Graph {
  const passes = BUDGET / multiplyAdds(graph)
  const used = images.slice(0, Math.max(1, Math.min(MOST_IMAGES, Math.floor(passes))))
  const { least, most } = COMBINATIONS
  const combinations = Math.max(least, Math.min(most, Math.floor(passes / used.length)))
  const sign = seededSigns(1)
  const sums = graph.nodes.map(() => ({ tensor: 0, relative: 0, weights: 0, scattered: 0, moved: 0 }))
  for (const image of used) {
    const tensors: Float64Array[] = []
    evaluate(graph, image, (id, tensor) => {
      tensors[id] = tensor
    })
    addSquares(graph, tensors, combinations, sign, sums)
  }
  const count = used.length * combinations * classesOf(graph)
  const root = (sum: number): number => Math.sqrt(sum / count)
  return {
    ...graph,
    nodes: graph.nodes.map((node, id) => {
      const { tensor, relative, weights, scattered, moved } = sums[id]
      return {
        ...node,
        sensitivity: {
          tensor: root(tensor),
          relative: root(relative),
          weights: root(weights),
          scattered: root(scattered),
          moved: root(moved),
        },
      }
    }),
  }
}

type Sums = { -readonly [K in keyof Sensitivity]: number }

/** Adds the squares of the gradients of random combinations of the logits to `sums`. */
function addSquares(
  graph: Graph,
  tensors: readonly Float64Array[],
  combinations: number,
  sign: () => number,
  sums: readonly Sums[],
): void {
  for (let r = 0; r < combinations; r++) {
    const combination = Float64Array.from({ length: classesOf(graph) }, sign)
    backward(graph, tensors, combination, (id, gradient) => {
      sums[id].tensor += sumOfSquares(gradient)
      sums[id].relative += relativeGradient(tensors[id], gradient)
      addWeightSquares(graph, id, tensors, gradient, sign, sums[id])
    })
  }
}

function addWeightSquares(
  graph: Graph,
  id: NodeId,
  tensors: readonly Float64Array[],
  gradient: Float64Array,
  sign: () => number,
  sums: Sums,
): void {
  const node: Node = graph.nodes[id]
  switch (node.kind) {
    case 'conv': {
      const inShape = graph.nodes[node.source].shape
      const pass: LayerPass = { input: tensors[node.source], inShape, gradient }
      sums.weights += periodicGradient(node, pass, sign)
      sums.scattered += scatteredGradient(node, pass)
      if (node.stride > 1) sums.moved += maskGradient(tensors[id], gradient, node.shape)
      return
    }
    case 'head':
      sums.weights += headGradient(tensors[node.source], node.weight.length / node.bias.length, gradient)
      return
    case 'scores':
    case 'attend': {
      const masked = node.kind === 'scores' ? productGradients(node, tensors, gradient)[1] : gradient
      sums.weights += attentionMaskGradient(node, tensors[maskedTensor(node, id)], masked)
      return
    }
    case 'diagonal':
      sums.scattered += diagonalGradient(node, tensors[node.source], gradient)
      return
    case 'taps':
      sums.scattered += tapsGradient(node, tensors[node.source], gradient)
      return
    case 'input':
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'bias':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
    case 'add':
    case 'multiply':
      return
    default:
      node satisfies never
  }
}

const classesOf = ({ nodes, output }: Graph): number => nodes[output].shape[0]

/** Multiply-adds of convolutions and of attention's products for one image. */
const multiplyAdds = (graph: Graph): number =>
  graph.nodes.reduce((sum, node) => sum + multiplyAddsOf(node, graph), 0)

function multiplyAddsOf(node: Node, { nodes }: Graph): number {
  const [channels, height, width] = node.shape
  const area = height * width
  if (node.kind === 'conv') return node.weight.length * area
  if (node.kind === 'scores') return nodes[node.left].shape[0] * area ** 2
  return node.kind === 'attend' ? channels * area ** 2 : 0
}
