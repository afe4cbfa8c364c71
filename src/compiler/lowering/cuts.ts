import { PolyVeilError } from '../../errors/index.ts'
import { type Graph, type NodeId, operands, users } from '../graph/graph.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { LoweredHead } from './head.ts'
import { type Cuts, Lowering, type LoweringOptions } from './lower.ts'
import { type Alive, aliveAfterEach, dividedWhereLow, type GraphSegment } from './segments.ts'

/** Levels above the refresh level that are reserved for lowering a value's scale before its refresh. */
const RESERVED_LEVELS = 1

/** Cuts of a graph, and its lowered head. */
export interface CutGraph {
  readonly cuts: Cuts
  readonly head: LoweredHead
}

/**
 * Lowers a graph that is deeper than the modulus, and finds the cuts: the nodes before which tensors are
 * refreshed. Cuts are made as late as possible, at nodes where few tensors are alive. The graph is divided
 * into segments at these nodes, and each segment is lowered as a whole. When values of a segment would fall
 * below the refresh level, the tensors that the segment reads are refreshed before it. A segment that is too
 * deep after a refresh is divided again.
 *
 * @param builder empty; the operations are appended to it
 * @throws DEPTH_EXCEEDED when one layer alone is too deep
 */
export function planCuts(
  builder: CircuitBuilder,
  graph: Graph,
  options: LoweringOptions & { readonly refreshLevel: number },
): CutGraph {
  return new CutPlanner(builder, graph, options).run()
}

class CutPlanner {
  readonly #builder: CircuitBuilder
  readonly #graph: Graph
  readonly #lowering: Lowering
  readonly #lowest: number
  /** For each node, the tensors that are computed up to the node and read after it. */
  readonly #alive: Alive
  readonly #cuts = new Map<NodeId, readonly NodeId[]>()

  constructor(
    builder: CircuitBuilder,
    graph: Graph,
    options: LoweringOptions & { readonly refreshLevel: number },
  ) {
    this.#builder = builder
    this.#graph = graph
    this.#lowering = new Lowering(builder, graph, options)
    this.#lowest = options.refreshLevel + (options.restorer ? 0 : RESERVED_LEVELS)
    this.#alive = aliveAfterEach(graph, users(graph), (id) => this.#lowering.waitsForSum(id))
  }

  run(): CutGraph {
    const { output } = this.#graph
    for (const segment of this.#divided({ from: 0, to: output })) this.#lower(segment)
    return { cuts: this.#cuts, head: this.#lowering.finish(this.#lowerHead(output)) }
  }

  #lowerHead(output: NodeId): LoweredHead {
    const heads: LoweredHead[] = []
    const lowerHead = (): void => {
      heads.push(this.#lowering.lowerHead())
    }
    if (!this.#attempt([lowerHead])) {
      this.#cut(output, [this.#sourceOf(output)])
      if (!this.#attempt([lowerHead])) throw this.#tooDeep(output)
    }
    return heads.at(-1)!
  }

  #lower(segment: GraphSegment): void {
    const { from, to } = segment
    const lowerAll = Array.from({ length: to - from }, (_, i) => () => this.#lowering.lowerNode(from + i))
    if (this.#attempt(lowerAll)) return
    const undo = this.#lowering.mark()
    for (const tensors of this.#upToEachLevel(this.#readBy(segment))) {
      this.#cut(from, tensors)
      if (this.#attempt(lowerAll)) return
      undo()
      this.#cuts.delete(from)
    }
    const parts = this.#divided(segment)
    if (parts.length > 1) for (const part of parts) this.#lower(part)
    else this.#lowerSingly(segment)
  }

  /** Lowers node by node, and refreshes the operands of each node that is too deep. */
  #lowerSingly({ from, to }: GraphSegment): void {
    for (let id = from; id < to; id++) {
      const lowerOne = (): void => this.#lowering.lowerNode(id)
      if (this.#attempt([lowerOne])) continue
      const undo = this.#lowering.mark()
      const isLowered = this.#upToEachLevel(this.#readBy({ from: id, to: id + 1 })).some((tensors) => {
        undo()
        this.#cut(id, tensors)
        return this.#attempt([lowerOne])
      })
      if (!isLowered) throw this.#tooDeep(id)
    }
  }

  /**
   * Runs all steps, unless a value falls below the lowest level that computing may use. Then all steps are
   * undone.
   *
   * @returns whether the steps were kept
   */
  #attempt(steps: readonly (() => void)[]): boolean {
    const undo = this.#lowering.mark()
    const { ops } = this.#builder
    let checked = ops.length
    for (const step of steps) {
      step()
      for (; checked < ops.length; checked++) {
        if (ops[checked].level >= this.#lowest) continue
        undo()
        return false
      }
    }
    return true
  }

  #cut(before: NodeId, tensors: readonly NodeId[]): void {
    this.#cuts.set(before, tensors)
    this.#lowering.refresh(tensors)
  }

  /** Lowered tensors below the highest level that a segment reads. */
  #readBy({ from, to }: GraphSegment): NodeId[] {
    const read = new Set<NodeId>()
    for (let id = from; id < to; id++) this.#collect(id, read)
    return [...read].filter((id) => id < from && this.#lowering.levelOf(id) < this.#builder.inputLevel)
  }

  /**
   * For each level of the tensors, the lowest first, those up to it. The tensors above may be high enough as
   * they are.
   */
  #upToEachLevel(tensors: readonly NodeId[]): NodeId[][] {
    const levels = new Set(tensors.map((id) => this.#lowering.levelOf(id)))
    return [...levels]
      .sort((a, b) => a - b)
      .map((level) => tensors.filter((id) => this.#lowering.levelOf(id) <= level))
  }

  /** Adds the tensors that lowering a node reads: its operands, and for a sum those of its waiting layers. */
  #collect(id: NodeId, read: Set<NodeId>): void {
    if (this.#lowering.waitsForSum(id)) return
    for (const operand of operands(this.#graph.nodes[id])) {
      if (this.#lowering.waitsForSum(operand)) read.add(this.#sourceOf(operand))
      else read.add(operand)
    }
  }

  #sourceOf = (id: NodeId): NodeId => operands(this.#graph.nodes[id])[0]

  #divided = (segment: GraphSegment): GraphSegment[] =>
    dividedWhereLow(segment, this.#alive, (id) => !this.#lowering.waitsForSum(id))

  #tooDeep(id: NodeId): PolyVeilError {
    const layer = this.#graph.nodes[id].name
    return new PolyVeilError(
      'DEPTH_EXCEEDED',
      `Layer ${layer} alone is deeper than the modulus between two refreshes or restorations. What would help: a larger ring, or fewer ` +
        'bits of precision',
      { layer },
    )
  }
}
