import t from 'tap'
import type { QueryJob } from '../../../src/server/cluster/queue/query-job.ts'
import {
  HeldInferences,
  type HeldInferencesOptions,
} from '../../../src/server/cluster/worker/held-inferences.ts'
import { createLogger } from '../../../src/server/plugins/logging.ts'
import { conflict } from '../../../src/server/problems/http-error.ts'

const job = {
  inference: 'name',
  id: 'one',
  model: { name: 'small', digest: 'd' },
  keySet: 'keys',
  isAsync: true,
  asker: { process: 'front', call: 'call' },
  request: { id: 'r', ip: '192.0.2.1', caller: {}, trace: {} },
  restarts: 0,
} as unknown as QueryJob

t.test('a key set is let go when its inference cannot begin', async (t) => {
  const refused: unknown[] = []
  let isHeld = false
  const located = {
    location: { bytes: new Uint8Array() },
    [Symbol.dispose]() {
      isHeld = false
    },
  }
  const inferences = new HeldInferences({
    calls: {
      self: 'worker',
      tell: async () => {},
      refuse: async (_to: string, _id: string, error: unknown) => void refused.push(error),
    },
    waiting: { remove: async () => {} },
    records: { take: async () => true, release: async () => false },
    frames: { get: async () => new Uint8Array(1) },
    host: {
      begin: async () => {
        t.ok(isHeld, 'it is on this machine by now')
        throw conflict('CONFIG_INVALID', 'An inference of that id is under way')
      },
    },
    modelOf: async () => ({}),
    keysOf: () => ({
      name: 'keys',
      locate: async () => {
        isHeld = true
        return located
      },
    }),
    log: createLogger('silent'),
  } as unknown as HeldInferencesOptions)
  const events = { onStarted() {}, onBegun() {}, onMoment() {} }
  await inferences.run({ job, done: async () => {} }, events)
  t.match(refused, [{ code: 'CONFIG_INVALID' }])
  t.notOk(isHeld)
})
