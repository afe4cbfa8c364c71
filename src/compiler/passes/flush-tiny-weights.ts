import type { Graph } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'
import { peak } from '../graph/statistics.ts'

/**
 * Weights below this share of a layer's largest one are zero: a sum of float32 numbers does not show them.
 */
const TINY = 2 ** -40

/**
 * Sets weights to zero that are tiny beside the others of their layer. Weight decay leaves filters of
 * 10^-20 and less. The passes that follow would bring their channels to the size of the others, and the
 * rounding errors of the layer with them.
 */
export const flushTinyWeights = (graph: Graph): Graph =>
  rewrite(graph, (node, { built }) => {
    if (node.kind !== 'conv' && node.kind !== 'head') return undefined
    const least = peak(node.weight) * TINY
    const isTiny = (value: number): boolean => value !== 0 && Math.abs(value) < least
    if (!node.weight.some(isTiny)) return undefined
    return built.add({ ...node, weight: node.weight.map((value) => (isTiny(value) ? 0 : value)) })
  })
