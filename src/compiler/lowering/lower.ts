import type { Layout, ValueId, ValueType } from '../../circuit/types.ts'
import { estimateRanges } from '../analysis/ranges.ts'
import { type ConvNode, type Graph, type Node, type NodeId, type NodeOf, users } from '../graph/graph.ts'
import { chooseLayout, withChannels } from '../packing/choose.ts'
import { reachAt } from '../passes/insert-repacks.ts'
import { lowerAttend } from './attention/attend.ts'
import { diagonalsOf } from './attention/diagonals.ts'
import { lowerScores } from './attention/scores.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { lowerDense } from './dense.ts'
import { lowerDepthwise } from './depthwise.ts'
import { lowerBias, lowerDiagonal } from './diagonal.ts'
import { type LoweredHead, lowerHead } from './head.ts'
import type { Form, Packed } from './packed.ts'
import { exchanged, lowerProduct } from './product.ts'
import { refreshPacked, restorePacked } from './refresh.ts'
import { ciphertextStride, lowerRepack } from './repack.ts'
import { sumOfCopies } from './restoration/copies.ts'
import { type Restorer, ringOf } from './restoration/restore.ts'
import { alignedScale, alignPacked, dropPacked, rescalePacked } from './scale-alignment.ts'
import { type RotationStrategy, type Strategies, strategyFor } from './strategy.ts'
import { lowerTaps } from './taps.ts'
import { maskBits, weightBits } from './weight-bits.ts'

/** A layer whose constants can have any scale, so that its output can be aligned with another tensor. */
type Weighted = ConvNode | NodeOf<'diagonal'> | NodeOf<'taps'> | NodeOf<'repack'>

/**
 * Largest number of ciphertexts of a round. There are enough for the threads of both sides, and few enough
 * that the client receives the first round of a cut while the server computes later ones.
 */
export const ROUND_CIPHERTEXTS = 16

/**
 * Lowers a folded graph to operations without refreshes.
 *
 * @param input layout of the graph's input tensor
 */
export function lowerGraph(
  builder: CircuitBuilder,
  graph: Graph,
  input: Layout,
  strategies: Strategies,
): LoweredHead {
  return lowerWithCuts(builder, graph, { layout: input, strategies }, new Map())
}

/** Lowers a folded graph to operations with refreshes at the cuts, which come from `planCuts`. */
export const lowerWithCuts = (
  builder: CircuitBuilder,
  graph: Graph,
  options: LoweringOptions,
  cuts: Cuts,
): LoweredHead => new Lowering(builder, graph, options).run(cuts)

/** The tensors that are refreshed before a node, by the node. */
export type Cuts = ReadonlyMap<NodeId, readonly NodeId[]>

export interface LoweringOptions {
  /** Layout of the graph's input tensor. */
  readonly layout: Layout
  readonly strategies: Strategies
  /** Level at which values are refreshed; required where there are cuts. */
  readonly refreshLevel?: number
  /** Restores levels at the server. Without it the client refreshes values. */
  readonly restorer?: Restorer
  /** The level to which logits of a scale are dropped; by default the refresh level. */
  readonly outputLevel?: (scale: number) => number
}

/** Lowers a graph node by node. The caller keeps the order: operands before the nodes that read them. */
export class Lowering {
  readonly #builder: CircuitBuilder
  readonly #graph: Graph
  readonly #input: Layout
  readonly #strategies: Strategies
  readonly #uses: readonly NodeId[][]
  readonly #ids: ReadonlyMap<Node, NodeId>
  readonly #refreshLevel: number | undefined
  readonly #restorer: Restorer | undefined
  readonly #outputLevel: LoweringOptions['outputLevel']
  /** Root mean square of each node's tensor, where tensors are restored. */
  readonly #rms: readonly number[]
  /** The repack node of each node that is repacked. */
  readonly #repacks = new Map<Node, NodeOf<'repack'>>()
  readonly #packed = new Map<NodeId, Packed>()
  /** The entry that each change of `#packed` replaced, in the order of the changes. */
  readonly #replaced: { readonly id: NodeId; readonly before: Packed | undefined }[] = []
  #rounds = 0

