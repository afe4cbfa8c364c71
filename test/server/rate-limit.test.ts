import type { InjectOptions } from 'fastify'
import t from 'tap'
import { RequestCounts } from '../../src/server/plugins/request-counts.ts'
import { as, audits, guarded } from './access/guarded.ts'
import { harness, isProblem } from './support.ts'

const WINDOW = 60_000

function counted(counts: RequestCounts, key: string): number {
  let result = 0
  counts.incr(
    key,
    (_error, of) => {
      result = of?.current ?? 0
    },
    WINDOW,
  )
  return result
}

t.test('all routes share one count, and so do paths and methods that there are none of', async (t) => {
  const h = await harness(t, { security: { requestsPerMinute: 6 } })
  const round = { url: '/v2/inferences/none/rounds/0', headers: { 'polyveil-key-set': 'x'.repeat(43) } }
  const requests: [request: InjectOptions, status: number][] = [
    [{ url: '/v2/models' }, 200],
    [round, 404],
    [{ ...round, method: 'POST' }, 404],
    [{ url: '/nowhere' }, 404],
    [{ method: 'PUT', url: '/v2/models' }, 405],
    [{ url: `/v2/${'x'.repeat(5000)}` }, 414],
  ]
  for (const [request, status] of requests) t.equal((await h.inject(request)).statusCode, status)
  for (const [request] of requests) isProblem(t, await h.inject(request), 429, 'TOO_BUSY')
  t.equal((await h.inject({ url: '/v2/health/live' })).statusCode, 200)
})

t.test('metrics are counted for callers who may not read them', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'watcher', scopes: ['metrics'] }, { tenant: 'clinic' }], {
    security: { requestsPerMinute: 3 },
  })
  const [watcher, clinic] = tokens
  const get = async (request: InjectOptions) => (await h.inject({ ...request, url: '/metrics' })).statusCode
  const times = async (request: InjectOptions): Promise<number[]> => {
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) statuses.push(await get(request))
    return statuses
  }
  t.strictSame(await times({}), [401, 401, 401, 429, 429])
  t.equal(audits(h).length, 3, 'requests beyond the limit do not fill the audit log')
  t.strictSame(await times(as(clinic, {})), [403, 403, 403, 429, 429])
  t.strictSame(await times(as(watcher, {})), [200, 200, 200, 200, 200])
})

t.test('metrics of an open service are not counted', async (t) => {
  const h = await harness(t, { security: { requestsPerMinute: 1 } })
  for (let i = 0; i < 3; i++) t.equal((await h.inject({ url: '/metrics' })).statusCode, 200)
})

t.test('the count of a tenant outlasts requests from any number of addresses', async (t) => {
  const counts = new RequestCounts((key) => key.startsWith('tenant:'))
  for (let i = 1; i <= 3; i++) t.equal(counted(counts, 'tenant:clinic'), i)
  t.equal(counted(counts, 'address:first'), 1)
  for (let i = 0; i < 60_000; i++) counted(counts, `address:${i}`)
  t.equal(counted(counts, 'tenant:clinic'), 4)
  t.equal(counted(counts, 'address:first'), 1, 'the oldest addresses are forgotten')
  t.equal(counted(counts, 'address:59999'), 2)
})

t.test('a window that is over begins anew', async (t) => {
  const clock = { now: 1000 }
  const counts = new RequestCounts(
    () => false,
    () => clock.now,
  )
  t.equal(counted(counts, 'a'), 1)
  t.ok(counts.refuse('a'))
  t.notOk(counts.refuse('a'))
  clock.now += WINDOW - 1
  t.equal(counted(counts, 'a'), 2)
  clock.now += 1
  t.equal(counted(counts, 'a'), 1)
  t.ok(counts.refuse('a'))
})

t.test('a system clock that is set back does not lengthen a window', async (t) => {
  const counts = new RequestCounts(() => false)
  const windows: number[] = []
  const count = (): void => counts.incr('a', (_error, result) => windows.push(result!.ttl), WINDOW)
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  count()
  Date.now = () => now() - 3_600_000
  count()
  t.ok(windows.every((milliseconds) => milliseconds <= WINDOW))
})
