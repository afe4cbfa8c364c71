import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { createToken, readTenants, revokeToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { Tenants } from '../../../src/server/access/tenants.ts'
import { tokenParts } from '../../../src/server/access/token.ts'

const DAY = 86_400_000
const NOW = Date.UTC(2030, 0, 1)
const warnings: object[] = []
const log = { info() {}, warn: (facts: object) => void warnings.push(facts) }

const clinic = { tenant: 'clinic', scopes: ['infer'], quota: {} } as const

t.test('a token is shown once, and only the hash of its secret is stored', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  const { text, token } = await createToken(files, { ...clinic, lifetime: DAY, note: 'scanner' }, NOW)
  t.match(text, /^pv_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$/)
  const { id, secret } = tokenParts(text)!
  t.equal(token.id, id)
  t.equal(token.sha256, createHash('sha256').update(secret).digest('hex'))
  const path = join(directory, 'tenants', 'clinic.json')
  const stored = await readFile(path, 'utf8')
  t.notMatch(stored, secret)
  t.equal((await stat(path)).mode & 0o777, 0o600)
  t.match(JSON.parse(stored), {
    tenant: 'clinic',
    tokens: [
      { id, scopes: ['infer'], created: '2030-01-01T00:00:00.000Z', expires: '2030-01-02T00:00:00.000Z' },
    ],
  })
  t.strictSame(
    await readdir(join(directory, 'tenants')),
    ['.lock', 'clinic.json'],
    'no temporary file is left',
  )
})

t.test('a service takes new tokens, and refuses expired and revoked ones', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const clock = { now: NOW }
  const tenants = new Tenants(files, log, () => clock.now)
  const { text } = await createToken(files, { ...clinic, lifetime: DAY }, NOW)
  t.throws(() => tenants.owner(text), { code: 'UNAUTHENTICATED', message: /not known/ })
  await tenants.refresh()
  t.match(tenants.owner(text), { tenant: { tenant: 'clinic' } })
  t.equal(tenants.valid, 1)
  const lasting = await createToken(files, clinic, NOW)
  clock.now += DAY
  await tenants.refresh()
  t.throws(() => tenants.owner(text), { code: 'UNAUTHENTICATED', message: /expired at 2030-01-02/ })
  t.match(tenants.owner(lasting.text), { token: { id: lasting.token.id } }, 'a token without an end is valid')
  await revokeToken(files, lasting.token.id.slice(0, 6), clock.now)
  await tenants.refresh()
  t.throws(() => tenants.owner(lasting.text), { code: 'UNAUTHENTICATED', message: /revoked/ })
  t.equal(tenants.valid, 0)
})

t.test('texts that are no tokens are refused alike', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const { text } = await createToken(files, clinic)
  const tenants = new Tenants(files, log)
  await tenants.refresh()
  const { id, secret } = tokenParts(text)!
  const last = secret.at(-1) === 'A' ? 'B' : 'A'
  const wrong = [
    '',
    'pv_',
    `${text} `,
    `${text}x`,
    `pv_${id}_${secret.slice(0, -1)}`,
    `pv_${'0'.repeat(16)}_${secret}`,
    `pv_${id}_${last}${secret.slice(1)}`,
    `pv_${id}_${'A'.repeat(43)}`,
  ]
  for (const each of wrong.filter((each) => each !== text)) {
    t.throws(
      () => tenants.owner(each),
      { code: 'UNAUTHENTICATED', message: 'The token is not known here' },
      each,
    )
  }
})

t.test('a token that is made for a known tenant keeps its limits, and sets the given ones', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  await createToken(files, { ...clinic, quota: { imagesPerDay: 5, keySets: 2 } })
  await createToken(files, { ...clinic, quota: { imagesPerDay: 9 } })
  const [tenant] = (await readTenants(files)).tenants
  t.strictSame(tenant.quota, { imagesPerDay: 9, keySets: 2 })
  t.equal(tenant.tokens.length, 2)
})

t.test('names of tenants that are no file names are refused', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  for (const tenant of ['', '../x', 'A', 'a/b', 'a.b', 'a b', 'a:b', '-a', 'ä', 'x'.repeat(64)]) {
    await t.rejects(createToken(files, { ...clinic, tenant }), { code: 'CONFIG_INVALID' }, tenant)
  }
  t.strictSame((await readTenants(files)).tenants, [])
})

t.test('a damaged file locks out its own tenant alone', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  const good = await createToken(files, { ...clinic, tenant: 'bank' })
  const bad = await createToken(files, clinic)
  const path = join(directory, 'tenants', 'clinic.json')
  const text = await readFile(path, 'utf8')
  const tenants = new Tenants(files, log)
  for (const damaged of [
    '',
    '{',
    text.replace('clinic', 'other'),
    text.replace(/"sha256": "./, '"sha256": "'),
    '[]',
  ]) {
    await writeFile(path, damaged)
    warnings.length = 0
    await tenants.refresh()
    t.match(warnings, [{ tenant: 'clinic', err: { code: 'CONFIG_INVALID' } }])
    t.throws(() => tenants.owner(bad.text), { code: 'UNAUTHENTICATED' })
    t.match(tenants.owner(good.text), { tenant: { tenant: 'bank' } })
    await tenants.refresh()
    t.equal(warnings.length, 1, 'an unchanged file is not read again')
  }
  await writeFile(path, text)
  await tenants.refresh()
  t.match(tenants.owner(bad.text), { tenant: { tenant: 'clinic' } })
})

t.test('a token is revoked by the beginning of its id, if it is the only one', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const { token } = await createToken(files, clinic)
  await createToken(files, { ...clinic, tenant: 'bank' })
  for (const beginning of ['', token.id.slice(0, 3), 'xxxx', `${token.id}0`]) {
    await t.rejects(revokeToken(files, beginning), { code: 'CONFIG_INVALID' }, beginning)
  }
  const first = await revokeToken(files, token.id, NOW)
  const again = await revokeToken(files, token.id, NOW + DAY)
  t.equal(first.tenant, 'clinic')
  t.equal(again.token.revoked, first.token.revoked, 'the time of the first revocation stays')
  t.equal(
    (await readTenants(files)).tenants.flatMap(({ tokens }) => tokens).filter(({ revoked }) => revoked)
      .length,
    1,
  )
})

t.test('a directory that cannot be read is an error with a code', async (t) => {
  const directory = t.testdir({ tenants: 'a file' })
  await t.rejects(new TenantFiles(directory).names(), { code: 'CONFIG_INVALID', message: /ENOTDIR/ })
  await mkdir(join(directory, 'other'))
  await t.rejects(createToken(new TenantFiles(directory), clinic), { code: 'CONFIG_INVALID' })
})
