import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { tokenParts } from '../../src/server/access/token.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { casesOf } from '../support/thorough.ts'
import { startService } from './service.ts'
import { failed, polyveil, zooPath } from './support.ts'

/** The secret of a token, which may have underscores. */
const secretOf = (token: string): string => tokenParts(token)!.secret

const IMAGE = zooPath('digits/images/digits-7-0.png')
const directory = t.testdir()
const data = join(directory, 'data')
const audit = join(directory, 'log', 'audit.jsonl')
const config = join(directory, 'service.json')
writeFileSync(config, JSON.stringify({ access: 'tokens', auditLog: audit }))
const models = join(directory, 'models')
await writeDigitsOfFewKeys(models)
const service = await startService(data, '--config', config, '--models', models)
t.teardown(() => service.stop())
const { url } = service

async function create(t: Test, ...args: string[]): Promise<{ token: string; id: string }> {
  const made = await polyveil(['tokens', 'create', ...args, '--data', data, '--json'])
  t.equal(made.code, 0, made.stderr)
  return made.json
}

/** The records of the audit log. */
const audited = (): Record<string, string>[] =>
  readFileSync(audit, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

/** Asks until the service has looked at the tenants again, for ten seconds at most. */
async function until(state: string, token: string): Promise<void> {
  for (let i = 0; i < 100; i++) {
    const { status } = await fetch(new URL('/v2/models', url), {
      headers: { authorization: `Bearer ${token}` },
    })
    if ((status === 200) === (state === 'valid')) return
    await sleep(100)
  }
  throw new Error(`The token is not ${state} after ten seconds`)
}

t.test('clients classify with a token, and not without one', async (t) => {
  const classify = ['classify', IMAGE, '--url', url, '--model', 'digits', '--keys', join(directory, 'keys')]
  failed(t, await polyveil([...classify, '--json', '--quiet']), 3, 'UNAUTHENTICATED')
  const { token, id } = await create(t, 'clinic', '--note', 'ward 7', '--images', '2', '--key-sets', '1')
  await until('valid', token)
  const env = { POLYVEIL_TOKEN: token }
  const first = await polyveil([...classify, '--json', '--quiet'], { env })
  t.equal(first.code, 0, first.stderr)
  t.match(first.json.images, [{ classes: [{ label: '7' }] }])

  const sdk = await connect(url, { keys: memoryKeyStore(), token })
  const [best] = await sdk.classify('digits', readFileSync(IMAGE), { topK: 1 })
  t.equal(best.label, '7')
  const spent = await polyveil([...classify, '--json', '--quiet'], { env })
  failed(t, spent, 3, 'FORBIDDEN')

  await t.rejects(connect(url, { keys: memoryKeyStore(), token, headers: { authorization: 'Bearer x' } }), {
    code: 'CONFIG_INVALID',
    message: 'Credentials are in a header and in the token; give one',
  })
  await t.rejects(connect(url, { keys: memoryKeyStore(), token: 'a b' }), { code: 'CONFIG_INVALID' })

  const lines = audited()
  const told = lines.filter((line) => line.token === id).map((line) => line.audit)
  t.strictSame(told, [
    'token added',
    ...['key set announced', 'key set complete', 'query taken'],
    ...['key set announced', 'key set complete', 'query taken'],
    ...['key set announced', 'key set complete', 'query refused: budget spent'],
  ])
  const displaced = { tenant: 'clinic', keySet: /^[0-9a-f]{12}$/, reason: 'made room for its owner' }
  t.match(
    lines.filter(({ audit }) => audit === 'key set removed'),
    [displaced, displaced],
  )
  t.notMatch(readFileSync(audit, 'utf8'), secretOf(token))
})

t.test('tokens are listed without secrets, and revoked', async (t) => {
  const { token, id } = await create(t, 'bank', '--scope', 'infer', 'metrics', '--expires', '7')
  await until('valid', token)
  const list = await polyveil(['tokens', 'list', '--data', data])
  t.match(list.stdout.toString(), new RegExp(`bank +${id} +infer, metrics +valid `))
  t.match(list.stdout.toString(), /clinic: images 2, keySets 1/)
  t.notMatch(list.stdout.toString(), secretOf(token))
  const { json } = await polyveil(['tokens', 'list', '--data', data, '--json'])
  t.match(json.tenants, [{ tenant: 'bank', tokens: [{ id, state: 'valid' }] }, { tenant: 'clinic' }])
  t.notMatch(JSON.stringify(json), 'sha256')

  const revoked = await polyveil(['tokens', 'revoke', id.slice(0, 8), '--data', data])
  t.match(revoked.stdout.toString(), `The token ${id} of bank is revoked.`)
  await until('revoked', token)
  t.match(audited().at(-1), { audit: 'access refused', tenant: 'bank', token: id, reason: 'revoked' })
  t.ok(audited().some((line) => line.audit === 'token revoked' && line.token === id))
  failed(t, await polyveil(['tokens', 'revoke', 'ffffffff', '--data', data, '--json']), 3, 'CONFIG_INVALID')
})

t.test('a token can be made without a service, and the settings say where', async (t) => {
  const other = t.testdir({})
  const file = join(other, 'service.json')
  writeFileSync(file, JSON.stringify({ dataDir: join(other, 'data'), modelsDir: 'none' }))
  const made = await polyveil(['tokens', 'create', 'lab', '--config', file, '--expires', 'never'])
  t.match(made.stdout.toString(), /^pv_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n$/)
  const { json } = await polyveil(['tokens', 'list', '--json'], {
    env: { POLYVEIL_DATA_DIR: join(other, 'data') },
  })
  t.match(json.tenants, [{ tenant: 'lab', tokens: [{ state: 'valid' }] }])
  t.notOk(json.tenants[0].tokens[0].expires)
  for (const args of [
    ['--expires', '0'],
    ['--expires', 'soon'],
    ['--images', '0'],
    ['--scope', 'all'],
  ]) {
    t.equal((await polyveil(['tokens', 'create', 'lab', '--config', file, ...args])).code, 2, args.join(' '))
  }
})

t.test('the audit log goes on in a new file after SIGHUP', async (t) => {
  renameSync(audit, `${audit}.1`)
  service.hangUp()
  for (let i = 0; i < 100 && !existsSync(audit); i++) await sleep(100)
  await fetch(new URL('/v2/models', url))
  t.match(audited(), [{ audit: 'access refused' }])
})

t.test('several command lines at the same time lose no token and no revocation', async (t) => {
  const place = ['--data', t.testdir({}), '--json']
  const all = <T>(items: readonly T[], args: (item: T) => string[]) =>
    Promise.all(items.map((item) => polyveil(['tokens', ...args(item), ...place])))
  const states = async (): Promise<string[]> => {
    const { json } = await polyveil(['tokens', 'list', ...place])
    return json.tenants[0].tokens.map(({ state }: { state: string }) => state)
  }
  for (const round of casesOf([1, 2, 3], [1])) {
    const made = await all([1, 2, 3], () => ['create', 'x'])
    t.strictSame(
      made.map(({ code }) => code),
      [0, 0, 0],
    )
    t.equal((await states()).length, 3 * round)
    await all(made, ({ json }) => ['revoke', json.id])
    t.strictSame(new Set(await states()), new Set(['revoked']))
  }
})

t.test('a damaged tenant hinders neither the list nor a revocation', async (t) => {
  const other = t.testdir({})
  const place = ['--data', other, '--json']
  const made = await polyveil(['tokens', 'create', 'lab', ...place])
  writeFileSync(join(other, 'tenants', 'bad.json'), '{')
  const list = await polyveil(['tokens', 'list', ...place])
  t.equal(list.code, 0)
  t.match(list.json, { tenants: [{ tenant: 'lab' }], refused: [{ message: /bad\.json is not as/ }] })
  t.match(list.stderr, /warning: .*bad\.json/)
  const revoked = await polyveil(['tokens', 'revoke', made.json.id, ...place])
  t.equal(revoked.code, 0)
  t.match(revoked.stderr, /warning: .*bad\.json/)
})

t.test('limits of a tenant are changed and removed', async (t) => {
  const place = ['--data', t.testdir({})]
  await polyveil(['tokens', 'create', 'lab', '--images', '5', '--key-sets', '2', ...place])
  const limit = (...args: string[]) => polyveil(['tokens', 'limit', 'lab', ...args, ...place])
  const changed = await limit('--images', 'none', '--images-per-day', '7')
  t.equal(changed.stdout.toString(), 'lab: keySets 2, imagesPerDay 7\n')
  const removed = await limit('--images-per-day', 'none', '--key-sets', 'none', '--json')
  t.strictSame(removed.json, { tenant: 'lab', quota: {} })
  t.equal((await limit('--images', '0')).code, 2)
  failed(t, await polyveil(['tokens', 'limit', 'none', ...place, '--json']), 3, 'CONFIG_INVALID')
})

t.test('a mistaken directory, note or setting is told', async (t) => {
  const other = t.testdir({})
  const typo = join(other, 'nosuch', 'typo')
  const refused = await polyveil(['tokens', 'create', 'lab', '--data', typo, '--json'])
  failed(t, refused, 3, 'CONFIG_INVALID')
  t.notOk(existsSync(join(other, 'nosuch')))
  const made = await polyveil(['tokens', 'create', 'lab', '--data', join(other, 'new')])
  t.match(made.stderr, /warning: .*new is new; it must be the dataDir of the service/)
  const again = await polyveil(['tokens', 'create', 'lab', '--data', join(other, 'new'), '--json'])
  t.equal(again.stderr, '')
  t.match((await polyveil(['tokens', 'list', '--data', typo])).stderr, /warning: there is no directory/)
  const note = await polyveil(['tokens', 'create', 'lab', '--note', 'x'.repeat(201), '--data', other])
  t.equal(note.code, 2)
  const env = { POLYVEIL_PORT: 'abc', POLYVEIL_DATA_DIR: join(other, 'new') }
  t.equal((await polyveil(['tokens', 'revoke', again.json.id], { env })).code, 0)
})
