import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { ImageBudget, type ImageCount, type ImageCounts } from '../../../src/server/access/image-budget.ts'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { HttpError } from '../../../src/server/problems/http-error.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { manifest, StepClient, started } from '../refreshed-service.ts'
import { type HarnessOptions, isProblem, query, untilCancelled, watch } from '../support.ts'
import { as as asTenant, audits, guarded, upload } from './guarded.ts'

/** Counts without days. */
class Counts implements ImageCounts {
  total = 0
  isFailing = false

  async of(): Promise<ImageCount> {
    return { today: this.total, total: this.total }
  }

  async add(_tenant: string, _day: string, images: number): Promise<ImageCount> {
    if (this.isFailing) throw new Error('SQLITE_FULL')
    this.total += images
    return this.of()
  }
}

/** A service with one tenant, who has a key set and a budget. */
async function counting(t: Test, options: HarnessOptions = {}) {
  const counts = new Counts()
  const budget = new ImageBudget(counts)
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic', quota: { images: 5 } }], { ...options, budget })
  const id = await upload(h, tokens[0])
  const send = (name?: string) => h.inject(asTenant(tokens[0], query(id, { header: { id: name } })))
  const cancel = (name: string) =>
    h.inject(asTenant(tokens[0], { ...watch(name, id), method: 'DELETE' as const }))
  const state = async (name: string) => (await h.inject(asTenant(tokens[0], watch(name, id)))).json().state
  const running = async (jobs = 1): Promise<void> => {
    while (h.engine.jobs.length < jobs) await sleep(1)
  }
  return { h, counts, send, cancel, state, running }
}

t.test('images are given back after every failure of the service, and after no other', async (t) => {
  const { h, counts, send } = await counting(t)
  const failures: [error: Error, status: number, counted: number][] = [
    [new HttpError(507, 'TOO_LARGE', 'The model does not fit'), 507, 0],
    [new PolyVeilError('MODEL_UNAVAILABLE', 'not now'), 503, 0],
    [new PolyVeilError('TOO_BUSY', 'not now'), 503, 0],
    [new TypeError('a fault'), 500, 0],
    [new PolyVeilError('TENSOR_MALFORMED', 'a wrong residue'), 400, 1],
    [new PolyVeilError('KEYS_EXPIRED', 'damaged', { isDamaged: true }), 410, 1],
  ]
  for (const [error, status, counted] of failures) {
    h.engine.work = () => Promise.reject(error)
    t.equal((await send()).statusCode, status, error.message)
    t.equal(counts.total, counted, error.message)
  }
})

t.test(
  'images are given back when the server ends the inference, and not when the client does',
  async (t) => {
    const { h, counts, send, cancel, running } = await counting(t)
    h.engine.work = untilCancelled
    const cancelled = send('mine')
    await running()
    await cancel('mine')
    isProblem(t, await cancelled, 409, 'INFERENCE_UNKNOWN')
    t.equal(counts.total, 1)
    const evicted = send('evicted')
    await running(2)
    h.engine.jobs[1].whose.evict()
    isProblem(t, await evicted, 409, 'INFERENCE_UNKNOWN')
    t.equal(counts.total, 1)
  },
)

t.test('an inference that takes longer than the service allows is given back', async (t) => {
  const { h, counts, send } = await counting(t, { maxInferenceMinutes: 0.001 })
  h.engine.work = untilCancelled
  const answer = send()
  // The limit itself does not keep the process alive.
  await sleep(200)
  isProblem(t, await answer, 409, 'INFERENCE_UNKNOWN')
  t.equal(counts.total, 0)
})

t.test('a service that ends gives back what it cancels', async (t) => {
  const { h, counts, send, running } = await counting(t)
  h.engine.work = untilCancelled
  const answer = send()
  await running()
  await h.app.close()
  isProblem(t, await answer, 409, 'INFERENCE_UNKNOWN')
  t.equal(counts.total, 0)
})

t.test('what a service that ends gives back is stored', async (t) => {
  const directory = t.testdir({})
  const dataDir = join(directory, 'data')
  const auditLog = join(directory, 'audit.jsonl')
  const { text } = await createToken(new TenantFiles(dataDir), {
    tenant: 'clinic',
    scopes: ['infer'],
    quota: {},
  })
  const server = await started(t, { access: 'tokens', auditLog, dataDir, shutdownSeconds: 1 }, directory)
  const client = await StepClient.create(server.url, manifest, { authorization: `Bearer ${text}` })
  t.equal((await client.begin()).json.outputs[0].name, 'refresh')
  await server.close()
  const state = await StateDatabase.open(dataDir)
  t.equal((await state.of('clinic', '2030-01-01')).total, 0)
  state.close()
  t.match(readFileSync(auditLog, 'utf8'), /"audit":"query taken".*\n.*"audit":"images given back"/)
})

t.test('an inference ends although its images cannot be given back', async (t) => {
  const { h, counts, send, state } = await counting(t)
  h.engine.work = () => {
    counts.isFailing = true
    return Promise.reject(new PolyVeilError('WORKER_LOST', 'gone'))
  }
  isProblem(t, await send('mine'), 503, 'WORKER_LOST')
  t.equal(await state('mine'), 'failed')
  t.match(h.log(), '"msg":"An inference ended"')
  t.match(h.log(), '"msg":"Images could not be given back to a tenant"')
  t.notMatch(h.log(), 'images given back')
})

t.test('an inference ends although its damaged key set cannot be deleted', async (t) => {
  const { h, send, state } = await counting(t)
  h.keys.discard = () => Promise.reject(new Error('EIO'))
  h.engine.work = () => Promise.reject(new PolyVeilError('KEYS_EXPIRED', 'damaged', { isDamaged: true }))
  isProblem(t, await send('mine'), 410, 'KEYS_EXPIRED')
  t.equal(await state('mine'), 'failed')
  t.match(h.log(), '"msg":"A damaged key set could not be deleted"')
})

t.test('a count that fails is no spent budget', async (t) => {
  const { h, counts, send } = await counting(t)
  counts.isFailing = true
  isProblem(t, await send(), 500, 'INTERNAL')
  t.equal(audits(h).filter(({ audit }) => String(audit).includes('budget')).length, 0)
})
