import { createHash } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { copyFile, cp } from 'node:fs/promises'
import { basename, join } from 'node:path'
import t, { type Test } from 'tap'
import { createToken } from '../../../src/server/access/manage-tokens.ts'
import { TenantFiles } from '../../../src/server/access/tenant-files.ts'
import type { RunningServer } from '../../../src/server/start.ts'
import { Backups } from '../../../src/server/stores/backup.ts'
import { openDiskStorage } from '../../../src/server/stores/disk-storage.ts'
import { keepCopy } from '../../../src/server/stores/kept-copy.ts'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { collect } from '../../wire/fixtures.ts'
import { type Said, StepClient, started } from '../refreshed-service.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** A service with the management port, and what it needs. */
async function serviceIn(t: Test): Promise<{ server: RunningServer; root: string; backups: string }> {
  const root = t.testdir({ first: {}, second: {} })
  const backups = join(root, 'backups')
  const settings = { managementPort: 0, backupDir: backups }
  const server = await started(t, settings, join(root, 'first'))
  return { server, root, backups }
}

async function backUp(server: RunningServer, directory: unknown) {
  const answer = await fetch(`${server.managementUrl}/backup`, {
    method: 'POST',
    headers: JSON_TYPE,
    body: JSON.stringify({ directory }),
  })
  return { status: answer.status, json: await answer.json() }
}

/** Announces the client's key set once more. @returns a function that uploads a part */
async function beginUpload(client: StepClient) {
  const { manifest } = client.model
  const bytes = await collect(client.model.keySet())
  const { parametersDigest, galoisElements } = manifest
  const announcement = { parametersDigest, galoisElements, bytes: bytes.length }
  const { json } = await client.request('POST', 'v2/keys', JSON.stringify(announcement), JSON_TYPE)
  const put = (from: number, to: number): Promise<Said> =>
    client.request('PUT', 'v2/keys', bytes.subarray(from, to), {
      'polyveil-key-set': json.id,
      'upload-offset': String(from),
    })
  return { id: json.id as string, length: bytes.length, put }
}

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)

t.test('a backup made during uploads and inferences starts a service that has all keys', async (t) => {
  const { server, root, backups } = await serviceIn(t)
  await createToken(new TenantFiles(join(root, 'first', 'data')), {
    tenant: 'x',
    scopes: ['infer'],
    quota: {},
  })
  const client = await StepClient.create(server.url)
  const upload = await beginUpload(client)
  const half = Math.floor(upload.length / 2)
  await upload.put(0, half)
  const said = await client.begin()
  t.equal(said.json.outputs[0].name, 'refresh', 'an inference is under way')

  // A part arrives, and the inference goes on, while the backup is made.
  const [made, part, finished] = await Promise.all([
    backUp(server, 'monday'),
    upload.put(half, half + 1000),
    client.finish(said),
  ])
  t.equal(made.status, 201, JSON.stringify(made.json))
  t.match(made.json, { path: join(backups, 'monday'), keySets: 1, leftOut: 1, tenants: 1 })
  t.equal(part.status, 200)
  t.ok(finished < 0.01)

  const backup = join(backups, 'monday')
  const expected = ['backup.json', 'flooding.key', 'keys', 'state.db', 'state.db-wal', 'tenants']
  t.strictSame(readdirSync(backup).sort(), expected)
  t.strictSame(
    readdirSync(join(backup, 'keys')).sort(),
    [`${nameOf(client.keySet)}.keys`, 'polyveil-key-sets.json'].sort(),
  )
  t.strictSame(readdirSync(backups), ['monday'], 'nothing unfinished stays')
  t.equal(mode(backup), '700')
  for (const file of ['flooding.key', 'state.db', 'backup.json', 'tenants/x.json'])
    t.equal(mode(join(backup, file)), '600', file)
  const key = (data: string) => readFileSync(join(data, 'flooding.key'), 'hex')
  t.equal(key(backup), key(join(root, 'first', 'data')))
  t.equal((await upload.put(half + 1000, upload.length)).json.complete, true, 'the upload goes on')

  await server.close()
  await cp(backup, join(root, 'second', 'data'), { recursive: true })
  const second = await started(t, { managementPort: 0 }, join(root, 'second'))
  const restored = client.at(second.url)
  const stored = await restored.own('GET', 'v2/keys')
  t.match(stored.json, { complete: true, id: client.keySet })
  t.ok((await restored.classify()) < 0.01, 'the same client needs no upload')
  const { keySets, total } = await (await fetch(`${second.managementUrl}/keys`)).json()
  t.equal(total, 1)
  t.match(keySets, [{ name: nameOf(client.keySet), complete: true }])
})

