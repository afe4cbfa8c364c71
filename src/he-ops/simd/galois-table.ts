import { bitReverse, log2Exact } from '../encoding/order.ts'
import type { Heap } from './heap.ts'

const LANES = 4

/** The permutation tables of the `permute` kernel for one ring, one table for each Galois element, made when asked for. */
export class GaloisTables {
  /** Address of the patterns that order the lanes of a group. */
  readonly patterns: number
  readonly #heap: Heap
  readonly #ring: number
  readonly #patternNumbers: ReadonlyMap<string, number>
  readonly #tables = new Map<number, number>()

  /** @param ring N, at least 8; each table takes N bytes of the heap, for as long as that exists */
  constructor(heap: Heap, ring: number) {
    this.#heap = heap
    this.#ring = ring
    const orders = permutations([0, 1, 2, 3])
    this.#patternNumbers = new Map(orders.map((order, index) => [order.join(), index]))
    this.patterns = heap.allocate(orders.length * 16)
    const bytes = new Uint8Array(heap.memory.buffer, this.patterns, orders.length * 16)
    orders.forEach((order, index) => {
      order.forEach((lane, at) => {
        for (let byte = 0; byte < 4; byte++) bytes[16 * index + 4 * at + byte] = 4 * lane + byte
      })
    })
  }

  /**
   * Address of the table of X -> X^element: entry b of the result is the value at psi^(e * element), where psi^e is the
   * point of entry b; so it is the source's entry of that exponent.
   *
   * @param element odd, 1 to 2N - 1
   * @throws TOO_LARGE
   */
  table(element: number): number {
    const known = this.#tables.get(element)
    if (known !== undefined) return known
    const address = this.#heap.allocate(this.#ring)
    const words = new Uint32Array(this.#heap.memory.buffer, address, this.#ring / LANES)
    const sourceOf = sourceIndex(this.#ring, element)
    for (let group = 0; group < words.length; group++) {
      const sources = [0, 1, 2, 3].map((lane) => sourceOf(LANES * group + lane))
      const pattern = this.#patternNumbers.get(sources.map((source) => source % LANES).join())!
      words[group] = (Math.floor(sources[0] / LANES) << 8) | pattern
    }
    this.#tables.set(element, address)
    return address
  }
}

/** The entry of a polynomial in NTT form that its image under X -> X^element has at `index`. */
export function sourceIndex(ring: number, element: number): (index: number) => number {
  const bits = log2Exact(ring)
  return (index) => {
    const exponent = ((2 * bitReverse(index, bits) + 1) * element) % (2 * ring)
    return bitReverse((exponent - 1) / 2, bits)
  }
}

function permutations(items: readonly number[]): number[][] {
  if (items.length === 0) return [[]]
  return items.flatMap((first) =>
    permutations(items.filter((item) => item !== first)).map((rest) => [first, ...rest]),
  )
}
