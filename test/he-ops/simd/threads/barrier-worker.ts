import { parentPort } from 'node:worker_threads'
import { Barrier, type Verdict } from '../../../../src/he-ops/simd/threads/barrier.ts'

// A thread that meets others at a barrier, as the test's main thread tells it.

/** What to do with the barrier in `shared`: join, arrive, or fail; after a pause. */
export interface Meeting {
  readonly threads: number
  readonly shared: SharedArrayBuffer
  readonly action: 'join' | 'arrive' | 'fail' | 'rounds'
  readonly pauseMilliseconds: number
  /** For `rounds`: one counter for each round, which every thread adds 1 to before it arrives. */
  readonly counters?: Int32Array
  /** For `rounds`: this thread asks for a stop in that round. */
  readonly stopIn?: number
}

export interface Met {
  readonly verdict: Verdict | undefined
  /** Rounds that ended with this thread having seen everybody. */
  readonly rounds: number
  /** A round in which somebody was missing. */
  readonly incomplete: number | undefined
}

/** Meets the others round after round until a verdict ends it. */
export function rounds({ threads, shared, counters, stopIn }: Meeting): Met {
  const barrier = new Barrier(threads, shared)
  let incomplete: number | undefined
  for (let round = 0; round < counters!.length; round++) {
    Atomics.add(counters!, round, 1)
    if (round === stopIn) barrier.stop()
    const verdict = barrier.arrive()
    if (Atomics.load(counters!, round) !== threads) incomplete ??= round
    if (verdict !== 0) return { verdict, rounds: round + 1, incomplete }
  }
  return { verdict: 0, rounds: counters!.length, incomplete }
}

function meet(meeting: Meeting): Met {
  const { threads, shared, action, pauseMilliseconds } = meeting
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMilliseconds)
  if (action === 'rounds') return rounds(meeting)
  const barrier = new Barrier(threads, shared)
  if (action === 'arrive') return { verdict: barrier.arrive(), rounds: 1, incomplete: undefined }
  if (action === 'join') barrier.join()
  else barrier.fail()
  return { verdict: undefined, rounds: 0, incomplete: undefined }
}

parentPort?.on('message', (meeting: Meeting) => parentPort?.postMessage(meet(meeting)))
