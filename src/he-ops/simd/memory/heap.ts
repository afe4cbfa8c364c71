import { MOST_KERNEL_BYTES } from '../../../schedule/limits.ts'
import { EngineMemoryExceeded } from '../../engine-memory-exceeded.ts'
import { FarMemory } from './far-memory.ts'
import { ALIGNMENT, aligned, Ranges } from './ranges.ts'

const PAGE_BYTES = 65536

/**
 * The memory of one engine, which grows on demand: kernel memory, and far memory beside it. One thread owns
 * the heap; other threads use the addresses that it passes to them.
 */
export class Heap {
  readonly memory: WebAssembly.Memory
  readonly far: FarMemory
  readonly #limit: number
  /** Address 0 is reserved for "none". */
  #ranges = new Ranges(ALIGNMENT)
  /** Allocations of the running `attempt` calls, the innermost last. */
  readonly #attempts: Set<number>[] = []
  #peak = 0

  /**
   * @param limit most bytes to which both memories together may grow; by default all that 32-bit addresses
   *   reach
   */
  constructor(memory: WebAssembly.Memory, limit = MOST_KERNEL_BYTES) {
    this.memory = memory
    this.#limit = limit
    this.far = new FarMemory(() => limit - memory.buffer.byteLength)
  }

  /** Bytes allocated in kernel memory. */
  get used(): number {
    return this.#ranges.used
  }

  /** The largest extent of the heap so far, from address 0 on. */
  get peak(): number {
    return this.#peak
  }

  /**
   * Allocates bytes with arbitrary contents. The address is a multiple of a cache line, and not 0.
   *
   * @throws TOO_LARGE when the memory may not or cannot grow enough; the heap is then unchanged
   */
  allocate(bytes: number): number {
    const start = this.#ranges.allocate(bytes)
    try {
      // Not to the end of the ranges: an allocation that failed may have been beyond any limit.
      this.#reach(start + aligned(bytes))
      this.#attempts.at(-1)?.add(start)
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
    for (const made of this.#attempts) made.delete(start)
  }

  /** Frees everything at once: no range may be used any more. Kernel memory keeps the size that it has. */
  clear(): void {
    this.#ranges = new Ranges(ALIGNMENT)
    this.far.clear()
  }

  /**
   * Runs a body that allocates several times. When it throws, everything that it allocated and did not free
   * is freed.
   */
  attempt<T>(body: () => T): T {
    const made = new Set<number>()
    this.#attempts.push(made)
    try {
      const result = body()
      // The enclosing attempt may still fail.
      const outer = this.#attempts.at(-2)
      for (const start of made) outer?.add(start)
      return result
    } catch (error) {
      for (const start of [...made]) this.free(start)
      throw error
    } finally {
      this.#attempts.pop()
    }
  }

  /** A view of words; invalid once the memory grows. */
  words(address: number, length: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, address, length)
  }

  /** A view of bytes, as `words`. */
  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length)
  }

  #reach(end: number): void {
    this.#grow(end)
    this.#peak = Math.max(this.#peak, end)
  }

  #grow(end: number): void {
    const missing = end - this.memory.buffer.byteLength
    if (missing <= 0) return
    const limit = Math.min(MOST_KERNEL_BYTES, this.#limit - this.far.size)
    if (end > limit) {
      const message = `The engine would need ${end} bytes of memory; it may have ${limit}`
      throw new EngineMemoryExceeded(message, end, limit)
    }
    try {
      this.memory.grow(Math.ceil(missing / PAGE_BYTES))
    } catch (cause) {
      const message = `The system does not give the engine ${end} bytes`
      throw new EngineMemoryExceeded(message, end, limit, { cause })
    }
  }
}
