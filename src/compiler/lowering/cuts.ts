import { PolyVeilError } from '../../errors/index.ts'
import { type Graph, type NodeId, operands, users } from '../graph/graph.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { LoweredHead } from './head.ts'
import { type Cuts, Lowering, type LoweringOptions } from './lower.ts'

/** A level that compute leaves for bringing a value's scale down before it is refreshed. */
const RESERVED_LEVELS = 1

export interface CutGraph {
  readonly cuts: Cuts
  readonly head: LoweredHead
}

/**
 * Lowers a graph that is deeper than the modulus, and finds where its values have to be refreshed: as late as
 * possible, at places where few tensors are alive. A stretch between two such places is lowered at once; when
 * values would sink below the refresh level, what the stretch reads is refreshed before it; a stretch that is
 * too deep even then is divided.
 *
 * @param options with the refresh level
 * @throws DEPTH_EXCEEDED when one layer alone is too deep
 */
export function planCuts(
  builder: CircuitBuilder,
  graph: Graph,
  options: LoweringOptions & { readonly refreshLevel: number },
): CutGraph {
  return new CutPlanner(builder, graph, options).run()
}

/** Nodes `from` .. `to - 1`. */
interface Stretch {
  readonly from: NodeId
  readonly to: NodeId
}

class CutPlanner {
  readonly #builder: CircuitBuilder
  readonly #graph: Graph
  readonly #lowering: Lowering
  readonly #lowest: number
  /** Tensors that are computed up to each node and read after it. */
  readonly #alive: Int32Array
  readonly #cuts = new Map<NodeId, readonly NodeId[]>()

  constructor(
    builder: CircuitBuilder,
    graph: Graph,
    options: LoweringOptions & { readonly refreshLevel: number },
  ) {
    this.#builder = builder
    this.#graph = graph
    this.#lowering = new Lowering(builder, graph, options)
    this.#lowest = options.refreshLevel + RESERVED_LEVELS
    this.#alive = this.#aliveAfterEach(users(graph))
  }

  run(): CutGraph {
    const { output } = this.#graph
    for (const stretch of this.#stretches({ from: 0, to: output })) this.#lower(stretch)
    let head: LoweredHead | undefined
    const lowerHead = (): void => {
      head = this.#lowering.lowerHead()
    }
    if (!this.#attempt([lowerHead])) {
      this.#cut(output, [this.#sourceOf(output)])
      if (!this.#attempt([lowerHead])) throw this.#tooDeep(output)
    }
    return { cuts: this.#cuts, head: this.#lowering.finish(head!) }
  }

  #lower(stretch: Stretch): void {
    const { from, to } = stretch
    const lowerAll = Array.from({ length: to - from }, (_, i) => () => this.#lowering.lowerNode(from + i))
    if (this.#attempt(lowerAll)) return
    const undo = this.#lowering.mark()
    const read = this.#readBy(stretch)
    if (read.length > 0) {
      this.#cut(from, read)
      if (this.#attempt(lowerAll)) return
      undo()
      this.#cuts.delete(from)
    }
    const parts = this.#stretches(stretch)
    if (parts.length > 1) for (const part of parts) this.#lower(part)
    else this.#lowerSingly(stretch)
  }

  /** No place within is better than another: node by node, refreshing whatever the next one reads. */
  #lowerSingly({ from, to }: Stretch): void {
    for (let id = from; id < to; id++) {
      const lowerOne = (): void => this.#lowering.lowerNode(id)
      if (this.#attempt([lowerOne])) continue
      this.#cut(id, this.#readBy({ from: id, to: id + 1 }))
      if (!this.#attempt([lowerOne])) throw this.#tooDeep(id)
    }
  }

  /** Does all of it unless values would sink too low; then nothing has happened. */
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

  /** Lowered tensors that a stretch reads and that are not at the highest level. */
  #readBy({ from, to }: Stretch): NodeId[] {
    const read = new Set<NodeId>()
    for (let id = from; id < to; id++) this.#collect(id, read)
    return [...read].filter((id) => id < from && this.#lowering.levelOf(id) < this.#builder.chain.topLevel)
  }

  /** What lowering a node reads: its operands, and for a sum those of the layers that wait for it. */
  #collect(id: NodeId, read: Set<NodeId>): void {
    if (this.#lowering.waitsForSum(id)) return
    for (const operand of operands(this.#graph.nodes[id])) {
      if (this.#lowering.waitsForSum(operand)) read.add(this.#sourceOf(operand))
      else read.add(operand)
    }
  }

  #sourceOf = (id: NodeId): NodeId => operands(this.#graph.nodes[id])[0]

  /** Cuts a stretch where fewer tensors are alive than on either side. */
  #stretches({ from, to }: Stretch): Stretch[] {
    const alive = this.#alive.subarray(from, to)
    const least = alive.slice(0, -1).reduce((a, b) => Math.min(a, b), Infinity)
    const result: Stretch[] = []
    let start = from
    for (let id = from; id < to - 1; id++) {
      const count = alive[id - from]
      const isLow =
        count === least || (alive[id - from + 1] > count && (alive[id - from - 1] ?? Infinity) >= count)
      if (!isLow || this.#lowering.waitsForSum(id)) continue
      result.push({ from: start, to: id + 1 })
      start = id + 1
    }
    result.push({ from: start, to })
    return result
  }

  #aliveAfterEach(uses: readonly NodeId[][]): Int32Array {
    const alive = new Int32Array(uses.length)
    uses.forEach((own, node) => {
      if (this.#lowering.waitsForSum(node)) return
      // A layer that waits for its sum reads when the sum is made.
      const reads = own.flatMap((user) => (this.#lowering.waitsForSum(user) ? uses[user] : [user]))
      const last = Math.max(node, ...reads)
      for (let id = node; id < last; id++) alive[id]++
    })
    return alive
  }

  #tooDeep(id: NodeId): PolyVeilError {
    const layer = this.#graph.nodes[id].name
    return new PolyVeilError(
      'DEPTH_EXCEEDED',
      `Layer ${layer} alone is deeper than the modulus between two refreshes. What would help: a larger ring, or fewer ` +
        'bits of precision',
      { layer },
    )
  }
}
