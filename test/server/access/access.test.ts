import { setTimeout as sleep } from 'node:timers/promises'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { ImageBudget, type ImageCounts } from '../../../src/server/access/image-budget.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { isProblem, query, untilCancelled, watch } from '../support.ts'
import { as, audits, guarded, secretOf, upload } from './guarded.ts'

/** Routes that need no token. */
const OPEN = ['/', '/v2', '/v2/health/live', '/v2/health/ready', '/openapi.json', '/docs', '/docs/']

t.test('every route but those of health and documentation needs a token', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }])
  const { paths } = (await h.inject({ url: '/openapi.json' })).json()
  const routes = Object.entries<object>(paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => ({ method: method.toUpperCase(), path })),
  )
  t.ok(routes.length > 12, 'the routes were found')
  for (const { method, path } of [...routes, { method: 'GET', path: '/metrics' }]) {
    const url = path
      .replace('{model}', 'small')
      .replace('{version}', '1')
      .replaceAll(/\{\w+\}/g, '0')
    const answer = await h.inject({ method: method as 'GET', url })
    if (OPEN.includes(url)) t.not(answer.statusCode, 401, `${method} ${url}`)
    else isProblem(t, answer, 401, 'UNAUTHENTICATED')
  }
  for (const url of OPEN) t.ok((await h.inject({ url })).statusCode < 400, url)
  t.equal((await h.inject(as(tokens[0], { url: '/v2/models' }))).statusCode, 200)
})

t.test('a refusal says how to authenticate, and has no secret', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }])
  const challenge = (answer: LightMyRequestResponse) => answer.headers['www-authenticate']
  t.equal(challenge(await h.inject({ url: '/v2/models' })), 'Bearer realm="polyveil"')
  const id = tokens[0].split('_')[1]
  const guess = `pv_${id}_${'x'.repeat(43)}`
  const refused = await h.inject(as(guess, { url: '/v2/models' }))
  isProblem(t, refused, 401, 'UNAUTHENTICATED')
  t.equal(challenge(refused), 'Bearer realm="polyveil", error="invalid_token"')
  t.notMatch(refused.body, guess)
  const basic = await h.inject({ url: '/v2/models', headers: { authorization: 'Basic YTpi' } })
  isProblem(t, basic, 401, 'UNAUTHENTICATED')
  const metrics = await h.inject(as(tokens[0], { url: '/metrics' }))
  isProblem(t, metrics, 403, 'FORBIDDEN', { scope: 'metrics' })
  t.match(challenge(metrics), /insufficient_scope/)
  t.notMatch(h.log(), secretOf(tokens[0]))
  t.notMatch(h.log(), 'xxxxxxxx')
  t.match(audits(h), [
    { audit: 'access refused', route: '/v2/models', why: 'UNAUTHENTICATED' },
    { audit: 'access refused' },
    { audit: 'access refused' },
    { audit: 'access refused', tenant: 'clinic', token: id, why: 'FORBIDDEN' },
  ])
})

t.test('scopes are separate', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'watcher', scopes: ['metrics'] }])
  t.equal((await h.inject(as(tokens[0], { url: '/metrics' }))).statusCode, 200)
  isProblem(t, await h.inject(as(tokens[0], { url: '/v2/models' })), 403, 'FORBIDDEN')
})

t.test('a refused query is not read, and no model is named to strangers', async (t) => {
  const { h } = await guarded(t, [{ tenant: 'clinic' }])
  const refused = await h.inject(query('keys'))
  isProblem(t, refused, 401, 'UNAUTHENTICATED')
  const unknown = await h.inject(query('keys', { model: 'none' }))
  isProblem(t, unknown, 401, 'UNAUTHENTICATED')
  t.notMatch(unknown.body, 'small')
})

t.test('a token that is revoked is refused at the next look', async (t) => {
  const { h, tokens, tenants, files } = await guarded(t, [{ tenant: 'clinic' }])
  t.equal((await h.inject(as(tokens[0], { url: '/v2/models' }))).statusCode, 200)
  const [tenant] = [tenants.get('clinic')!]
  await files.save({ ...tenant, tokens: tenant.tokens.map((each) => ({ ...each, revoked: each.created })) })
  await tenants.refresh()
  isProblem(t, await h.inject(as(tokens[0], { url: '/v2/models' })), 401, 'UNAUTHENTICATED')
})

