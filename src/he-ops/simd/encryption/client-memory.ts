import { MOST_KERNEL_BYTES } from '../../../schedule/limits.ts'
import { EngineMemoryExceeded } from '../../engine-memory-exceeded.ts'
import { createKernelMemory, MAX_PAGES, type MemorySharing } from '../../kernels/kernels.ts'
import { Heap } from '../memory/heap.ts'

/** The smallest maximum that is tried: 64 MB. No model's client works with less. */
const LEAST_PAGES = 1024
const PAGE_BYTES = 65536

/**
 * An empty heap for a client's keys. Some browsers, such as Safari, refuse a memory that may grow to 4 GB,
 * since they reserve its addresses at once. So the maximum is halved until the browser gives it; a key that
 * needs more then fails when the heap grows.
 *
 * @throws TOO_LARGE when the platform refuses the smallest maximum
 */
export function createClientHeap(sharing: MemorySharing): Heap {
  let refusal: unknown
  for (let pages = MAX_PAGES; pages >= LEAST_PAGES; pages /= 2) {
    try {
      const memory = createKernelMemory(sharing, pages)
      return new Heap(memory, Math.min(pages * PAGE_BYTES, MOST_KERNEL_BYTES))
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      refusal = error
    }
  }
  const least = LEAST_PAGES * PAGE_BYTES
  throw new EngineMemoryExceeded(`The browser refuses a memory of ${least} bytes for keys`, least, 0, {
    cause: refusal,
  })
}
