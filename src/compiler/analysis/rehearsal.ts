import { tapRanges } from '../graph/convolution.ts'
import { evaluation } from '../graph/evaluate.ts'
import type { ConvNode, Graph, Node, Shape } from '../graph/graph.ts'
import { rootMeanSquare } from '../graph/statistics.ts'
import { bitsBelow, fanIn, type IncomingErrors } from './incoming.ts'
import { addMaskErrors } from './mask-errors.ts'
import { seededSigns } from './signs.ts'

/**
 * Measures the errors of every tensor on images, by a rehearsal in double precision. The graph is evaluated
 * twice: without errors, and with random errors of the given deviations in weights and elements. The
 * difference includes the accumulation, cancellation and amplification of errors.
 *
 * @param incoming errors that enter at each node
 * @param images of the graph's input, at least one
 * @returns for each node, the bits by which the root mean square of its errors lies below that of its values
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
  return sums.map(({ values, errors }) => bitsBelow(values, errors))
}

/** Adds errors to weights that are equal at all positions. `errorOf` has the errors of scattered weights. */
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

/** Positions of a map. The head's weights are divided by this number before they are encoded. */
const areaOf = ({ shape: [, height, width] }: Node): number => height * width

/** Deviation of the errors that enter each element. @param sizes root mean squares of the tensors */
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

/** Share of a convolution's taps, over all positions, that read within the map. The others read zeros. */
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