t.test('a set that is deleted during the backup is in it with its bytes, or not at all', async (t) => {
  const { server, backups } = await serviceIn(t)
  const clients = await Promise.all([0, 1, 2].map(() => StepClient.create(server.url)))
  for (const [i, client] of clients.entries()) {
    const [made] = await Promise.all([backUp(server, `b${i}`), client.own('DELETE', 'v2/keys')])
    t.equal(made.status, 201)
    const copy = await StateDatabase.open(join(backups, `b${i}`))
    const { records } = await copy.keySets.load()
    copy.close()
    const files = readdirSync(join(backups, `b${i}`, 'keys')).filter((name) => name.endsWith('.keys'))
    t.strictSame([...records.keys()].map((name) => `${name}.keys`).sort(), files.sort())
    for (const [name, { bytes }] of records)
      t.equal(statSync(join(backups, `b${i}`, 'keys', `${name}.keys`)).size, bytes)
  }
})

t.test('no name leads out of the directory, and nothing is replaced', async (t) => {
  const { server, root, backups } = await serviceIn(t)
  const wrong = [
    '..',
    '.',
    '../x',
    '/tmp/x',
    'a/b',
    'a\\b',
    '',
    '.hidden',
    'x'.repeat(101),
    'a\0b',
    '%2e%2e',
    7,
  ]
  for (const name of wrong) {
    const { status, json } = await backUp(server, name)
    t.equal(status, 400, String(name))
    t.match(json, { code: 'CONFIG_INVALID', field: 'body.directory' })
  }
  mkdirSync(join(root, 'elsewhere'))
  mkdirSync(backups)
  mkdirSync(join(backups, 'empty'))
  symlinkSync(join(root, 'elsewhere'), join(backups, 'link'))
  symlinkSync(join(root, 'nowhere'), join(backups, 'dangling'))
  writeFileSync(join(backups, 'file'), 'text')
  for (const name of ['empty', 'link', 'dangling', 'file']) {
    t.match(await backUp(server, name), { status: 409, json: { code: 'CONFIG_INVALID', name } })
  }
  t.strictSame(readdirSync(join(root, 'elsewhere')), [])
  t.strictSame(readdirSync(backups).sort(), ['dangling', 'empty', 'file', 'link'])
  t.equal((await backUp(server, 'good')).status, 201)
  t.equal((await backUp(server, 'good')).status, 409)
})

t.test('one backup is made at a time', async (t) => {
  const { server } = await serviceIn(t)
  const made = await Promise.all(['a', 'b', 'c'].map((name) => backUp(server, name)))
  const statuses = made.map(({ status }) => status)
  t.ok(statuses.includes(201))
  for (const { status, json } of made) if (status !== 201) t.match(json, { status: 409, code: 'TOO_BUSY' })
})

t.test('where there can be no hard link, bytes are copied', async (t) => {
  const directory = t.testdir({ from: 'bytes' })
  const path = (name: string): string => join(directory, name)
  t.ok(await keepCopy(path('from'), path('linked')))
  t.equal(statSync(path('linked')).ino, statSync(path('from')).ino)
  const refusing = (code: string) => ({
    link: () => Promise.reject(Object.assign(new Error(code), { code })),
    copyFile,
  })
  t.ok(await keepCopy(path('from'), path('copied'), refusing('EXDEV')))
  t.not(statSync(path('copied')).ino, statSync(path('from')).ino)
  t.equal(readFileSync(path('copied'), 'utf8'), 'bytes')
  t.notOk(await keepCopy(path('none'), path('x'), refusing('EXDEV')))
  t.notOk(await keepCopy(path('none'), path('x')))
  await t.rejects(keepCopy(path('from'), path('y'), refusing('ENOSPC')), { code: 'ENOSPC' })
})

