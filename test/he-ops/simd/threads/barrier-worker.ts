import { parentPort } from 'node:worker_threads'
import { Barrier, type Verdict } from '../../../../src/he-ops/simd/threads/barrier.ts'

// A thread at a barrier, controlled by the test's main thread.

/** What to do at the barrier in `shared`, after a pause: join, arrive, or fail. */
export interface Meeting {
  readonly threads: number
  readonly shared: SharedArrayBuffer
  readonly action: 'join' | 'arrive' | 'fail' | 'rounds'
  readonly pauseMilliseconds: number
  /** For `rounds`: one counter for each round, to which every thread adds 1 before it arrives. */
  readonly counters?: Int32Array
  /** For `rounds`: the round in which this thread asks for a stop. */
  readonly stopIn?: number
}

export interface Met {
  readonly verdict: Verdict | undefined
  /** Rounds at whose end this thread saw all threads. */
  readonly rounds: number
  /** A round in which a thread was missing. */
  readonly incomplete: number | undefined
}

/** Passes the barrier round after round until a verdict ends it. */
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