t.test('a key set belongs to its tenant', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }, { tenant: 'bank' }, { tenant: 'clinic' }])
  const [clinic, bank, colleague] = tokens
  const id = await upload(h, clinic)
  const headers = { 'polyveil-key-set': id }
  const put = { ...headers, 'upload-offset': '0', 'content-type': 'application/octet-stream' }
  const foreign: InjectOptions[] = [
    { url: '/v2/keys', headers },
    { url: `/v2/keys/${id}` },
    { method: 'PUT', url: '/v2/keys', headers: put, payload: Buffer.alloc(8) },
    query(id),
    { method: 'DELETE', url: '/v2/keys', headers },
  ]
  for (const request of foreign) {
    const answer = await h.inject(as(bank, request))
    const none = await h.inject(as(bank, { url: '/v2/keys', headers: { 'polyveil-key-set': 'nobody' } }))
    isProblem(t, answer, 404, 'KEYS_EXPIRED')
    isProblem(t, none, 410, 'KEYS_EXPIRED')
    t.equal(answer.json().detail, none.json().detail, 'the words are those for an unknown one')
  }
  const seen = audits(h).filter(({ audit }) => audit === 'key set of another tenant asked for')
  t.equal(seen.length, foreign.length)
  t.match(seen, [{ tenant: 'bank', keySet: /^[0-9a-f]{12}$/ }])
  t.notMatch(h.log(), id)
  t.equal(h.engine.jobs.length, 0)
  t.equal((await h.inject(as(colleague, { url: '/v2/keys', headers }))).statusCode, 200)
  t.equal((await h.inject(as(colleague, query(id)))).statusCode, 200)
})

t.test('inferences of one name belong to their own clients', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }, { tenant: 'bank' }])
  const [clinic, bank] = tokens
  const [ofClinic, ofBank] = [await upload(h, clinic), await upload(h, bank)]
  h.engine.work = untilCancelled
  const named = { header: { id: 'mine' } }
  const first = h.inject(as(clinic, query(ofClinic, named)))
  const second = h.inject(as(bank, query(ofBank, named)))
  while (h.engine.jobs.length < 2) await sleep(1)
  for (const method of ['GET', 'DELETE'] as const) {
    const request = { ...watch('mine', ofClinic), method }
    isProblem(t, await h.inject(as(bank, request)), 404, 'INFERENCE_UNKNOWN')
  }
  isProblem(t, await h.inject(as(clinic, { url: '/v2/inferences/mine' })), 400, 'CONFIG_INVALID')
  t.equal((await h.inject(as(clinic, { ...watch('mine', ofClinic), method: 'DELETE' }))).statusCode, 204)
  isProblem(t, await first, 409, 'INFERENCE_UNKNOWN')
  t.match((await h.inject(as(bank, watch('mine', ofBank)))).json(), { state: 'waiting' })
  t.equal((await h.inject(as(bank, { ...watch('mine', ofBank), method: 'DELETE' }))).statusCode, 204)
  await second
})

t.test('the rate limit counts by tenant, whatever the address', async (t) => {
  const { h, tokens } = await guarded(t, [
    { tenant: 'clinic', quota: { requestsPerMinute: 3 } },
    { tenant: 'bank' },
  ])
  const [clinic, bank] = tokens
  const get = (token: string, remoteAddress: string) =>
    h.inject(as(token, { url: '/v2/models', remoteAddress }))
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) {
    t.equal((await get(clinic, address)).statusCode, 200)
  }
  isProblem(t, await get(clinic, '192.0.2.4'), 429, 'TOO_BUSY')
  t.equal((await get(bank, '192.0.2.1')).statusCode, 200)
})

t.test('a tenant keeps as many key sets as its limit says', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }], {
    limits: { maxSets: 8, setsOf: (owner) => (owner === 'tenant:clinic' ? 1 : undefined) },
  })
  const [first, second] = [await upload(h, tokens[0]), await upload(h, tokens[0])]
  const get = (id: string) =>
    h.inject(as(tokens[0], { url: '/v2/keys', headers: { 'polyveil-key-set': id } }))
  isProblem(t, await get(first), 410, 'KEYS_EXPIRED')
  t.equal((await get(second)).statusCode, 200)
})

t.test('a tenant has as many inferences at once as its limit says', async (t) => {
  const { h, tokens } = await guarded(
    t,
    [{ tenant: 'clinic', quota: { inferences: 1 } }, { tenant: 'bank' }],
    {
      scheduling: { mostPerOwner: 3, queue: 8 },
    },
  )
  const [clinic, bank] = tokens
  const [mine, theirs] = [await upload(h, clinic), await upload(h, bank)]
  h.engine.work = untilCancelled
  const running = ['a', 'b'].map((id) => h.inject(as(clinic, query(mine, { header: { id } }))))
  const others = ['c', 'd'].map((id) => h.inject(as(bank, query(theirs, { header: { id } }))))
  while (h.engine.jobs.length < 3) await sleep(1)
  await sleep(20)
  t.equal(h.engine.jobs.length, 3, 'one inference of the clinic, and two of the bank')
  for (const [token, id, keys] of [
    [clinic, 'a', mine],
    [clinic, 'b', mine],
    [bank, 'c', theirs],
    [bank, 'd', theirs],
  ]) {
    await h.inject(as(token, { ...watch(id, keys), method: 'DELETE' }))
  }
  await Promise.all([...running, ...others])
})

