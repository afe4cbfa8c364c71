/** Index of a node in `Graph.nodes`; operands have smaller indices than their users. */
export type NodeId = number

/** [channels, height, width] of a node's tensor. */
export type Shape = readonly [channels: number, height: number, width: number]

/** Deviation of a logit, root mean square over logits, for independent errors of deviation 1. */
export interface Sensitivity {
  /** For errors in every element of the node's tensor. */
  readonly tensor: number
  /** For errors relative to each element of the node's tensor. */
  readonly relative: number
  /** For errors in every weight, equal at all positions. */
  readonly weights: number
  /** For errors in every weight at every position. */
  readonly scattered: number
  /**
   * For errors in every mask that selects elements of rows (`analysis/mask-errors.ts`). It is 0 unless the
   * node is a strided convolution.
   */
  readonly moved: number
}

interface Base {
  readonly name: string
  readonly shape: Shape
  /** Root mean square of the tensor, where poly-BN statistics or the preprocessing give it. */
  readonly rms?: number
  /** Present in folded graphs. */
  readonly sensitivity?: Sensitivity
}

/**
 * Bias-free convolution, weight [out, in / groups, kernel, kernel] row-major. `groups` is 1, or the number of
 * input channels: then output o reads input o mod groups.
 */
export interface ConvNode extends Base {
  readonly kind: 'conv'
  readonly source: NodeId
  readonly weight: Float64Array
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly dilation: number
  readonly groups: number
  /** Multiplies the output at each position [H * W]; absent means 1 everywhere. */
  readonly position?: Float64Array
  /**
   * Output channels that belong together, as those of an attention head do: a ciphertext has a whole number
   * of such blocks. A power of two; absent means 1.
   */
  readonly block?: number
}

/** One of several reads of a `taps` node: output (y, x) reads the input at (y + dy, x + dx). */
export interface PositionedTap {
  readonly dy: number
  readonly dx: number
  /** Factor of each channel [C]. */
  readonly channel: Float64Array
  /** Factor of each position [H * W] of the output; 0 where the tap reads beyond the map. */
  readonly position: Float64Array
}

/** The polynomial tensor operations of a network. All tensors are [C, H, W]; vectors are row-major. */
export type Node =
  | ({ readonly kind: 'input' } & Base)
  | ConvNode
  /** (x - mean[hw]) * position[hw] * channel[c]: a poly-BN whose variance is already inverted. */
  | ({
      readonly kind: 'norm'
      readonly source: NodeId
      readonly mean: Float64Array
      readonly position: Float64Array
      readonly channel: Float64Array
    } & Base)
  /** sigmoid(skip) * x. */
  | ({ readonly kind: 'sigmoidScale'; readonly source: NodeId; readonly skip: number } & Base)
  /** channel[c] * x. */
  | ({ readonly kind: 'scaleChannels'; readonly source: NodeId; readonly channel: Float64Array } & Base)
  /** channel[c] * position[hw] * x. */
  | ({
      readonly kind: 'diagonal'
      readonly source: NodeId
      readonly channel: Float64Array
      readonly position: Float64Array
      /** Whether the node only makes the slots around the map zero; all factors are then 1, up to units. */
      readonly isMask?: boolean
    } & Base)
  /** x + bias[c, h, w]. */
  | ({ readonly kind: 'bias'; readonly source: NodeId; readonly bias: Float64Array } & Base)
  /** Sum over taps of channel[c] * position[hw] * x[c, h + dy, w + dx]. */
  | ({ readonly kind: 'taps'; readonly source: NodeId; readonly taps: readonly PositionedTap[] } & Base)
  /** Reverses the channel axis. */
  | ({ readonly kind: 'flip'; readonly source: NodeId } & Base)
  /** Exchanges channels 2k and 2k + 1; of an even number of channels. */
  | ({ readonly kind: 'exchange'; readonly source: NodeId } & Base)
  /** Channels start .. start + shape[0] - 1. */
  | ({ readonly kind: 'slice'; readonly source: NodeId; readonly start: number } & Base)
  /** The same tensor in a denser packing (`insertRepacks`). `merged` ciphertexts become one. */
  | ({ readonly kind: 'repack'; readonly source: NodeId; readonly merged: number } & Base)
  | ({ readonly kind: 'add'; readonly left: NodeId; readonly right: NodeId } & Base)
  /** Element-wise product. */
  | ({ readonly kind: 'multiply'; readonly left: NodeId; readonly right: NodeId } & Base)
  /**
   * Scores of attention: channel h * T + u, at position t, is gain * (query[t] . key[u]) + offset, with the
   * dot product over the channels of head h; `left` is the query, `right` the key, T = H W.
   */
  | ({
      readonly kind: 'scores'
      readonly left: NodeId
      readonly right: NodeId
      readonly heads: number
      readonly gain: number
      readonly offset: number
    } & Base)
  /**
   * gain * sum over positions u of left[h * T + u] at t times right[c] at u, for the channels c of head h;
   * `left` has the shape of scores, `right` is the value.
   */
  | ({
      readonly kind: 'attend'
      readonly left: NodeId
      readonly right: NodeId
      readonly heads: number
      readonly gain: number
    } & Base)
  /** weight [classes, C] * (mean over positions) + bias; shape [classes, 1, 1]. */
  | ({
      readonly kind: 'head'
      readonly source: NodeId
      readonly weight: Float64Array
      readonly bias: Float64Array
    } & Base)

