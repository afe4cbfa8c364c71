import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { Tenants } from '../../../src/server/access/tenants.ts'
import { configSchema } from '../../../src/server/config.ts'
import { ModelCatalogue } from '../../../src/server/models/catalogue.ts'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { announce, isProblem, model, query, untilCancelled, uploadKeys, watch } from '../support.ts'
import { managed } from './support.ts'

const NO_LOG = { info() {}, warn() {} }

t.test('health says why the service is not ready', async (t) => {
  const storage = { isWritable: true, failures: new Map() }
  const error = new PolyVeilError('CONFIG_INVALID', 'It is truncated')
  const left = { file: 'secret/2.pvc', name: 'secret', version: 2, error }
  const h = await managed(t, { storage, models: new ModelCatalogue([model], [left]) })
  const ready = async () => {
    const answer = await h.ask({ url: '/readyz' })
    return { status: answer.statusCode, ...answer.json() }
  }
  t.strictSame((await h.ask({ url: '/livez' })).json(), { live: true })
  const models = {
    part: 'models',
    blocks: false,
    detail: '1 circuit file(s) are left out; GET /models says why',
  }
  t.strictSame(await ready(), { status: 200, ready: true, reasons: [models] })
  storage.isWritable = false
  t.match(await ready(), { status: 503, ready: false, reasons: [{ part: 'storage', blocks: true }, models] })
  storage.isWritable = true
  h.engine.ready = false
  t.match(await ready(), { status: 503, reasons: [{ part: 'workers', blocks: true }, models] })
  t.match((await h.ask({ url: '/models' })).json(), {
    served: [{ name: 'small', version: 1, digest: model.digest }],
    leftOut: [{ file: 'secret/2.pvc', name: 'secret', version: 2, reason: 'It is truncated' }],
  })
})

t.test('a drained service takes nothing new, finishes what runs, and takes new work again', async (t) => {
  const h = await managed(t)
  const keys = await uploadKeys(h)
  const finish = Promise.withResolvers<Uint8Array>()
  h.engine.work = () => finish.promise
  const running = h.inject(query(keys))
  while (h.engine.jobs.length === 0) await sleep(1)

  const drained = await h.ask({ method: 'PUT', url: '/drain' })
  t.strictSame(drained.json(), { intake: 'drained', running: 1 })
  t.strictSame((await h.ask({ method: 'PUT', url: '/drain' })).json(), drained.json(), 'again')
  t.equal((await h.inject({ url: '/v2/health/ready' })).statusCode, 503)
  t.match((await h.ask({ url: '/readyz' })).json(), { ready: false, reasons: [{ part: 'intake' }] })
  for (const refused of [await h.inject(query(keys)), await announce(h)]) {
    isProblem(t, refused, 503, 'TOO_BUSY', { detail: /drained by its operator/ })
    t.equal(refused.headers['retry-after'], '30')
  }
  finish.resolve(new Uint8Array(8))
  t.equal((await running).statusCode, 200)
  t.strictSame((await h.ask({ url: '/drain' })).json(), { intake: 'drained', running: 0 })

  t.strictSame((await h.ask({ method: 'DELETE', url: '/drain' })).json(), { intake: 'open', running: 0 })
  t.equal((await h.inject({ url: '/v2/health/ready' })).statusCode, 200)
  t.equal((await h.inject(query(keys))).statusCode, 200)
})

t.test('key sets are listed by pages, without their ids, and deleted', async (t) => {
  const h = await managed(t, { limits: { maxSets: 100, maxUploadsPerOwner: 100 } })
  const id = await uploadKeys(h)
  for (let i = 0; i < 6; i++) await announce(h)
  const all = (await h.ask({ url: '/keys' })).json()
  t.equal(all.total, 7)
  t.notOk('next' in all)
  const names = all.keySets.map(({ name }: { name: string }) => name)
  t.strictSame(names, names.toSorted())
  t.notMatch(JSON.stringify(all), id)
  const complete = all.keySets.find(({ name }: { name: string }) => name === nameOf(id))
  t.match(complete, { complete: true, created: /^2030-01-01T/, used: /^2030-01-01T/, expires: /^2030/ })
  t.notOk('tenant' in complete)

  const found: string[] = []
  for (let url = '/keys?limit=3'; ; ) {
    const { keySets, next, total } = (await h.ask({ url })).json()
    found.push(...keySets.map(({ name }: { name: string }) => name))
    t.equal(total, 7)
    if (next === undefined) break
    url = `/keys?limit=3&after=${next}`
  }
  t.strictSame(found, names)

  const deleted = await h.ask({ method: 'DELETE', url: `/keys/${nameOf(id).slice(0, 12)}` })
  t.equal(deleted.statusCode, 204)
  t.strictSame(h.engine.forgotten, [nameOf(id)], 'workers forget it')
  isProblem(t, await h.inject(query(id)), 410, 'KEYS_EXPIRED')
  isProblem(t, await h.ask({ method: 'DELETE', url: `/keys/${nameOf(id)}` }), 410, 'KEYS_EXPIRED')
  t.match(h.log(), /"keySet":"[0-9a-f]{12}","reason":"deleted by an operator"/)
  t.match(h.log(), '"audit":"key set deleted by an operator"')
})

