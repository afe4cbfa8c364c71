import { PolyVeilError } from '../../../src/errors/index.ts'
import { ThreadPool } from '../../../src/he-ops/simd/threads/thread-pool.ts'

// The worker of the service, in which a thread of the engine is lost at each run.
ThreadPool.prototype.run = async () => {
  throw new PolyVeilError('WORKER_LOST', 'A thread of the engine did not finish its share')
}

export * from '../../../src/server/worker/worker.ts'
