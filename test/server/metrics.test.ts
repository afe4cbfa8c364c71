import { setTimeout as sleep } from 'node:timers/promises'
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { PolyVeilError } from '../../src/errors/index.ts'
import { ImageBudget } from '../../src/server/access/image-budget.ts'
import { createToken } from '../../src/server/access/manage-tokens.ts'
import type { Quota } from '../../src/server/access/tenant.ts'
import { TenantFiles } from '../../src/server/access/tenant-files.ts'
import { Tenants } from '../../src/server/access/tenants.ts'
import type { InferenceJob } from '../../src/server/inference/engine.ts'
import { Metrics } from '../../src/server/metrics/metrics.ts'
import { StateDatabase } from '../../src/server/stores/state-database.ts'
import { StorageHealth } from '../../src/server/stores/storage-health.ts'
import { announce, type Harness, harness, keyBytes, model, putPart, query, uploadKeys } from './support.ts'

/** Values of all series, by name and labels as the text format has them. */
type Series = ReadonlyMap<string, number>

const parsed = (text: string): Series =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )

const scraped = async (h: Harness, headers = {}): Promise<Series> =>
  parsed((await h.inject({ url: '/metrics', headers })).body)

const stageCount = (stage: string): string =>
  `polyveil_inference_stage_seconds_count{model="small",stage="${stage}"}`
const stageSum = (stage: string): string =>
  `polyveil_inference_stage_seconds_sum{model="small",stage="${stage}"}`

t.test('seconds of an inference count for its stages', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  const pause = 30
  h.engine.work = async ({ onStage, frame }: InferenceJob) => {
    // Again and again, as an inference with refresh rounds has them.
    for (const stage of ['compute', 'client', 'compute', 'client', 'compute'] as const) {
      onStage?.(stage)
      await sleep(pause)
    }
    return frame.slice(0, 100)
  }
  t.equal((await h.inject(query(keys))).statusCode, 200)
  const series = await scraped(h)
  for (const stage of ['queue', 'load', 'compute', 'client', 'send']) {
    t.equal(series.get(stageCount(stage)), 1, `${stage} counts once`)
  }
  const seconds = (stage: string): number => series.get(stageSum(stage))!
  // Timers may be early by a millisecond.
  t.ok(seconds('compute') > 0.08, 'three times')
  t.ok(seconds('client') > 0.05, 'two times')
  const total = series.get('polyveil_inference_seconds_sum{model="small"}')!
  const sum = ['queue', 'load', 'compute', 'client'].reduce((all, stage) => all + seconds(stage), 0)
  t.ok(sum <= total + 1e-3 && sum > 0.9 * total, `stages ${sum} of ${total}`)
})

t.test('an inference that fails has the stages that it reached', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  h.engine.work = () => Promise.reject(new PolyVeilError('WORKER_LOST', 'gone'))
  await h.inject(query(keys))
  const series = await scraped(h)
  t.equal(series.get(stageCount('load')), 1)
  t.notOk(series.has(stageCount('compute')))
  t.equal(series.get('polyveil_inferences_total{model="small",outcome="WORKER_LOST"}'), 1)
})

t.test('bytes of queries, answers and key uploads are counted', async (t) => {
  const h = await harness(t)
  const keys = await uploadKeys(h)
  await h.inject(query(keys))
  await h.inject(query(keys, { frame: new Uint8Array(10) }))
  const series = await scraped(h)
  t.equal(series.get('polyveil_query_bytes_total{model="small"}'), model.queryBytes, 'those that were taken')
  t.equal(series.get('polyveil_answer_bytes_total{model="small"}'), 100)
  t.equal(series.get('polyveil_key_upload_bytes_total'), keyBytes)
})

t.test('the key-set store tells its sets, uploads under way, and why sets were removed', async (t) => {
  const h = await harness(t, { limits: { maxSetsPerOwner: 1, ttlMilliseconds: 1000 } })
  await uploadKeys(h)
  await uploadKeys(h)
  const { id } = (await announce(h)).json()
  await putPart(h, id, 0, new Uint8Array(10))
  const before = await scraped(h)
  t.equal(before.get('polyveil_key_sets'), 2)
  t.equal(before.get('polyveil_key_set_bytes'), 2 * keyBytes)
  t.equal(before.get('polyveil_key_set_uploads'), 1)
  t.equal(before.get('polyveil_key_sets_removed_total{reason="made room for its owner"}'), 1)
  h.clock.now += 3_600_000
  await h.keys.sweep()
  const after = await scraped(h)
  t.equal(after.get('polyveil_key_set_uploads'), 0)
  t.equal(after.get('polyveil_key_sets_removed_total{reason="expired"}'), 1)
  t.equal(after.get('polyveil_key_sets_removed_total{reason="upload given up"}'), 1)
})

t.test('storage trouble and readiness are gauges, and each refused write counts', async (t) => {
  const storage = new StorageHealth()
  t.teardown(() => storage.close())
  const h = await harness(t, { storage })
  const well = await scraped(h)
  t.equal(well.get('polyveil_ready'), 1)
  t.equal(well.get('polyveil_storage_writable'), 1)
  for (let i = 0; i < 2; i++) storage.failed(Object.assign(new Error('no room'), { code: 'ENOSPC' }))
  storage.failed(new Error('no fault of the disk'))
  const ill = await scraped(h)
  t.equal(ill.get('polyveil_ready'), 0)
  t.equal(ill.get('polyveil_storage_writable'), 0)
  t.equal(ill.get('polyveil_storage_failures_total{reason="full"}'), 2)
})

