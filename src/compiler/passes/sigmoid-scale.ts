import { sigmoid } from '../graph/evaluate.ts'
import type { Graph } from '../graph/graph.ts'
import { rewrite } from '../graph/rewrite.ts'

/** Turns Sigmoid-Scale, which is constant at inference, into a channel scale for other passes to fold. */
export function foldSigmoidScale(graph: Graph): Graph {
  return rewrite(graph, (node, { built }) => {
    if (node.kind !== 'sigmoidScale') return undefined
    const { skip, ...rest } = node
    const channel = new Float64Array(node.shape[0]).fill(sigmoid(skip))
    return built.add({ ...rest, kind: 'scaleChannels', channel })
  })
}
