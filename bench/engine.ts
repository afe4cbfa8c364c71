import type { Benchmark } from './harness.ts'
import { compareKeyBytes } from './parts/key-bytes.ts'
import { compareOperations } from './parts/operations.ts'
import { compareThreads } from './parts/threads.ts'
import { timeTransforms } from './parts/transforms.ts'

/** The simd engine against node-seal, and two threads against one, in one run. */
export const engine: Benchmark = {
  name: 'engine',
  what: 'the simd engine against node-seal: operations, keys, threads, in one run',
  async run(say) {
    const operations = await compareOperations()
    for (const { what, ratio } of operations.rows) say(`${what}: ${ratio} times as fast as node-seal`)
    const transforms = await timeTransforms()
    for (const { ring, forwardMicroseconds } of transforms) say(`NTT at ${ring}: ${forwardMicroseconds} us`)
    const keys = await compareKeyBytes()
    for (const { what, ratio } of keys) say(`keys of ${what}: ${ratio} of node-seal's bytes`)
    const threads = await compareThreads()
    for (const { threads: count, executeSeconds, speedup } of threads.rows) {
      say(`${count} threads: ${executeSeconds} s, ${speedup} times one`)
    }
    return { operations, transforms, keys, threads }
  },
}
