import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { newFloodingKey } from '../../../src/he-ops/flooding.ts'
import type { InferenceJob } from '../../../src/server/inference/engine.ts'
import { type WorkerObserver, WorkerPool } from '../../../src/server/worker/pool.ts'
import { parameters } from '../../circuit/circuits.ts'
import { model } from '../support.ts'

const filename = fileURLToPath(new URL('./failing-worker.ts', import.meta.url))
const location = { bytes: new Uint8Array() }

function start(t: Test, faults: unknown[] = [], queue = 2, observer?: WorkerObserver): WorkerPool {
  const settings = { keyBytes: 0, engineBytes: 0, threads: 1, floodingKey: newFloodingKey() }
  const pool = new WorkerPool({
    workers: 1,
    queue,
    settings,
    filename,
    observer,
    onFault: (error) => faults.push(error),
  })
  t.teardown(() => pool.close())
  return pool
}

/** Runs a job on the only worker. */
const infer = (pool: WorkerPool, job: InferenceJob, onEnd = () => {}): Promise<Uint8Array> =>
  pool.infer(job, 0, { onPaused: () => {}, onEnd })

const job = (bytes: number[], more: Partial<InferenceJob> = {}): InferenceJob => ({
  model,
  keys: { name: 'n', location },
  frame: Uint8Array.from(bytes),
  signal: new AbortController().signal,
  whose: { owner: 'o', silence: () => 0, evict: () => {} },
  onProgress: () => {},
  client: async () => {},
  ...more,
})

t.test('the pool returns results, and transfers the frame’s buffer to the worker', async (t) => {
  const pool = start(t)
  const sent = job([9, 8, 7, 6])
  t.same(await infer(pool, sent), Uint8Array.of(9, 8, 7))
  t.equal(sent.frame.length, 0, 'the buffer is transferred, not copied')
  t.same(await pool.checkKeys(parameters, location), { galoisElements: [3], digest: 'd' })
})

t.test('a worker that ends with several jobs is lost once, and its observer is told', async (t) => {
  const faults: unknown[] = []
  const lost: unknown[] = []
  const pool = start(t, faults, 2, { onNotice: () => {}, onLost: (lane) => lost.push(lane) })
  const slow = [1, 2].map(() => infer(pool, job([3])).catch(({ code }) => code))
  await t.rejects(infer(pool, job([1])), { code: 'WORKER_LOST' })
  t.strictSame(await Promise.all(slow), ['WORKER_LOST', 'WORKER_LOST'])
  t.equal(faults.length, 1)
  t.strictSame(lost, [0])
  t.same(await infer(pool, job([5, 6, 7])), Uint8Array.of(5, 6, 7), 'another takes its place')
  await t.rejects(infer(pool, job([1])), { code: 'WORKER_LOST' })
  t.strictSame(lost, [0, 0], 'the next one counts again')
})

t.test(
  'the job of a worker that ends fails with WORKER_LOST, and the next job gets a new worker',
  async (t) => {
    const faults: unknown[] = []
    const pool = start(t, faults)
    for (let round = 1; round <= 3; round++) {
      await t.rejects(infer(pool, job([1])), { code: 'WORKER_LOST' })
      t.same(await infer(pool, job([5, 6, 7])), Uint8Array.of(5, 6, 7))
      t.ok(pool.ready)
      t.equal(faults.length, round)
    }
  },
)

t.test('the log gets message and stack of a fault in a worker', async (t) => {
  const pool = start(t)
  await t.rejects(infer(pool, job([2])), { message: 'a bug', stack: 'at its place' })
  t.same(await infer(pool, job([4, 4, 4])), Uint8Array.of(4, 4, 4))
})

t.test('a running job is cancelled at once, and its worker takes the next one', async (t) => {
  const pool = start(t)
  const cancel = new AbortController()
  const started = Promise.withResolvers<[number, number]>()
  const onProgress = (done: number, total: number): void => started.resolve([done, total])
  const running = infer(pool, job([3], { signal: cancel.signal, onProgress }))
  t.same(await started.promise, [1, 2])
  cancel.abort()
  await t.rejects(running, { name: 'InferenceCancelled' })
  t.same(await infer(pool, job([7, 7, 7])), Uint8Array.of(7, 7, 7))
  await t.rejects(infer(pool, job([3], { signal: AbortSignal.abort() })), { name: 'InferenceCancelled' })
})

t.test('a check of keys beyond the queue is TOO_BUSY', async (t) => {
  const pool = start(t, [], 1)
  const checks = Array.from({ length: 4 }, () => pool.checkKeys(parameters, location))
  const outcomes = await Promise.allSettled(checks)
  const refused = outcomes.filter(({ status }) => status === 'rejected')
  t.match(refused, [{ reason: { code: 'TOO_BUSY' } }])
})

t.test('a closed pool refuses jobs', async (t) => {
  const pool = start(t)
  await pool.close()
  t.notOk(pool.ready)
  const ended = Promise.withResolvers<void>()
  await t.rejects(infer(pool, job([4]), ended.resolve), { code: 'WORKER_LOST' })
  await ended.promise
})
