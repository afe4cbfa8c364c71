import { tapRanges } from '../graph/convolution.ts'
import { evaluation } from '../graph/evaluate.ts'
import type { ConvNode, Graph, Node, Shape } from '../graph/graph.ts'
import { rootMeanSquare } from '../graph/statistics.ts'
import { fanIn, type IncomingErrors } from './incoming.ts'
import { addMaskErrors } from './mask-errors.ts'
import { seededSigns } from './signs.ts'

/**
 * Measures on images how large the errors in every tensor have become, by a rehearsal in double precision:
 * the graph is evaluated once as it is, and once with weights rounded at random and with an error added to
 * every element, each of the deviation that the operations give it. What accumulates, cancels or is amplified
 * on the way shows by itself.
 *
 * @param incoming of each node
 * @param images of the graph's input, at least one
 * @returns for each node the bits by which its errors lie below its values, root mean squares both
 */
export function rehearse(
  graph: Graph,
  incoming: readonly IncomingErrors[],
  images: readonly Float64Array[],
): number[] {
  const sums = graph.nodes.map(() => ({ values: 0, errors: 0 }))
  const sign = seededSigns(2)
  const erring = {
    ...graph,
    nodes: graph.nodes.map((node, id) => withRoundedWeights(node, graph, incoming[id], sign)),
  }
  for (const image of images) {
    const sizes: number[] = []
    const exact = evaluation(graph, image)
    for (const { id, tensor } of evaluation(erring, image)) {
      const values = exact.next().value!.tensor
      sizes[id] = rootMeanSquare(values)
      const node = graph.nodes[id]
      if (node.kind === 'repack') addMaskErrors(node, tensor, scaled(sign, Math.sqrt(incoming[id].weights)))
      addErrors(tensor, errorOf(node, graph, incoming[id], sizes), sign)
      sums[id].values += sizes[id] ** 2
      sums[id].errors += meanSquareDifference(tensor, values)
    }
  }
  return sums.map(({ values, errors }) => Math.log2(values / errors) / 2)
}

/** Weights that are the same at every position err together; others are seen to in `errorOf`. */
function withRoundedWeights(
  node: Node,
  { nodes }: Graph,
  { weights, isScattered }: IncomingErrors,
  sign: () => number,
): Node {
  if (weights === 0 || isScattered || (node.kind !== 'conv' && node.kind !== 'head')) return node
  const error = Math.sqrt(weights) * (node.kind === 'head' ? areaOf(nodes[node.source]) : 1)
  return { ...node, weight: node.weight.map((weight) => weight + sign() * error) }
}

/** The head's weights are encoded divided by the area that it takes the mean over. */
const areaOf = ({ shape: [, height, width] }: Node): number => height * width

/** Deviation of the errors that come into each element. @param sizes root mean squares of the tensors */
function errorOf(
  node: Node,
  { nodes }: Graph,
  { tensor, weights, isScattered }: IncomingErrors,
  sizes: readonly number[],
): number {
  if (!isScattered || node.kind === 'repack' || !('source' in node)) return Math.sqrt(tensor)
  const terms = node.kind === 'conv' ? fanIn(node) * shareInside(node, nodes[node.source].shape) : fanIn(node)
  return Math.sqrt(tensor + weights * terms * sizes[node.source] ** 2)
}

/** The share of a convolution's taps, over all positions, that read within the map: the others read zeros. */
function shareInside(node: ConvNode, inShape: Shape): number {
  const [, height, width] = node.shape
  const inside = tapRanges(node, inShape).reduce(
    (sum, { top, bottom, left, right }) => sum + Math.max(0, bottom - top) * Math.max(0, right - left),
    0,
  )
  return inside / (node.kernel ** 2 * height * width)
}

const scaled =
  (sign: () => number, size: number): (() => number) =>
  () =>
    sign() * size

function addErrors(tensor: Float64Array, error: number, sign: () => number): void {
  if (error === 0) return
  for (let i = 0; i < tensor.length; i++) tensor[i] += sign() * error
}

function meanSquareDifference(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2
  return sum / a.length
}
