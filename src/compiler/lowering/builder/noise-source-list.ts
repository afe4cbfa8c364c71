import type { Node } from '../../graph/graph.ts'
import { Scoped } from './scoped.ts'

/**
 * The noise sources of a circuit. A noise source is one computation of a node's tensor; the errors that enter
 * there are independent of all others. A node whose tensor is refreshed has several noise sources.
 */
export class NoiseSourceList {
  /** The node of each noise source, in the order of computation. */
  readonly nodes: Node[] = []
  /** For each noise source the variance that is known to enter there. */
  readonly entering: (number | undefined)[] = []
  readonly #current = new Scoped(0)

  /** Index of the noise source that new operations belong to. */
  get current(): number {
    return this.#current.value
  }

  /** Adds a noise source for a node; all operations that `make` appends belong to it. */
  within<T>(node: Node, make: () => T, entering?: number): T {
    this.entering.push(entering)
    return this.#current.during(this.nodes.push(node) - 1, make)
  }

  /** Removes all noise sources from index `length` on. */
  truncate(length: number): void {
    this.nodes.length = length
    this.entering.length = length
  }
}