t.test('key sets of one tenant are deleted, and those of others stay', async (t) => {
  const files = new TenantFiles(t.testdir())
  const made = await Promise.all(
    ['clinic', 'bank'].map((tenant) =>
      createToken(files, { tenant, scopes: ['infer'], quota: {} }).then(({ text }) => text),
    ),
  )
  const tenants = new Tenants(files, NO_LOG)
  await tenants.refresh()
  const h = await managed(t, { tenants })
  const own = (token: string) => ({
    ...h,
    inject: (request: Parameters<typeof h.inject>[0]) =>
      h.inject({ ...request, headers: { ...request.headers, authorization: `Bearer ${token}` } }),
  })
  const [clinic] = [await uploadKeys(own(made[0])), await uploadKeys(own(made[1]))]
  t.match((await h.ask({ url: '/keys?tenant=clinic' })).json(), {
    total: 1,
    keySets: [{ name: nameOf(clinic), tenant: 'clinic' }],
  })
  t.strictSame((await h.ask({ method: 'DELETE', url: '/keys?tenant=clinic' })).json(), { deleted: 1 })
  t.strictSame((await h.ask({ method: 'DELETE', url: '/keys?tenant=nobody' })).json(), { deleted: 0 })
  t.match((await h.ask({ url: '/keys' })).json(), { total: 1, keySets: [{ tenant: 'bank' }] })
})

t.test('inferences under way are listed and cancelled', async (t) => {
  const h = await managed(t)
  const keys = [await uploadKeys(h), await uploadKeys(h)]
  h.engine.work = untilCancelled
  const running = keys.map((each) => h.inject(query(each, { header: { id: 'same' } })))
  while (h.engine.jobs.length < 2) await sleep(1)
  const { inferences } = (await h.ask({ url: '/inferences' })).json()
  t.match(inferences, [
    { id: 'same', model: 'small', state: 'waiting', round: 0, keySet: nameOf(keys[0]), seconds: Number },
    { id: 'same', keySet: nameOf(keys[1]) },
  ])
  t.not(inferences[0].handle, inferences[1].handle, 'handles differ where ids do not')
  t.match((await h.ask({ url: '/status' })).json(), { load: { computing: 2 } })
  const cancelled = await h.ask({ method: 'DELETE', url: `/inferences/${inferences[0].handle}` })
  t.equal(cancelled.statusCode, 204)
  isProblem(t, await running[0], 409, 'INFERENCE_UNKNOWN', { detail: /by the operator/ })
  t.equal((await h.inject(watch('same', keys[0]))).json().state, 'cancelled')
  t.equal((await h.ask({ url: '/inferences' })).json().inferences.length, 1, 'the other one runs on')
  await h.ask({ method: 'DELETE', url: `/inferences/${inferences[1].handle}` })
  await running[1]
})

t.test('status has load, workers and memory, and settings are those in force', async (t) => {
  const h = await managed(t, { lanes: 2, settings: { queue: 7, engineMegabytes: 16 } })
  await uploadKeys(h)
  await announce(h)
  t.match((await h.ask({ url: '/status' })).json(), {
    ready: true,
    load: { waiting: 0, computing: 0, paused: 0 },
    workers: [{ ready: true, computing: 0, loadedKeySets: 0, heldBytes: 0, limitBytes: 16 * 2 ** 20 }, {}],
    keySets: { complete: 1, uploads: 1 },
    models: { served: 1, leftOut: 0 },
  })
  const settings = (await h.ask({ url: '/settings' })).json()
  t.equal(settings.queue, 7)
  t.strictSame(
    Object.keys(settings).filter((name) => !(name in configSchema.shape)),
    [],
  )
})

t.test('models are looked for when the operator asks', async (t) => {
  let looks = 0
  const lookForModels = async () => void looks++
  const h = await managed(t, { lookForModels })
  t.match((await h.ask({ method: 'POST', url: '/models/look' })).json(), { served: [{ name: 'small' }] })
  t.equal(looks, 1)
})

t.test('metrics are those of the public port, which can leave them out', async (t) => {
  const h = await managed(t)
  await h.inject({ url: '/v2' })
  const metrics = await h.ask({ url: '/metrics' })
  t.match(metrics.body, 'polyveil_http_request_seconds_count{method="GET",route="/v2",status="200"} 1')
  t.match(metrics.body, 'polyveil_key_sets 0')
})