  constructor(
    builder: CircuitBuilder,
    graph: Graph,
    { layout, strategies, refreshLevel, restorer, outputLevel }: LoweringOptions,
  ) {
    this.#builder = builder
    this.#graph = graph
    this.#input = layout
    this.#strategies = strategies
    this.#refreshLevel = refreshLevel
    this.#restorer = restorer
    this.#outputLevel = outputLevel
    this.#rms = restorer ? estimateRanges(graph).map(({ rms }) => rms) : []
    this.#uses = users(graph)
    this.#ids = new Map(graph.nodes.map((node, id) => [node, id]))
    for (const node of graph.nodes) {
      if (node.kind === 'repack') this.#repacks.set(graph.nodes[node.source], node)
    }
  }

  /** Lowers the whole graph, with refreshes at the cuts. */
  run(cuts: Cuts): LoweredHead {
    const { output } = this.#graph
    for (let id = 0; id < output; id++) {
      const tensors = cuts.get(id)
      if (tensors !== undefined) this.refresh(tensors)
      this.lowerNode(id)
    }
    const tensors = cuts.get(output)
    if (tensors !== undefined) this.refresh(tensors)
    return this.finish(this.lowerHead())
  }

  /** Lowers a node after its operands. A layer that waits for its sum is lowered with the sum. */
  lowerNode(id: NodeId): void {
    if (this.waitsForSum(id)) return
    this.#keep(
      id,
      this.#builder.within(this.#graph.nodes[id], () => this.#lower(this.#graph.nodes[id])),
    )
  }

  /** Lowers the graph's output after its operand. @throws when the output is not a head */
  lowerHead(): LoweredHead {
    const { nodes, output } = this.#graph
    const head = nodes[output]
    if (head.kind !== 'head') throw new Error(`The graph ends in ${head.kind}, not in a head`)
    this.#startLayer(head, this.#value(head.source).layout)
    const source = this.#value(head.source)
    return this.#builder.within(head, () => lowerHead(this.#builder, source, head, this.#strategyFor(source)))
  }

  /** Drops the logits to their level, if there is one. */
  finish(head: LoweredHead): LoweredHead {
    const level = this.#outputLevel?.(this.#builder.type(head.value).scale) ?? this.#refreshLevel
    if (level === undefined) return head
    const { nodes, output } = this.#graph
    return {
      ...head,
      value: this.#builder.within(nodes[output], () => this.#builder.dropTo(head.value, level)),
    }
  }

  /** Refreshes tensors to the level of inputs. */
  refresh(tensors: readonly NodeId[]): void {
    if (this.#restorer === undefined) this.#refreshByClient(tensors)
    else for (const id of tensors) this.#keep(id, this.#restored(id, this.#restorer))
  }

  #restored(id: NodeId, restorer: Restorer): Packed {
    const packed = this.#value(id)
    return this.#builder.within(
      this.#graph.nodes[id],
      () => restorePacked(this.#builder, packed, restorer, this.#rms[id]),
      restorer.errorVariance(ringOf(this.#builder), this.#rms[id]),
    )
  }

  /** Refreshes tensors in rounds of at most `ROUND_CIPHERTEXTS`. */
  #refreshByClient(tensors: readonly NodeId[]): void {
    const level = this.#refreshLevel
    if (level === undefined) throw new Error('There are cuts, and no level that values go to the client at')
    const first = this.#rounds
    let ciphertexts = 0
    const roundOf = (): number => first + Math.floor(ciphertexts++ / ROUND_CIPHERTEXTS)
    for (const id of tensors) {
      const refreshed = this.#builder.within(this.#graph.nodes[id], () =>
        refreshPacked(this.#builder, this.#value(id), level, roundOf),
      )
      this.#keep(id, refreshed)
    }
    this.#rounds = first + Math.ceil(ciphertexts / ROUND_CIPHERTEXTS)
  }

  /** Returns a function that undoes all later lowering. */
  mark(): () => void {
    const undo = this.#builder.mark()
    const changes = this.#replaced.length
    const rounds = this.#rounds
    return () => {
      undo()
      for (const { id, before } of this.#replaced.splice(changes).reverse()) {
        if (before === undefined) this.#packed.delete(id)
        else this.#packed.set(id, before)
      }
      this.#rounds = rounds
    }
  }

  #keep(id: NodeId, packed: Packed): void {
    this.#replaced.push({ id, before: this.#packed.get(id) })
    this.#packed.set(id, packed)
  }

  /** Level of a lowered tensor's values. */
  levelOf(id: NodeId): number {
    return this.#type(this.#value(id)).level
  }

  isLowered(id: NodeId): boolean {
    return this.#packed.has(id)
  }

  /** A lowered tensor; after its last refresh, if it was refreshed. */
  tensor(id: NodeId): Packed {
    return this.#value(id)
  }

  #lower(node: Node): Packed {
    switch (node.kind) {
      case 'input':
        return this.#lowerInput(node)
      case 'conv':
      case 'diagonal':
      case 'taps':
      case 'repack':
        return this.#rescaled(this.#lowerWeighted(node, this.#value(node.source)))
      case 'bias':
        return lowerBias(this.#builder, this.#value(node.source), node)
      case 'add':
        return this.#rescaled(this.#lowerSum(node))
      case 'multiply':
        return this.#rescaled(this.#lowerProduct(node))
      case 'scores':
      case 'attend':
        return this.#rescaled(this.#lowerAttention(node))
      case 'exchange':
        return exchanged(this.#builder, this.#value(node.source))
      case 'norm':
      case 'sigmoidScale':
      case 'scaleChannels':
      case 'flip':
      case 'slice':
      case 'head':
        throw new Error(`${node.kind} is folded before lowering`)
    }
  }

  #lowerInput(node: NodeOf<'input'>): Packed {
    this.#startLayer(node, this.#input)
    const builder = this.#builder
    // Inputs are never replicates: the weights that read each ciphertext of patches have other zeros.
    const values = Array.from({ length: this.#input.ciphertexts }, (_, index) =>
      sumOfCopies(builder, builder.input(index)),
    )
    return { layout: this.#input, values, clean: true }
  }

  /** @param scale of the constants; by default as `weightBits` */
  #lowerWeighted(node: Weighted, input: Packed, scale?: number): Packed {
    this.#startLayer(node, input.layout)
    const form = this.#formOf(node)
    const constantScale = scale ?? 2 ** weightBits(this.#builder, node, input, form)
    const make = (): Packed =>
      this.#builder.within(node, () => this.#lowerAt(node, input, constantScale, form))
    const repack = this.#repacks.get(node)
    if (repack === undefined) return make()
    const stride = ciphertextStride(withChannels(input.layout, node.shape[0]), this.#densest(repack))
    return this.#builder.withReplicateStride(stride, make)
  }

  #lowerAt(node: Weighted, input: Packed, constantScale: number, form: Form): Packed {
    if (node.kind === 'diagonal') return lowerDiagonal(this.#builder, input, node, constantScale, form)
    if (node.kind === 'repack') return this.#lowerRepack(node, input, constantScale)
    if (node.kind === 'taps') return lowerTaps(this.#builder, input, node, constantScale, form)
    const strategy = this.#strategyFor(input)
    return node.groups === 1
      ? lowerDense(this.#builder, input, node, strategy, constantScale, form)
      : lowerDepthwise(this.#builder, input, node, strategy, constantScale, form)
  }

  #lowerRepack(node: NodeOf<'repack'>, input: Packed, constantScale: number): Packed {
    return lowerRepack(this.#builder, input, this.#densest(node), this.#strategyFor(input), constantScale)
  }

  #strategyFor({ layout }: Packed): RotationStrategy {
    return strategyFor(this.#strategies, layout)
  }

  /** The layout that a tensor is repacked to. */
  #densest({ shape }: NodeOf<'repack'>): Layout {
    return chooseLayout(this.#builder.chain.slots, shape, reachAt(this.#graph, shape))
  }

  #lowerSum(node: NodeOf<'add'>): Packed {
    const waiting = [node.right, node.left].find((id) => !this.#packed.has(id))
    const other = waiting === node.right ? node.left : node.right
    const fixed = this.#packed.get(other) ?? this.#rescaled(this.#lowerWaiting(other))
    if (waiting === undefined)
      throw new Error(`Neither summand of ${node.name} has weights whose scale is free`)
    const weighted = this.#graph.nodes[waiting] as Weighted
    const source = this.#value(weighted.source)
    const builder = this.#builder
    const sourceType = this.#type(source)
    const alignment = alignedScale(
      builder,
      this.#type(fixed),
      sourceType,
      weightBits(builder, weighted, source, 'joined'),
    )
    const lowered = dropPacked(builder, source, alignment.level)
    const branch = this.#lowerWeighted(weighted, lowered, alignment.scale / sourceType.scale)
    return this.#addPacked(alignPacked(builder, fixed, alignment), branch)
  }

  #lowerWaiting(id: NodeId): Packed {
    const node = this.#graph.nodes[id] as Weighted
    return this.#lowerWeighted(node, this.#value(node.source))
  }

  #addPacked(a: Packed, b: Packed): Packed {
    const values = this.#combined(a, b, (left, right) => this.#builder.add(left, right))
    return { layout: a.layout, values, clean: a.clean && b.clean }
  }

  #lowerProduct(node: NodeOf<'multiply'>): Packed {
    const left = this.#value(node.left)
    const right = this.#value(node.right)
    const level = Math.min(this.#type(left).level, this.#type(right).level)
    const a = dropPacked(this.#builder, left, level)
    const b = dropPacked(this.#builder, right, level)
    this.#startLayer(node, left.layout)
    return lowerProduct(this.#builder, a, b)
  }

  #lowerAttention(node: NodeOf<'scores'> | NodeOf<'attend'>): Packed {
    const [left, right] = [this.#value(node.left), this.#value(node.right)]
    this.#startLayer(node, right.layout)
    const channels = right.layout.channels / node.heads
    const diagonals = diagonalsOf(right.layout, channels, this.#builder.chain.slots)
    const moves = {
      builder: this.#builder,
      strategy: this.#strategyFor(right),
      diagonals,
      maskScale: 2 ** maskBits(this.#builder, node, diagonals.block),
    }
    return node.kind === 'scores'
      ? lowerScores(moves, left, right, node)
      : lowerAttend(moves, left, right, node)
  }

  /** Layers that products alone read write the form that products read. */
  #formOf(node: Weighted): Form {
    const isSplit = node.kind !== 'repack' && node.shape[0] > 1 && !this.#repacks.has(node)
    return isSplit && this.#isReadByProducts(this.#ids.get(node)!) ? 'split' : 'joined'
  }

  #isReadByProducts(id: NodeId): boolean {
    return this.#uses[id].every((user) => {
      const { kind } = this.#graph.nodes[user]
      return kind === 'multiply' || ((kind === 'bias' || kind === 'exchange') && this.#isReadByProducts(user))
    })
  }

  /** Combines two tensors ciphertext by ciphertext. */
  #combined(a: Packed, b: Packed, combine: (left: ValueId, right: ValueId) => ValueId): ValueId[] {
    return eachCiphertext(this.#builder, a.layout, [a.values, b.values], (index) =>
      combine(a.values[index], b.values[index]),
    )
  }

  /**
   * Whether a layer is lowered together with the sum that reads it. The other summand then decides the scale
   * of the layer's constants.
   */
  waitsForSum(id: NodeId): boolean {
    const node = this.#graph.nodes[id]
    const isFree =
      node.kind === 'diagonal' || node.kind === 'repack' || (node.kind === 'conv' && node.groups === 1)
    if (!isFree) return false
    return this.#uses[id].length === 1 && this.#graph.nodes[this.#uses[id][0]].kind === 'add'
  }

  #value(id: NodeId): Packed {
    return this.#packed.get(id)!
  }

  #type(packed: Packed): ValueType {
    return this.#builder.type(packed.values[0])
  }

  #rescaled(packed: Packed): Packed {
    return rescalePacked(this.#builder, packed)
  }

  #startLayer(node: Node, layout: Layout): void {
    const elements = layout.channels * layout.height * layout.width
    this.#builder.layer({
      name: node.name,
      kind: node.kind === 'conv' && node.groups !== 1 ? 'depthwise' : node.kind,
      shape: node.shape,
      slotsUsed: elements / (layout.ciphertexts * this.#builder.chain.slots * layout.parts),
      interleave: layout.interleave,
    })
  }
}
