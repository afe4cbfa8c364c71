// A service in a process of its own that takes key sets and checks nothing in them, for tests that kill it or
// measure its memory. The argument is its data directory. It sends its address to its parent, and answers
// each message with the most memory that it had since the last one.
import { join } from 'node:path'
import { buildApp } from '../../../src/server/app.ts'
import { localHost } from '../../../src/server/execution/local-host.ts'
import type { InferenceEngine } from '../../../src/server/inference/engine.ts'
import { ModelCatalogue, servedModel } from '../../../src/server/models/catalogue.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { openDiskStorage } from '../../../src/server/stores/disk-storage.ts'
import { KeyStore } from '../../../src/server/stores/key-store.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'
import { smallCircuit, withEverySlot } from '../../circuit/circuits.ts'

const [data] = process.argv.slice(2)
const PROBE_MILLISECONDS = 50

const logger = createLogger('silent')
const health = new StorageHealth(logger, PROBE_MILLISECONDS)
const state = await StateDatabase.open(data, health)
const keySets = await openDiskStorage(join(data, 'keys'), state.keySets, { health })
const keys = await KeyStore.open(keySets, {
  ttlMilliseconds: 3_600_000,
  maxSets: 1000,
  maxUploadsPerOwner: 1000,
  maxSetBytes: 4e9,
  maxTotalBytes: 1e10,
})

const engine: InferenceEngine = {
  ready: true,
  workers: [],
  load: { waiting: 0, computing: 0, paused: 0, waitSeconds: 0, loadedKeySets: 0, heldBytes: 0 },
  forgetKeys: () => {},
  announce: () => () => {},
  // A set has to have the elements that were announced. The tests complete one set at a time.
  async checkKeys() {
    const { records } = await state.keySets.load()
    const latest = [...records.values()].find(({ digest }) => digest === undefined)
    return { galoisElements: latest?.galoisElements ?? [], digest: 'd'.repeat(64) }
  },
  infer: () => Promise.reject(new Error('this service takes only key sets')),
  close: async () => {},
}

const app = await buildApp({
  models: new ModelCatalogue([servedModel(withEverySlot(smallCircuit()), 'small.pvc')]),
  keys,
  storage: health,
  engine,
  host: localHost(engine),
  security: { requestsPerMinute: 1_000_000, maxEventLoopDelayMs: 0 },
  logger,
})

let most = 0
setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss())
}, 5)
process.on('message', () => {
  process.send?.(Math.max(most, process.memoryUsage.rss()))
  most = 0
})
process.on('disconnect', () => process.exit())
process.send?.(await app.listen({ port: 0, host: '127.0.0.1' }))
