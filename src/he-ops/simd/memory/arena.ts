const SLAB_BYTES = 256 * 1024
/** Larger ranges are allocated on the heap one by one. */
const LARGEST_SHARED = SLAB_BYTES / 8
/** Width of the kernels' vectors. */
const ALIGNMENT = 16

/** The memory that ranges are allocated in: a heap, or far memory. */
interface RangeMemory {
  /** @throws TOO_LARGE */
  allocate(bytes: number): number
  free(start: number): void
}

/** Memory for many small objects that are freed together. */
export class Arena {
  readonly #heap: RangeMemory
  readonly #owned: number[] = []
  #next = 0
  #end = 0
  #scratch: { readonly address: number; readonly bytes: number } | undefined

  constructor(heap: RangeMemory) {
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

  /** Scratch memory; the next caller overwrites it. */
  scratch(bytes: number): number {
    if (this.#scratch === undefined || this.#scratch.bytes < bytes) {
      this.#scratch = { address: this.#own(bytes), bytes }
    }
    return this.#scratch.address
  }

  /** Frees everything. */
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