/** A service with a token of each scope for one tenant. */
async function guarded(t: Test, quota: Quota): Promise<{ h: Harness; headers: object; observer: object }> {
  const files = new TenantFiles(t.testdir({}))
  const bearer = (text: string): object => ({ authorization: `Bearer ${text}` })
  const headers = bearer((await createToken(files, { tenant: 'bank', scopes: ['infer'], quota })).text)
  const watcher = { tenant: 'watcher', scopes: ['metrics'] as const, quota: {} }
  const observer = bearer((await createToken(files, watcher)).text)
  const tenants = new Tenants(files, { info() {}, warn() {} })
  await tenants.refresh()
  const budget = new ImageBudget(StateDatabase.inMemory())
  return { h: await harness(t, { tenants, budget }), headers, observer }
}

t.test('tenants have requests, refusals, images and what is left of their budgets', async (t) => {
  const { h, headers, observer } = await guarded(t, { imagesPerDay: 3, images: 10 })
  const inject = h.inject
  const own = {
    ...h,
    inject: (request: InjectOptions) => inject({ ...request, headers: { ...request.headers, ...headers } }),
  }
  const keys = await uploadKeys(own as Harness)
  const before = await scraped(h, observer)
  const requests = before.get('polyveil_tenant_requests_total{tenant="bank"}')!
  for (let i = 0; i < 2; i++) t.equal((await own.inject(query(keys))).statusCode, 200)
  h.engine.work = () => Promise.reject(new PolyVeilError('WORKER_LOST', 'gone'))
  t.equal((await own.inject(query(keys))).statusCode, 503)
  const after = await scraped(h, observer)
  t.equal(after.get('polyveil_tenant_requests_total{tenant="bank"}'), requests + 3)
  t.equal(after.get('polyveil_tenant_images_total{tenant="bank"}'), 2, 'the failed one was given back')
  t.equal(after.get('polyveil_tenant_refusals_total{tenant="bank",code="WORKER_LOST"}'), 1)
  t.equal(after.get('polyveil_tenant_images_left{tenant="bank",period="day"}'), 1)
  t.equal(after.get('polyveil_tenant_images_left{tenant="bank",period="all"}'), 8)
  t.notOk(
    [...after.keys()].some((name) => /images_left.*watcher/.test(name)),
    'no budget, no gauge',
  )
})

t.test('refused logins count by code, and make no labels', async (t) => {
  const { h, headers, observer } = await guarded(t, {})
  for (const authorization of [undefined, 'Bearer nonsense', 'Bearer other']) {
    await h.inject({ url: '/v2/models', headers: { ...(authorization && { authorization }) } })
  }
  await h.inject({ url: '/metrics', headers: { ...headers } })
  await h.inject({ url: '/v2/chosen-by-the-client', headers: { ...headers } })
  const series = await scraped(h, observer)
  t.equal(series.get('polyveil_refused_logins_total{code="UNAUTHENTICATED"}'), 3)
  t.equal(series.get('polyveil_refused_logins_total{code="FORBIDDEN"}'), 1)
  t.equal(series.get('polyveil_tenant_refusals_total{tenant="bank",code="FORBIDDEN"}'), 1)
  t.notMatch([...series.keys()].join('\n'), /nonsense|other"|chosen-by-the-client/)
})

t.test('notices of workers are metrics, and a lost worker has no memory', async (t) => {
  const metrics = new Metrics()
  const { workers, inferences } = metrics
  const read = async (): Promise<Series> => parsed(await metrics.registry.metrics())
  const zero = await read()
  t.equal(zero.get('polyveil_workers_lost_total{task="inference"}'), 0, 'an alert needs the first value')
  t.equal(zero.get('polyveil_key_cache_evictions_total{reason="room"}'), 0)
  const session = { keys: 1, constants: 2, program: 3 }
  const operations = { rotate: 5, rescale: 2 }
  const opened = { kind: 'session opened', model: 'm', digest: 'd', memory: session, threads: 1 } as const
  workers.onNotice(1, { ...opened, operations })
  workers.onNotice(1, { kind: 'session reused' })
  workers.onNotice(1, { kind: 'keys freed', keySet: 'secret', reason: 'room' })
  const memory = { keys: 10, constants: 20, programs: 30, used: 70, limit: 100 }
  workers.onNotice(1, { kind: 'memory', memory })
  inferences.ended({ name: 'm', digest: 'd' }, 'ok', 1)
  inferences.ended({ name: 'm', digest: 'd' }, 'TOO_BUSY', 1)
  const series = await read()
  t.equal(series.get('polyveil_key_cache_loads_total'), 1)
  t.equal(series.get('polyveil_key_cache_hits_total'), 1)
  t.equal(series.get('polyveil_key_cache_evictions_total{reason="room"}'), 1)
  t.equal(series.get('polyveil_operations_total{model="m",kind="rotate"}'), 5, 'of the one that succeeded')
  for (const part of ['keys', 'constants', 'programs'] as const) {
    t.equal(series.get(`polyveil_engine_memory_bytes{worker="1",part="${part}"}`), memory[part])
  }
  t.equal(series.get('polyveil_engine_used_bytes{worker="1"}'), 70)
  t.equal(series.get('polyveil_engine_limit_bytes{worker="1"}'), 100)
  workers.onLost(1)
  workers.onLost()
  const lost = await read()
  t.equal(lost.get('polyveil_workers_lost_total{task="inference"}'), 1)
  t.equal(lost.get('polyveil_workers_lost_total{task="key_check"}'), 1)
  t.notOk([...lost.keys()].some((name) => name.includes('worker="1"')))
})
