import { type Graph, GraphBuilder, type Node, type NodeId, operands, users, withOperands } from './graph.ts'

/** What a rewriting rule sees: the new graph so far, and facts about the old one. */
export interface RewriteContext {
  readonly old: Graph
  readonly built: GraphBuilder
  /** Number of uses of an old node. */
  usesOf(id: NodeId): number
  /** Old nodes that use an old node. */
  usersOf(id: NodeId): readonly Node[]
}

/**
 * A rule: given a node whose operands are already ids of the new graph, and its old id, returns the id that
 * replaces it, or undefined to keep it.
 */
export type Rule = (node: Node, context: RewriteContext, oldId: NodeId) => NodeId | undefined

/** Rebuilds a graph in order, letting `rule` replace nodes; nodes that are no longer needed disappear. */
export function rewrite(graph: Graph, rule: Rule): Graph {
  const built = new GraphBuilder()
  const uses = users(graph)
  const context: RewriteContext = {
    old: graph,
    built,
    usesOf: (id) => uses[id].length,
    usersOf: (id) => uses[id].map((user) => graph.nodes[user]),
  }
  const renamed: NodeId[] = []
  graph.nodes.forEach((node, id) => {
    const moved = withOperands(
      node,
      operands(node).map((operand) => renamed[operand]),
    )
    renamed[id] = rule(moved, context, id) ?? built.add(moved)
  })
  return built.finish(renamed[graph.output])
}

/** Applies a pass until it changes nothing: nodes are compared by identity of kind and count. */
export function fixpoint(graph: Graph, pass: (graph: Graph) => Graph): Graph {
  const signature = (g: Graph) => g.nodes.map((n) => `${n.kind}:${operands(n).join(',')}`).join(';')
  let current = graph
  for (;;) {
    const next = pass(current)
    if (signature(next) === signature(current)) return next
    current = next
  }
}