t.test('a backup that is copied over the files of a service that was killed has its own state', async (t) => {
  const root = t.testdir({ data: { 'flooding.key': 'x' }, killed: {} })
  const data = join(root, 'data')
  const killed = join(root, 'killed')
  const state = await StateDatabase.open(data)
  t.teardown(() => state.close())
  const { bytes } = await openDiskStorage(join(data, 'keys'), state.keySets)
  await state.add('clinic', '2030-01-01', 5)
  const { path } = await new Backups(join(root, 'backups'), { dataDir: data, state, files: bytes }).make('b')
  for (let i = 0; i < 20; i++) await state.add(`tenant-${i}`, '2030-01-01', 1)
  await state.add('clinic', '2030-01-01', 5)
  // The files of a service that runs are those of one that is killed now.
  for (const file of ['state.db', 'state.db-wal']) await copyFile(join(data, file), join(killed, file))
  t.not(statSync(join(killed, 'state.db-wal')).size, 0)
  await cp(path, killed, { recursive: true })
  const restored = await StateDatabase.open(killed)
  t.teardown(() => restored.close())
  t.match(await restored.of('clinic', '2030-01-01'), { total: 5 })
  t.match(await restored.of('tenant-1', '2030-01-01'), { total: 0 })
})

t.test('what a killed process has left of a backup goes at the next start', async (t) => {
  const root = t.testdir({ data: { 'flooding.key': 'x' }, other: {} })
  const data = join(root, 'data')
  const backups = join(root, 'backups')
  const state = await StateDatabase.open(data)
  t.teardown(() => state.close())
  const { bytes } = await openDiskStorage(join(data, 'keys'), state.keySets)
  const source = { dataDir: data, state, files: bytes }
  /** A backup that stands still, as that of a process that is killed. */
  const begun = (dataDir: string, name: string): Promise<string> =>
    new Promise((resolve) => {
      const copyTo = async (directory: string) => {
        writeFileSync(join(directory, 'state.db'), 'half')
        resolve(directory)
        await new Promise(() => {})
      }
      const killed = { dataDir, state: { copyTo } as unknown as StateDatabase, files: bytes }
      void new Backups(backups, killed).make(name)
    })
  await begun(data, 'monday')
  await begun(data, 'tuesday')
  const others = await begun(join(root, 'other'), 'wednesday')
  t.equal(readdirSync(backups).length, 6)
  await new Backups(backups, source).removeUnfinished()
  t.strictSame(
    readdirSync(backups).sort(),
    [basename(others), 'wednesday'].sort(),
    'a backup of another service goes on',
  )
  t.equal((await new Backups(backups, source).make('monday')).path, join(backups, 'monday'))
  await t.rejects(new Backups(backups, source).make('wednesday'), { code: 'CONFIG_INVALID' })
  await new Backups(backups, source).removeUnfinished()
  t.strictSame(readdirSync(backups).sort(), [basename(others), 'monday', 'wednesday'].sort())
  await new Backups(join(root, 'none'), source).removeUnfinished()
})

t.test('the start of a service removes what is left of a backup', async (t) => {
  const { server, root, backups } = await serviceIn(t)
  t.equal((await backUp(server, 'good')).status, 201)
  await server.close()
  const data = realpathSync(join(root, 'first', 'data'))
  const hash = createHash('sha256').update(data).digest('hex').slice(0, 16)
  mkdirSync(join(backups, 'bad'))
  mkdirSync(join(backups, `.bad.${hash}.part`))
  await started(t, { managementPort: 0, backupDir: backups }, join(root, 'first'))
  t.strictSame(readdirSync(backups), ['good'])
})
