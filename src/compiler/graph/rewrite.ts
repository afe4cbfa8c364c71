import { type Graph, GraphBuilder, type Node, type NodeId, operands, users, withOperands } from './graph.ts'

/** The old graph and the part of the new graph that is built. */
export interface RewriteContext {
  readonly old: Graph
  readonly built: GraphBuilder
  /** Number of uses of a node of the old graph. */
  usesOf(id: NodeId): number
  /** The id in the new graph of the tensor of an old node that comes before the current one. */
  idOf(id: NodeId): NodeId
  /** Nodes of the old graph that use a node of the old graph. */
  usersOf(id: NodeId): readonly Node[]
}

/**
 * A rewriting rule. It gets a node whose operands are ids of the new graph, and the node's id in the old
 * graph. It returns the id of the replacement in the new graph, or undefined to keep the node.
 */
export type Rule = (node: Node, context: RewriteContext, oldId: NodeId) => NodeId | undefined

/** Rebuilds a graph node by node with a rule. Nodes that the output no longer depends on are removed. */
export function rewrite(graph: Graph, rule: Rule): Graph {
  const built = new GraphBuilder()
  const uses = users(graph)
  const renamed: NodeId[] = []
  const context: RewriteContext = {
    old: graph,
    built,
    idOf: (id) => renamed[id],
    usesOf: (id) => uses[id].length,
    usersOf: (id) => uses[id].map((user) => graph.nodes[user]),
  }
  graph.nodes.forEach((node, id) => {
    const moved = withOperands(
      node,
      operands(node).map((operand) => renamed[operand]),
    )
    renamed[id] = rule(moved, context, id) ?? built.add(moved)
  })
  return built.finish(renamed[graph.output])
}

/** Applies a pass until it changes neither the number of nodes nor the kind or operands of any node. */
export function fixpoint(graph: Graph, pass: (graph: Graph) => Graph): Graph {
  const signature = (g: Graph) => g.nodes.map((n) => `${n.kind}:${operands(n).join(',')}`).join(';')
  let current = graph
  for (;;) {
    const next = pass(current)
    if (signature(next) === signature(current)) return next
    current = next
  }
}
