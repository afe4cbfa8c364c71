import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import {
  changeQuota,
  createToken,
  readTenants,
  revokeToken,
} from '../../../src/server/access/manage-tokens.ts'
import type { Tenant } from '../../../src/server/access/tenant.ts'
import type { TenantChange } from '../../../src/server/access/tenant-changes.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import { Tenants } from '../../../src/server/access/tenants.ts'

const clinic = { tenant: 'clinic', scopes: ['infer'], quota: {} } as const
const SILENT = { info() {}, warn() {} }

/** A log that keeps the warnings. */
function keptLog(): { log: typeof SILENT; warnings: string[] } {
  const warnings: string[] = []
  return { warnings, log: { info() {}, warn: (...[, text]: unknown[]) => void warnings.push(String(text)) } }
}

t.test('tokens that are made and revoked at the same time are all stored', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const made = await Promise.all(Array.from({ length: 6 }, () => createToken(files, clinic)))
  const ids = made.map(({ token }) => token.id)
  const stored = async (): Promise<Tenant> => (await files.read('clinic'))!
  t.strictSame((await stored()).tokens.map(({ id }) => id).sort(), [...ids].sort())
  await Promise.all([
    ...ids.map((id) => revokeToken(files, id)),
    changeQuota(files, 'clinic', { images: 3 }),
    createToken(files, clinic),
  ])
  const { tokens, quota } = await stored()
  t.equal(tokens.filter(({ revoked }) => revoked !== undefined).length, 6)
  t.equal(tokens.length, 7)
  t.strictSame(quota, { images: 3 })
})

t.test('a change waits for the process that holds the lock', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  await createToken(files, clinic)
  const other = new DatabaseSync(join(directory, 'tenants', '.lock'))
  other.exec('BEGIN IMMEDIATE')
  let isMade = false
  const second = createToken(files, clinic).then(() => {
    isMade = true
  })
  await sleep(200)
  t.notOk(isMade)
  other.close()
  await second
  t.equal((await files.read('clinic'))?.tokens.length, 2)
})

