import { EngineMemoryExceeded } from '../../engine-memory-exceeded.ts'
import { FAR_CHUNK_BYTES, farRanges } from '../../kernels/far-source.ts'
import { ALIGNMENT, aligned, Ranges } from './ranges.ts'

/**
 * Memory of an engine that kernels do not reach. Programs copy what they read from it to kernel memory, with
 * the kernel `fetch`. It grows on demand, and keeps the size that it has until `clear`.
 */
export class FarMemory {
  /** All of it, in order. The array grows; chunks never move. */
  readonly chunks: SharedArrayBuffer[] = []
  readonly #room: () => number
  #ranges = new Ranges(ALIGNMENT)

  /** @param room most bytes that it may have now */
  constructor(room: () => number) {
    this.#room = room
  }

  /** Bytes allocated. */
  get used(): number {
    return this.#ranges.used
  }

  /** Bytes taken from the system. */
  get size(): number {
    return this.chunks.length * FAR_CHUNK_BYTES
  }

  /**
   * Allocates bytes with arbitrary contents. The address is a multiple of a cache line, and not 0.
   *
   * @throws TOO_LARGE when the memory may not or cannot grow enough; it is then unchanged
   */
  allocate(bytes: number): number {
    const start = this.#ranges.allocate(bytes)
    try {
      this.#reach(start + aligned(bytes))
      return start
    } catch (error) {
      this.#ranges.free(start)
      throw error
    }
  }

  /**
   * Frees a range.
   * @throws INTERNAL for an address that `allocate` did not return
   */
  free(start: number): void {
    this.#ranges.free(start)
  }

  /** Copies bytes to an address. */
  write(address: number, bytes: Uint8Array): void {
    let from = 0
    for (const { chunk, start, length } of farRanges(address, bytes.length)) {
      new Uint8Array(this.chunks[chunk], start, length).set(bytes.subarray(from, from + length))
      from += length
    }
  }

  /** Frees everything at once, and gives the memory back to the system. */
  clear(): void {
    this.#ranges = new Ranges(ALIGNMENT)
    this.chunks.length = 0
  }

  #reach(end: number): void {
    while (this.size < end) {
      const needed = this.size + FAR_CHUNK_BYTES
      const limit = this.#room()
      if (needed > limit) {
        const message = `The engine would need ${needed} bytes of far memory; it may have ${Math.max(0, limit)}`
        throw new EngineMemoryExceeded(message, needed, limit)
      }
      this.chunks.push(newChunk(needed, limit))
    }
  }
}

function newChunk(needed: number, limit: number): SharedArrayBuffer {
  try {
    return new SharedArrayBuffer(FAR_CHUNK_BYTES)
  } catch (cause) {
    const message = `The system does not give the engine ${needed} bytes of far memory`
    throw new EngineMemoryExceeded(message, needed, limit, { cause })
  }
}
