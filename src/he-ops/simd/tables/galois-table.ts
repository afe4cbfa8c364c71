import { automorphismOrder } from '../../encoding/automorphism.ts'
import type { Heap } from '../memory/heap.ts'

const LANES = 4

/**
 * Permutation tables of the `permute` and `dotPermuted` kernels for one ring. Each is made at its first use.
 */
export class GaloisTables {
  /** Address of the patterns that order the lanes of a group. */
  readonly patterns: number
  readonly #heap: Heap
  readonly #ring: number
  readonly #patternNumbers: ReadonlyMap<number, number>
  readonly #tables = new Map<number, number>()
  readonly #targets = new Map<number, number>()

  /** @param ring N, at least 8; each table takes N bytes of the heap and is never freed */
  constructor(heap: Heap, ring: number) {
    this.#heap = heap
    this.#ring = ring
    const orders = permutations([0, 1, 2, 3])
    this.#patternNumbers = new Map(orders.map((order, index) => [laneKey(order), index]))
    this.patterns = heap.allocate(orders.length * 16)
    const bytes = new Uint8Array(heap.memory.buffer, this.patterns, orders.length * 16)
    orders.forEach((order, index) => {
      order.forEach((lane, at) => {
        for (let byte = 0; byte < 4; byte++) bytes[16 * index + 4 * at + byte] = 4 * lane + byte
      })
    })
  }

  /**
   * Address of the table of X -> X^element by target: the source of each group.
   *
   * @param element odd, 1 to 2N - 1
   * @throws TOO_LARGE
   */
  table(element: number): number {
    return this.#once(this.#tables, element, (words) => {
      this.#eachGroup(element, (group, source, pattern) => {
        words[group] = (source << 8) | pattern
      })
    })
  }

  /**
   * Address of the table of the same automorphism by source: the target of each group. Parameters and errors
   * as for `table`.
   */
  targets(element: number): number {
    return this.#once(this.#targets, element, (words) => {
      this.#eachGroup(element, (group, source, pattern) => {
        words[source] = (group << 8) | pattern
      })
    })
  }

  #once(known: Map<number, number>, element: number, fill: (words: Uint32Array) => void): number {
    let address = known.get(element)
    if (address === undefined) {
      address = this.#heap.allocate(this.#ring)
      fill(new Uint32Array(this.#heap.memory.buffer, address, this.#ring / LANES))
      known.set(element, address)
    }
    return address
  }

  /** @param body called with a group of the image, its source group, and the number of its lanes' order */
  #eachGroup(element: number, body: (group: number, source: number, pattern: number) => void): void {
    const order = automorphismOrder(this.#ring, element)
    for (let group = 0; group < this.#ring / LANES; group++) {
      const sources = order.subarray(LANES * group, LANES * (group + 1))
      body(group, Math.floor(sources[0] / LANES), this.#patternNumbers.get(laneKey(sources))!)
    }
  }
}

/** The order of a group's lanes as a number. */
const laneKey = (sources: ArrayLike<number>): number =>
  ((sources[0] % LANES) * LANES + (sources[1] % LANES)) * LANES ** 2 +
  (sources[2] % LANES) * LANES +
  (sources[3] % LANES)

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((first) =>
    permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]),
  )
}