t.test('a process that is killed leaves no lock behind', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  await createToken(files, clinic)
  const path = JSON.stringify(join(directory, 'tenants', '.lock'))
  const program = `const { DatabaseSync } = require('node:sqlite')
    new DatabaseSync(${path}).exec('BEGIN IMMEDIATE'); console.log('locked'); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  await createToken(files, clinic)
  t.equal((await files.read('clinic'))?.tokens.length, 2)
})

t.test('a tenant that could not be read again is not stored', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  await createToken(files, { ...clinic, note: 'x'.repeat(200) })
  const refused = { code: 'CONFIG_INVALID', message: /cannot be stored: tokens\.1\.note/ }
  await t.rejects(createToken(files, { ...clinic, note: 'x'.repeat(201) }), refused)
  await t.rejects(createToken(files, { ...clinic, quota: { images: 0 } }), {
    code: 'CONFIG_INVALID',
    message: /quota\.images/,
  })
  const tenant = (await files.read('clinic'))!
  t.equal(tenant.tokens.length, 1)
  const tokens = Array.from({ length: 4000 }, () => tenant.tokens[0])
  await t.rejects(files.save({ ...tenant, tokens }), { code: 'CONFIG_INVALID', message: /4000 tokens/ })
  t.strictSame((await readTenants(files)).refused, [])
})

t.test('files that are no tenants hinder neither the list nor a revocation', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  const { token } = await createToken(files, clinic)
  const path = (name: string): string => join(directory, 'tenants', name)
  writeFileSync(path('damaged.json'), '{')
  writeFileSync(path('Not a Tenant.json'), '{}')
  writeFileSync(path('large.json'), ' '.repeat(2 ** 20 + 1))
  symlinkSync('/dev/zero', path('endless.json'))
  execFileSync('mkfifo', [path('pipe')])
  symlinkSync(path('pipe'), path('silent.json'))
  const { tenants, refused } = await readTenants(files)
  t.match(tenants, [{ tenant: 'clinic' }])
  t.equal(refused.length, 5)
  const told = refused.map(({ message }) => message).join('\n')
  for (const what of [
    /endless\.json is no regular file/,
    /silent\.json is no regular file/,
    /large\.json has more/,
  ]) {
    t.match(told, what)
  }
  await t.rejects(revokeToken(files, 'ffffffff'), { message: /No token in .*damaged\.json is not as/ })
  const revoked = await revokeToken(files, token.id)
  t.equal(revoked.refused.length, 5)
  t.ok((await files.read('clinic'))?.tokens[0].revoked)
})

t.test('a link to the file of a tenant is followed', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  const { token } = await createToken(files, clinic)
  const path = join(directory, 'tenants', 'clinic.json')
  writeFileSync(join(directory, 'elsewhere'), await readFile(path))
  execFileSync('rm', [path])
  symlinkSync(join(directory, 'elsewhere'), path)
  t.match(await files.read('clinic'), { tokens: [{ id: token.id }] })
})

t.test('a directory without the token is not made by a revocation', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(join(directory, 'typo'))
  await t.rejects(revokeToken(files, 'ffffffff'), { code: 'CONFIG_INVALID' })
  await t.rejects(changeQuota(files, 'clinic', { images: 1 }), {
    code: 'CONFIG_INVALID',
    message: /no tenant/,
  })
  t.equal(execFileSync('ls', [directory]).toString(), '')
})

t.test('limits are set and removed', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  await createToken(files, { ...clinic, quota: { images: 5, keySets: 2 } })
  const { quota } = await changeQuota(files, 'clinic', { images: null, inferences: 3 })
  t.strictSame(quota, { keySets: 2, inferences: 3 })
  t.strictSame((await files.read('clinic'))?.quota, quota)
})

/** Files that the system refuses to read while `code` is set. */
class RefusingFiles extends TenantFiles {
  code: string | undefined
  isDirectoryRefused = false

  override async names(): Promise<string[]> {
    if (this.isDirectoryRefused) throw this.#error()
    return super.names()
  }

  override async read(name: string): Promise<Tenant | undefined> {
    if (this.code !== undefined) throw this.#error()
    return super.read(name)
  }

  #error(): PolyVeilError {
    return new PolyVeilError('CONFIG_INVALID', `The tenants cannot be read or written (${this.code})`)
  }
}

t.test('a file that could not be read is tried again, and logged once', async (t) => {
  const files = new RefusingFiles(t.testdir({}))
  const { text } = await createToken(files, clinic)
  const { log, warnings } = keptLog()
  const tenants = new Tenants(files, log)
  files.code = 'EACCES'
  for (let i = 0; i < 3; i++) await tenants.refresh()
  t.throws(() => tenants.owner(text), { code: 'UNAUTHENTICATED' })
  t.equal(warnings.length, 1)
  files.code = 'EIO'
  await tenants.refresh()
  t.equal(warnings.length, 2, 'another reason is logged')
  files.code = undefined
  await tenants.refresh()
  t.match(tenants.owner(text), { tenant: { tenant: 'clinic' } })
})

t.test('other rights of a file are another version', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  await createToken(files, clinic)
  const before = await files.state('clinic')
  await sleep(20)
  chmodSync(join(directory, 'tenants', 'clinic.json'), 0o640)
  t.not((await files.state('clinic')).version, before.version)
})

t.test('tokens are refused while the service cannot learn of revocations', async (t) => {
  const files = new RefusingFiles(t.testdir({}))
  const { text } = await createToken(files, clinic)
  const clock = { now: Date.UTC(2030, 0, 1), steady: 0 }
  const tenants = new Tenants(
    files,
    SILENT,
    () => clock.now,
    () => {},
    () => clock.steady,
  )
  await tenants.refresh()
  tenants.look(5)
  t.teardown(() => tenants.close())
  files.isDirectoryRefused = true
  await sleep(50)
  clock.now += 60_000
  t.doesNotThrow(() => tenants.owner(text), 'a clock that is set forward changes nothing')
  clock.steady += 10_000
  t.doesNotThrow(() => tenants.owner(text), 'for ten seconds the tenants known before hold')
  clock.steady += 1
  t.notOk(tenants.isCurrent)
  t.throws(() => tenants.owner(text), { code: 'TOO_BUSY', status: 503, message: /cannot look whether/ })
  files.isDirectoryRefused = false
  while (!tenants.isCurrent) await sleep(5)
  t.match(tenants.owner(text), { tenant: { tenant: 'clinic' } })
})

t.test('files and directories that others may write are logged', async (t) => {
  const directory = t.testdir({})
  const files = new TenantFiles(directory)
  await createToken(files, clinic)
  const { log, warnings } = keptLog()
  const tenants = new Tenants(files, log)
  await tenants.refresh()
  t.strictSame(warnings, [])
  await sleep(20)
  chmodSync(join(directory, 'tenants', 'clinic.json'), 0o666)
  chmodSync(join(directory, 'tenants'), 0o777)
  for (let i = 0; i < 3; i++) await tenants.refresh()
  t.strictSame(warnings, [
    'The directory of tenants can be written by other users of this machine',
    'The file of a tenant can be written by other users of this machine',
  ])
})

t.test('a token whose id is in two files is refused', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const { text, token } = await createToken(files, clinic)
  const { log, warnings } = keptLog()
  const tenants = new Tenants(files, log)
  await tenants.refresh()
  const tenant = (await files.read('clinic'))!
  await revokeToken(files, token.id)
  await files.save({ ...tenant, tenant: 'copy' })
  await tenants.refresh()
  t.throws(() => tenants.owner(text), { code: 'UNAUTHENTICATED', reason: 'in two places' })
  t.equal(tenants.valid, 0)
  t.match(warnings, ['A token is refused: its id is in two places'])
  await files.save({ ...tenant, tenant: 'copy', tokens: [tenant.tokens[0], tenant.tokens[0]] })
  await mkdir(join(files.directory, 'old'))
  execFileSync('mv', [join(files.directory, 'clinic.json'), join(files.directory, 'old')])
  await tenants.refresh()
  t.throws(
    () => tenants.owner(text),
    { code: 'UNAUTHENTICATED', reason: 'in two places' },
    'also within one file',
  )
})

t.test('a running service learns what an operator changes', async (t) => {
  const files = new TenantFiles(t.testdir({}))
  const first = await createToken(files, clinic)
  const changes: TenantChange[] = []
  const tenants = new Tenants(files, SILENT, Date.now, (change) => void changes.push(change))
  await tenants.refresh()
  t.strictSame(changes, [], 'what was there before is no change')
  const second = await createToken(files, { ...clinic, quota: { images: 7 } })
  await tenants.refresh()
  await revokeToken(files, first.token.id)
  await tenants.refresh()
  await files.save({ tenant: 'clinic', quota: { images: 7 }, tokens: [] })
  await tenants.refresh()
  t.strictSame(changes, [
    { event: 'token added', tenant: 'clinic', token: second.token.id },
    { event: 'limits changed', tenant: 'clinic', limits: '{"images":7}' },
    { event: 'token revoked', tenant: 'clinic', token: first.token.id },
    { event: 'token removed', tenant: 'clinic', token: first.token.id },
    { event: 'token removed', tenant: 'clinic', token: second.token.id },
  ])
})
