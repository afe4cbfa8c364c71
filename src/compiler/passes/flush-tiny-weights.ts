import { evaluate } from '../graph/evaluate.ts'
import type { Graph } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'
import { peak } from '../graph/statistics.ts'

/** Weights below this, and below this share of the largest weight of their layer, are tiny. */
const TINY = 2 ** -40

/** Largest relative difference of logits that tiny weights make when they are of no use. */
const NO_DIFFERENCE = 2 ** -20

/**
 * Sets weights to zero that are tiny beside the others of their layer, if the logits of an image do not
 * change. Weight decay leaves filters of 10^-20 and less. The passes that follow would bring their channels
 * to the size of the others, and the rounding errors of the layer with them. Where a later layer multiplies
 * by as much, the logits change, and the weights stay.
 *
 * @param image of the graph's input
 * @returns the graph itself where nothing is flushed
 */
export function flushTinyWeights(graph: Graph, image: Float64Array): Graph {
  const flushed = withoutTiny(graph)
  if (flushed === undefined) return graph
  const before = evaluate(graph, image)
  const after = evaluate(flushed, image)
  const most = NO_DIFFERENCE * peak(before)
  // NaN differs.
  return before.every((logit, k) => Math.abs(after[k] - logit) <= most) ? flushed : graph
}

/** The graph without tiny weights; undefined where there are none. */
function withoutTiny(graph: Graph): Graph | undefined {
  let found = false
  const flushed = rewrite(graph, (node, { built }) => {
    if (node.kind !== 'conv' && node.kind !== 'head') return undefined
    const least = TINY * Math.max(1, peak(node.weight))
    const isTiny = (value: number): boolean => value !== 0 && Math.abs(value) < least
    if (!node.weight.some(isTiny)) return undefined
    found = true
    return built.add({ ...node, weight: node.weight.map((value) => (isTiny(value) ? 0 : value)) })
  })
  return found ? flushed : undefined
}
