import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { circuitDigest, writeCircuit } from '../../../src/circuit/format/file.ts'
import { connect, memoryKeyStore } from '../../../src/client/index.ts'
import { newFloodingKey } from '../../../src/he-ops/flooding.ts'
import { buildApp } from '../../../src/server/app.ts'
import { localHost } from '../../../src/server/execution/local-host.ts'
import { ModelCatalogue, servedModel } from '../../../src/server/models/catalogue.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { ScheduledEngine } from '../../../src/server/scheduling/scheduled-engine.ts'
import { openDiskStorage } from '../../../src/server/stores/disk-storage.ts'
import { KeyStore } from '../../../src/server/stores/key-store.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { WorkerPool } from '../../../src/server/worker/pool.ts'
import { circuit, image, largestError, MODEL, StepClient } from '../refreshed-service.ts'
import { UNLIMITED } from '../support.ts'
import { DyingWorkers } from './dying-workers.ts'

// A worker that ends while it computes, or while it waits for a client.

const CLOSE = 0.02

/** A service with two workers on the simd engine, which a test can end. */
async function service(t: Test) {
  const directory = t.testdir()
  const path = join(directory, 'refreshed.pvc')
  const bytes = writeCircuit(circuit)
  await writeFile(path, bytes)
  const workers = new DyingWorkers()
  const faults: unknown[] = []
  const pool = new WorkerPool({
    workers: 2,
    queue: 8,
    settings: { keyBytes: 2 ** 28, engineBytes: 2 ** 28, threads: 1, floodingKey: newFloodingKey() },
    filename: fileURLToPath(new URL('dying-worker.ts', import.meta.url)),
    onFault: (error) => faults.push(error),
  })
  const limits = { ttlMilliseconds: 3_600_000, maxSets: 100, maxSetBytes: 1e9, maxTotalBytes: 1e9 }
  const keySets = await openDiskStorage(join(directory, 'keys'), StateDatabase.inMemory().keySets)
  const engine = new ScheduledEngine(pool, { ...UNLIMITED, placesPerLane: 1 })
  const app = await buildApp({
    models: new ModelCatalogue([{ ...servedModel(circuit, path, { digest: circuitDigest(bytes) }), path }]),
    keys: await KeyStore.open(keySets, limits),
    engine,
    host: localHost(engine),
    security: { requestsPerMinute: 100_000, maxEventLoopDelayMs: 0 },
    logger: createLogger('silent'),
  })
  t.teardown(async () => {
    workers.close()
    await app.close()
  })
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), workers, faults }
}

t.test('a worker that ends between two rounds loses its own inferences alone', async (t) => {
  const { url, workers, faults } = await service(t)
  const [first, second] = [await StepClient.create(url), await StepClient.create(url)]
  const lost = await first.begin()
  t.equal(lost.status, 200)
  // A worker that has no keys is preferred to one that has those of another client.
  const kept = await second.begin()
  t.equal(kept.status, 200)
  while (workers.took.length < 2) await sleep(1)
  t.not(workers.took[0], workers.took[1], 'each has a worker')
  workers.end(workers.took[0])
  while (faults.length === 0) await sleep(5)

  const late = await first.answer(lost)
  t.ok([404, 503].includes(late.status), late.bytes.toString())
  t.match(late.json, { code: /^(INFERENCE_UNKNOWN|WORKER_LOST)$/, remedy: String })
  t.equal((await first.own('GET', `v2/inferences/${lost.json.id}`)).json.state, 'failed')
  t.ok((await second.finish(kept)) < CLOSE, 'the other inference goes on, and is right')
  t.ok((await first.classify()) < CLOSE, 'the client begins again, with the keys that are there')
  t.equal((await first.request('GET', 'v2/health/ready')).status, 200)
})

t.test('a request that waits for a worker that ends is answered with WORKER_LOST', async (t) => {
  const { url, workers, faults } = await service(t)
  const client = await StepClient.create(url)
  const begun = await client.begin('mine')
  t.equal(begun.status, 200)
  // The tensor of round 1 is not there before round 0 is answered.
  const waiting = client.output('mine', 1)
  await sleep(50)
  workers.end(workers.took[0])
  const answer = await waiting
  t.match(answer, { status: 503, json: { code: 'WORKER_LOST', remedy: String } })
  t.equal(faults.length, 1, 'the operator is told once')
  t.ok((await client.classify()) < CLOSE)
})

t.test('a query whose worker ends before its first output is executed by another', async (t) => {
  const { url, workers, faults } = await service(t)
  const client = await StepClient.create(url)
  workers.endingNext = 1
  const begun = await client.begin()
  t.equal(begun.status, 200, 'the client sees nothing of it')
  t.equal(workers.took.length, 2)
  t.not(workers.took[0], workers.took[1])
  t.equal(faults.length, 1, 'the operator does')
  t.ok((await client.finish(begun)) < CLOSE)
})

t.test('a query whose worker ends twice is answered with WORKER_LOST', async (t) => {
  const { url, workers, faults } = await service(t)
  const client = await StepClient.create(url)
  workers.endingNext = 2
  t.match(await client.begin(), { status: 503, json: { code: 'WORKER_LOST', remedy: String } })
  t.equal(workers.took.length, 2, 'it is not tried a third time')
  t.equal(faults.length, 2)
  t.ok((await client.classify()) < CLOSE)
})

t.test('the SDK begins a lost inference again, and the answer is right', async (t) => {
  const { url, workers } = await service(t)
  let replies = 0
  let ended = 0
  const ending: typeof fetch = async (input, init) => {
    const isReply = init?.method === 'POST' && /rounds\/0$/.test(String(input))
    if (isReply && replies++ === 0) {
      workers.end(workers.took[0])
      ended++
      await sleep(100)
    }
    return fetch(input, init)
  }
  const polyveil = await connect(url, { keys: memoryKeyStore(), fetch: ending })
  t.teardown(() => polyveil.close())
  const restarts: unknown[] = []
  const best = await polyveil.classify(MODEL, image, {
    onProgress: ({ stage, reason }) => stage === 'restart' && restarts.push(reason),
  })
  const logits = Float64Array.of(0, 0, 0)
  for (const { index, logit } of best) logits[index] = logit
  t.ok(largestError(logits) < CLOSE)
  t.equal(ended, 1)
  t.equal(restarts.length, 1)
  t.match(restarts[0], /^(INFERENCE_UNKNOWN|WORKER_LOST)$/)
})