t.test('hostile requests get problems', async (t) => {
  const h = await managed(t)
  const cases = [
    ['GET', '/keys?limit=1001', 400, /limit is "1001"; it must be a whole number from 1 to 1000/],
    ['GET', '/keys?limit=0', 400, /limit/],
    ['GET', '/keys?limit=1e9', 400, /limit/],
    ['GET', '/keys?after=../x', 400, /after/],
    ['GET', '/keys?tenant=..%2fx', 400, /tenant/],
    ['GET', '/keys?tenants=x', 400, /unknown member/],
    ['DELETE', '/keys', 400, /tenant is missing/],
    ['DELETE', '/keys/..%2f..%2fstate.db', 400, /hexadecimal/],
    ['DELETE', `/keys/${'0'.repeat(11)}`, 400, /hexadecimal/],
    ['DELETE', `/keys/${'0'.repeat(64)}`, 410, /no such key set/],
    ['DELETE', '/inferences/none', 404, /handle/],
    ['DELETE', `/inferences/${'x'.repeat(129)}`, 414, /longer/],
    ['POST', '/drain', 405, /does not take POST/],
    ['GET', '/v2/models', 404, /no such route/],
    ['GET', '/keys/%zz', 400, /percent/],
  ] as const
  for (const [method, url, status, detail] of cases) {
    const answer = await h.ask({ method, url })
    t.equal(answer.statusCode, status, `${method} ${url}`)
    t.match(answer.json().detail, detail)
    t.equal(answer.headers['content-type'], 'application/problem+json')
  }
})

t.test('without tokens only loopback names are served, and no web page', async (t) => {
  const h = await managed(t)
  const status = async (headers: Record<string, string>) =>
    (await h.ask({ url: '/readyz', headers })).statusCode
  for (const host of ['127.0.0.1', '127.1.2.3:80', 'localhost:9090', 'LOCALHOST', '[::1]:9090'])
    t.equal(await status({ host }), 200, host)
  for (const host of [
    'evil.example:9090',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    '::1',
  ])
    t.equal(await status({ host }), 403, host)
  const drained = await h.ask({ method: 'PUT', url: '/drain', headers: { host: 'evil.example' } })
  isProblem(t, drained, 403, 'FORBIDDEN')
  const page = { origin: 'https://evil.example', 'content-type': 'text/plain' }
  isProblem(t, await h.ask({ method: 'POST', url: '/models/look', headers: page }), 403, 'FORBIDDEN')
  t.equal((await h.ask({ url: '/drain' })).json().intake, 'open')
})

t.test('with tokens the scope admin is needed, beyond health', async (t) => {
  const files = new TenantFiles(t.testdir())
  const create = async (tenant: string, scope: 'infer' | 'metrics' | 'admin') =>
    (await createToken(files, { tenant, scopes: [scope], quota: {} })).text
  const [infer, metrics, admin] = [
    await create('a', 'infer'),
    await create('b', 'metrics'),
    await create('c', 'admin'),
  ]
  const admins = new Tenants(files, NO_LOG)
  await admins.refresh()
  t.ok(admins.hasValid('admin'))
  const h = await managed(t, { admins })
  const routes = Object.entries(h.management.swagger().paths ?? {}).flatMap(([path, operations]) =>
    Object.keys(operations ?? {}).map((method) => ({
      method: method.toUpperCase() as 'GET',
      url: path.replace('{name}', '0'.repeat(64)).replace('{handle}', 'x'),
    })),
  )
  const open = ['/livez', '/readyz', '/metrics']
  const guarded = [
    ...routes.filter(({ url }) => !open.includes(url)),
    { method: 'HEAD', url: '/status' } as const,
  ]
  t.ok(guarded.length >= 13, 'the search finds the routes')
  for (const route of guarded) {
    const name = `${route.method} ${route.url}`
    t.equal((await h.ask(route)).statusCode, 401, `${name} without a token`)
    for (const token of [infer, metrics]) {
      const headers = { authorization: `Bearer ${token}` }
      t.equal((await h.ask({ ...route, headers })).statusCode, 403, `${name} with another scope`)
    }
    const headers = { authorization: `Bearer ${admin}` }
    t.notOk([401, 403].includes((await h.ask({ ...route, headers })).statusCode), name)
  }
  t.equal((await h.ask({ url: '/metrics', headers: { authorization: `Bearer ${metrics}` } })).statusCode, 200)
  t.equal((await h.ask({ url: '/metrics' })).statusCode, 401)
  for (const url of ['/livez', '/readyz'])
    t.equal((await h.ask({ url, headers: { host: 'pod.example' } })).statusCode, 200, url)
  const inPublic = await managed(t, { tenants: admins })
  const models = { url: '/v2/models', headers: { authorization: `Bearer ${admin}` } }
  isProblem(t, await inPublic.inject(models), 403, 'FORBIDDEN')
})
