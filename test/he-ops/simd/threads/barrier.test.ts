import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import {
  Barrier,
  VERDICT_FAILED,
  VERDICT_RUN,
  VERDICT_STOP,
} from '../../../../src/he-ops/simd/threads/barrier.ts'
import { type Meeting, type Met, rounds } from './barrier-worker.ts'

const THREADS = 3
const workers = Array.from(
  { length: THREADS - 1 },
  () => new Worker(new URL('./barrier-worker.ts', import.meta.url)),
)
t.teardown(async () => {
  for (const worker of workers) await worker.terminate()
})

/** Sends a worker to a barrier. */
async function send(worker: Worker, meeting: Meeting): Promise<Met> {
  const answer = once(worker, 'message')
  worker.postMessage(meeting)
  return (await answer)[0] as Met
}

const pause = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

// Waits until the workers have started and loaded their modules.
for (const worker of workers) {
  await send(worker, { threads: 1, shared: new Barrier(1).shared, action: 'arrive', pauseMilliseconds: 0 })
}

/** A barrier of two threads; a worker acts at it after a pause in which the other thread falls asleep. */
function withOther(action: Meeting['action']): { barrier: Barrier; met: Promise<Met> } {
  const barrier = new Barrier(2)
  const met = send(workers[0], { threads: 2, shared: barrier.shared, action, pauseMilliseconds: 0 })
  pause(50)
  return { barrier, met }
}

t.test('the calling thread waits for the others to begin without being deaf', async (t) => {
  const barrier = new Barrier(THREADS)
  let isPresent = false
  const present = barrier.present().then(() => {
    isPresent = true
  })
  const meeting: Meeting = { threads: THREADS, shared: barrier.shared, action: 'join', pauseMilliseconds: 20 }
  await send(workers[0], meeting)
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.equal(isPresent, false, 'one of two is there')
  await send(workers[1], meeting)
  await present
  t.ok(isPresent)
  await new Barrier(1).present()
})

t.test('no thread passes before all have arrived, round after round', async (t) => {
  const barrier = new Barrier(THREADS)
  const counters = new Int32Array(new SharedArrayBuffer(4 * 5000))
  const meeting: Meeting = {
    threads: THREADS,
    shared: barrier.shared,
    action: 'rounds',
    pauseMilliseconds: 0,
    counters,
  }
  const others = workers.map((worker) => send(worker, meeting))
  for (const met of [rounds(meeting), ...(await Promise.all(others))]) {
    t.strictSame(met, { verdict: VERDICT_RUN, rounds: 5000, incomplete: undefined })
  }
})

t.test('a late wake-up call of an earlier barrier does not open the next one', async (t) => {
  const { barrier, met } = withOther('arrive')
  const words = new Int32Array(barrier.shared)
  for (let word = 0; word < words.length; word++) Atomics.notify(words, word)
  const asleep = sleep(100).then(() => 'asleep')
  t.equal(await Promise.race([met, asleep]), 'asleep')
  t.equal(barrier.arrive(), VERDICT_RUN)
  t.match(await met, { verdict: VERDICT_RUN })
})

t.test('a single thread never waits', async (t) => {
  const barrier = new Barrier(1)
  t.equal(barrier.arrive(), VERDICT_RUN)
  barrier.stop()
  t.equal(barrier.arrive(), VERDICT_STOP)
})

t.test('all threads see a stop at the same barrier', async (t) => {
  for (let repetition = 0; repetition < 300; repetition++) {
    const barrier = new Barrier(THREADS)
    const counters = new Int32Array(new SharedArrayBuffer(4 * 50))
    const meeting: Meeting = {
      threads: THREADS,
      shared: barrier.shared,
      action: 'rounds',
      pauseMilliseconds: 0,
      counters,
    }
    const stopIn = repetition % 40
    const others = workers.map((worker) => send(worker, meeting))
    const all = [rounds({ ...meeting, stopIn }), ...(await Promise.all(others))]
    const wrong = all.find(({ verdict, rounds }) => verdict !== VERDICT_STOP || rounds !== stopIn + 1)
    if (wrong) t.fail(`stopped in round ${stopIn}, learnt ${JSON.stringify(wrong)}`)
  }
})

t.test('a thread that wakes up late does not see the next barrier’s stop', async (t) => {
  for (let repetition = 0; repetition < 5; repetition++) {
    const { barrier, met } = withOther('arrive')
    t.equal(barrier.arrive(), VERDICT_RUN)
    barrier.stop()
    t.equal((await met).verdict, VERDICT_RUN)
  }
})

t.test('a failure wakes the waiting threads', async (t) => {
  const { barrier, met } = withOther('arrive')
  barrier.fail()
  t.equal((await met).verdict, VERDICT_FAILED)
})

t.test('a thread that arrives after a failure does not wait', async (t) => {
  const { barrier, met } = withOther('fail')
  await met
  const begin = performance.now()
  t.equal(barrier.arrive(), VERDICT_FAILED)
  t.equal(barrier.arrive(), VERDICT_FAILED, 'and stays')
  t.ok(performance.now() - begin < 1000, 'at once')
})

t.test('a thread that does not arrive or does not begin is lost', async (t) => {
  const barrier = new Barrier(2, undefined, 100)
  await t.rejects(barrier.present(), { code: 'WORKER_LOST' })
  t.throws(() => barrier.arrive(), { code: 'WORKER_LOST' })
})

t.test('a stop does not replace a failure', async (t) => {
  const { barrier, met } = withOther('fail')
  await met
  barrier.stop()
  t.equal(barrier.arrive(), VERDICT_FAILED)
})