export type NodeKind = Node['kind']
export type NodeOf<K extends NodeKind> = Extract<Node, { kind: K }>

/** A network as a graph of tensor operations. Immutable: passes return new graphs. */
export interface Graph {
  readonly nodes: readonly Node[]
  readonly output: NodeId
}

/** The sensitivity of a node of a folded graph. */
export function sensitivityOf({ name, sensitivity }: Node): Sensitivity {
  if (sensitivity === undefined)
    throw new Error(`Nothing is known of what errors in ${name} do to the logits`)
  return sensitivity
}

/** The operands of a node, in order. */
export function operands(node: Node): NodeId[] {
  switch (node.kind) {
    case 'input':
      return []
    case 'add':
    case 'multiply':
    case 'scores':
    case 'attend':
      return [node.left, node.right]
    case 'conv':
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'diagonal':
    case 'bias':
    case 'taps':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
    case 'head':
      return [node.source]
  }
}

/** The node with its operands replaced. */
export function withOperands(node: Node, ids: readonly NodeId[]): Node {
  switch (node.kind) {
    case 'input':
      return node
    case 'add':
    case 'multiply':
    case 'scores':
    case 'attend':
      return { ...node, left: ids[0], right: ids[1] }
    case 'conv':
    case 'norm':
    case 'sigmoidScale':
    case 'scaleChannels':
    case 'diagonal':
    case 'bias':
    case 'taps':
    case 'flip':
    case 'exchange':
    case 'slice':
    case 'repack':
    case 'head':
      return { ...node, source: ids[0] }
  }
}

/** For each node, the nodes that use it (twice if it is both operands). */
export function users(graph: Graph): NodeId[][] {
  const lists: NodeId[][] = graph.nodes.map(() => [])
  graph.nodes.forEach((node, id) => {
    for (const operand of operands(node)) lists[operand].push(id)
  })
  return lists
}

/** Appends nodes and returns their ids. */
export class GraphBuilder {
  readonly nodes: Node[] = []

  add<K extends NodeKind>(node: NodeOf<K>): NodeId {
    return this.nodes.push(node) - 1
  }

  shape(id: NodeId): Shape {
    return this.nodes[id].shape
  }

  /** The graph of all nodes that `output` depends on. */
  finish(output: NodeId): Graph {
    return prune({ nodes: this.nodes, output })
  }
}

/** Removes the nodes that the output does not depend on. The order of the others is kept. */
export function prune(graph: Graph): Graph {
  const needed = new Set<NodeId>([graph.output])
  for (let id = graph.output; id >= 0; id--) {
    if (needed.has(id)) for (const operand of operands(graph.nodes[id])) needed.add(operand)
  }
  const position = new Map<NodeId, NodeId>()
  const nodes: Node[] = []
  graph.nodes.forEach((node, id) => {
    if (!needed.has(id)) return
    position.set(
      id,
      nodes.push(
        withOperands(
          node,
          operands(node).map((o) => position.get(o)!),
        ),
      ) - 1,
    )
  })
  return { nodes, output: position.get(graph.output)! }
}