t.test('a budget of images ends queries until the next day, or for good', async (t) => {
  const clock = { now: Date.UTC(2030, 0, 1, 23, 0) }
  const budget = new ImageBudget(StateDatabase.inMemory(), () => clock.now)
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic', quota: { imagesPerDay: 2, images: 3 } }], {
    budget,
  })
  const id = await upload(h, tokens[0])
  const send = () => h.inject(as(tokens[0], query(id)))
  t.equal((await send()).statusCode, 200)
  h.engine.work = () => Promise.reject(new PolyVeilError('WORKER_LOST', 'gone'))
  t.equal((await send()).statusCode, 503, 'a query that the server fails is given back')
  h.engine.work = async () => new Uint8Array(8)
  t.equal((await send()).statusCode, 200)
  const spent = await send()
  isProblem(t, spent, 429, 'FORBIDDEN', { images: 1, left: 0, retryAfter: 3600 })
  t.equal(spent.headers['retry-after'], '3600')
  clock.now += 3_600_000
  t.equal((await send()).statusCode, 200)
  isProblem(t, await send(), 403, 'FORBIDDEN', { images: 1, left: 0 })
  t.equal(h.engine.jobs.length, 5, 'the lost one has begun twice')
  const events = audits(h).map(({ audit }) => audit)
  t.equal(events.filter((event) => event === 'query taken').length, 4)
  t.equal(events.filter((event) => event === 'query refused: budget spent').length, 2)
})

t.test('the audit log tells what was done with keys', async (t) => {
  const { h, tokens } = await guarded(t, [{ tenant: 'clinic' }])
  const id = await upload(h, tokens[0])
  await h.inject(as(tokens[0], { method: 'DELETE', url: '/v2/keys', headers: { 'polyveil-key-set': id } }))
  const token = tokens[0].split('_')[1]
  t.match(
    audits(h),
    ['key set announced', 'key set complete', 'key set deleted'].map((audit) => ({
      audit,
      tenant: 'clinic',
      token,
      requestId: String,
      keySet: /^[0-9a-f]{12}$/,
    })),
  )
})

t.test('a query counts all images of its batch, and none when they exceed what is left', async (t) => {
  const budget = new ImageBudget(StateDatabase.inMemory(), () => Date.UTC(2030, 0, 1))
  const caller = { owner: 'tenant:clinic', network: 'tenant:clinic', tenant: 'clinic', quota: { images: 10 } }
  const taken = await budget.take(caller, 8)
  await t.rejects(budget.take(caller, 4), { code: 'FORBIDDEN', status: 403, facts: { images: 4, left: 2 } })
  await budget.take(caller, 2)
  await budget.giveBack(taken)
  await t.rejects(budget.take(caller, 9), { code: 'FORBIDDEN', facts: { images: 9, left: 8 } })
  const daily = { ...caller, quota: { imagesPerDay: 4 } }
  await t.rejects(
    budget.take(daily, 5),
    { code: 'FORBIDDEN', status: 403, message: /may classify 4 in a whole day/, facts: { imagesPerDay: 4 } },
    'to wait for the next day would not help',
  )
  await t.rejects(budget.take(daily, 4), { code: 'FORBIDDEN', status: 429 })
  await t.resolves(budget.take({ ...caller, tenant: undefined }, 100), 'an open service counts nothing')
})

t.test('of queries that come at once no more are taken than the budget has', async (t) => {
  const counts = StateDatabase.inMemory()
  // As another process that counts between the look and the change.
  const slow: ImageCounts = {
    of: async (...what) => {
      const count = await counts.of(...what)
      await sleep(2)
      return count
    },
    add: (...what) => counts.add(...what),
  }
  const budget = new ImageBudget(slow, () => Date.UTC(2030, 0, 1))
  const caller = { owner: 'tenant:clinic', network: 'tenant:clinic', tenant: 'clinic', quota: { images: 10 } }
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => budget.take(caller, 3)))
  t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 3)
  t.same(await counts.of('clinic', '2030-01-01'), { today: 9, total: 9 })
})
