import type { Graph, NodeId } from '../graph/graph.ts'

/** Nodes `from` .. `to - 1`, which are lowered together. */
export interface GraphSegment {
  readonly from: NodeId
  readonly to: NodeId
}

/** The tensors that are computed up to a node and read after it, for each node. */
export interface Alive {
  readonly tensors: Float64Array
  readonly elements: Float64Array
}

/**
 * Counts the tensors that are alive after each node. A layer that waits for its sum has no tensor of its own:
 * it reads its operand when the sum is lowered.
 *
 * @param uses the users of each node
 */
export function aliveAfterEach(
  { nodes }: Graph,
  uses: readonly (readonly NodeId[])[],
  waitsForSum: (id: NodeId) => boolean,
): Alive {
  const tensors = new Float64Array(nodes.length)
  const elements = new Float64Array(nodes.length)
  nodes.forEach(({ shape: [channels, height, width] }, node) => {
    if (waitsForSum(node)) return
    const reads = uses[node].flatMap((user) => (waitsForSum(user) ? uses[user] : [user]))
    const last = Math.max(node, ...reads)
    for (let id = node; id < last; id++) {
      tensors[id]++
      elements[id] += channels * height * width
    }
  })
  return { tensors, elements }
}

/**
 * Divides a segment after each node where the fewest tensors are alive, or fewer than behind it. Of
 * neighbours with equally many tensors alive, the last with the fewest elements is taken.
 *
 * @param mayEnd whether a segment may end after a node
 */
export function dividedWhereLow(
  { from, to }: GraphSegment,
  { tensors, elements }: Alive,
  mayEnd: (id: NodeId) => boolean,
): GraphSegment[] {
  const least = tensors.subarray(from, to - 1).reduce((a, b) => Math.min(a, b), Infinity)
  const ends = new Set<NodeId>()
  for (let id = from; id < to - 1; id++) {
    if (tensors[id] === least) ends.add(id)
    else if (tensors[id + 1] > tensors[id] && (id === from || tensors[id - 1] >= tensors[id]))
      ends.add(narrowest(id))
  }
  const result: GraphSegment[] = []
  let start = from
  for (const end of [...ends].filter(mayEnd)) {
    result.push({ from: start, to: end + 1 })
    start = end + 1
  }
  return [...result, { from: start, to }]

  /** The last node with the fewest elements alive, of those before `last` that have as many tensors alive. */
  function narrowest(last: NodeId): NodeId {
    let best = last
    for (let id = last; id >= from && tensors[id] === tensors[last]; id--)
      if (elements[id] < elements[best]) best = id
    return best
  }
}
