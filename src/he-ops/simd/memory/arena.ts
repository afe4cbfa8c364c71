import type { Heap } from './heap.ts'

const SLAB_BYTES = 256 * 1024
/** What is larger has a place of its own on the heap. */
const LARGEST_SHARED = SLAB_BYTES / 8
/** Vectors of the kernels. */
const ALIGNMENT = 16

/** Memory for many small things that are given back together. */
export class Arena {
  readonly #heap: Heap
  readonly #owned: number[] = []
  #next = 0
  #end = 0
  #scratch: { readonly address: number; readonly bytes: number } | undefined

  constructor(heap: Heap) {
    this.#heap = heap
  }

  /** @throws TOO_LARGE */
  allocate(bytes: number): number {
    if (bytes > LARGEST_SHARED) return this.#own(bytes)
    if (this.#next + bytes > this.#end) {
      this.#next = this.#own(SLAB_BYTES)
      this.#end = this.#next + SLAB_BYTES
    }
    const address = this.#next
    this.#next += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
    return address
  }

  /** Memory that is overwritten by whoever asks next. */
  scratch(bytes: number): number {
    if (this.#scratch === undefined || this.#scratch.bytes < bytes) {
      this.#scratch = { address: this.#own(bytes), bytes }
    }
    return this.#scratch.address
  }

  /** Gives all of it back. */
  free(): void {
    for (const address of this.#owned.splice(0)) this.#heap.free(address)
    this.#next = 0
    this.#end = 0
    this.#scratch = undefined
  }

  #own(bytes: number): number {
    const address = this.#heap.allocate(bytes)
    this.#owned.push(address)
    return address
  }
}
