import type { Benchmark } from './harness.ts'
import { compareKeyBytes } from './parts/key-bytes.ts'
import { compareOperations } from './parts/operations.ts'
import { compareRefreshes } from './parts/refreshes.ts'
import { compareThreads } from './parts/threads.ts'
import { timeTransforms } from './parts/transforms.ts'

/** The simd engine compared with node-seal, and two threads with one, in one run. */
export const engine: Benchmark = {
  name: 'engine',
  what: 'the simd engine against node-seal: operations, keys, threads, refreshes, in one run',
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
    const refreshes = await compareRefreshes()
    for (const { threads: count, serverMilliseconds, clientMilliseconds } of refreshes.rows) {
      say(
        `a refreshed ciphertext, ${count} threads: server ${serverMilliseconds} ms, client ${clientMilliseconds} ms`,
      )
    }
    const { rerandomiseMilliseconds, encryptMilliseconds } = refreshes.nodeSeal
    say(
      `node-seal re-randomises one in ${rerandomiseMilliseconds} ms, encrypts one in ${encryptMilliseconds} ms`,
    )
    return { operations, transforms, keys, threads, refreshes }
  },
}
