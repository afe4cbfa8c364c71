import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { DiskFiles } from '../../../src/server/stores/disk-files.ts'
import { withKeySet } from '../../../src/server/stores/key-set-source.ts'
import { KeyStore, nameOf } from '../../../src/server/stores/key-store.ts'
import type { StoreLog } from '../../../src/server/stores/store-log.ts'
import { patterned } from '../support.ts'

const MARKER = 'polyveil-key-sets.json'
const LIMITS = {
  ttlMilliseconds: 1000,
  uploadMilliseconds: 1000,
  maxSets: 10,
  maxSetBytes: 1e6,
  maxTotalBytes: 1e7,
}
const KEY_SET = { parametersDigest: 'a'.repeat(64), galoisElements: [3, 9], bytes: 300_001 }
const DIGEST = { digest: 'b'.repeat(64) }

async function* inChunks(bytes: Uint8Array, size = 65_537): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size)
}

async function opened(
  t: Test,
): Promise<{ directory: string; clock: { now: number }; reopen: (log?: StoreLog) => Promise<KeyStore> }> {
  const directory = join(t.testdir(), 'keys')
  const clock = { now: 1e12 }
  const reopen = async (log?: StoreLog) =>
    KeyStore.open(await DiskFiles.open(directory, log), LIMITS, () => clock.now, log)
  return { directory, clock, reopen }
}

t.test('an upload survives a restart at every stage', async (t) => {
  const { directory, reopen } = await opened(t)
  const bytes = patterned(KEY_SET.bytes)
  const before = await reopen()
  const { id } = await before.create(KEY_SET)
  const restarted = await reopen()
  await restarted.append(id, 0, inChunks(bytes.subarray(0, 200_000)))
  const again = await reopen()
  t.equal(again.get(id).uploadOffset, 200_000)
  await again.append(id, 200_000, inChunks(bytes.subarray(200_000)))
  await again.complete(id, async () => DIGEST)
  const last = await reopen()
  t.match(last.get(id), { ...KEY_SET, uploadOffset: KEY_SET.bytes, digest: DIGEST.digest })
  const stored = await withKeySet(last.location(id), (source) => source.read(0, source.size))
  t.ok(Buffer.from(bytes).equals(stored))
  t.same(await withKeySet(last.location(id), (source) => source.read(299_999, 100)), bytes.slice(299_999))

  const files = await readdir(directory)
  t.same(
    files.sort(),
    [`${nameOf(id)}.json`, `${nameOf(id)}.keys`, MARKER].sort(),
    'file names are hashes of ids',
  )
  t.notMatch(await readFile(join(directory, `${nameOf(id)}.json`), 'utf8'), id)
  for (const file of files)
    t.equal((await stat(join(directory, file))).mode & 0o077, 0, 'only the owner can read the files')
})

t.test('a part that breaks off does not move the upload offset', async (t) => {
  const { reopen } = await opened(t)
  const store = await reopen()
  const { id } = await store.create(KEY_SET)
  const bytes = patterned(KEY_SET.bytes)
  await store.append(id, 0, inChunks(bytes.subarray(0, 100_000)))
  async function* broken() {
    yield patterned(50_000, 99)
    throw new Error('connection lost')
  }
  await t.rejects(store.append(id, 100_000, broken()), { message: 'connection lost' })
  t.equal((await reopen()).get(id).uploadOffset, 100_000)
  await store.append(id, 100_000, inChunks(bytes.subarray(100_000)))
  const stored = await withKeySet(store.location(id), (source) => source.read(0, source.size))
  t.ok(Buffer.from(bytes).equals(stored), 'no bytes of the broken part are left')
})

t.test('a broken part takes no room beyond the upload offset', async (t) => {
  const { directory, reopen } = await opened(t)
  const store = await reopen()
  const { id } = await store.create({ ...KEY_SET, bytes: 100_000 })
  await store.append(id, 0, inChunks(patterned(1000)))
  async function* broken() {
    yield patterned(50_000)
    throw new Error('connection lost')
  }
  await t.rejects(store.append(id, 1000, broken()), { message: 'connection lost' })
  t.equal((await stat(join(directory, `${nameOf(id)}.keys`))).size, 1000)
})

t.test(
  'a full disk is TOO_BUSY, and leaves no temporary file',
  { skip: !existsSync('/dev/full') },
  async (t) => {
    const { directory, reopen } = await opened(t)
    const store = await reopen()
    const { id } = await store.create(KEY_SET)
    const draft = `${nameOf(id)}.json.new`
    await symlink('/dev/full', join(directory, draft))
    await t.rejects(store.append(id, 0, inChunks(patterned(1000))), {
      code: 'TOO_BUSY',
      message: /The disk is full/,
      facts: { retryAfter: 60 },
    })
    t.notOk((await readdir(directory)).includes(draft))
    t.equal(store.get(id).uploadOffset, 0)
    t.equal((await store.append(id, 0, inChunks(patterned(1000)))).uploadOffset, 1000)
  },
)

t.test('parts larger than 16 MiB are refused', async (t) => {
  const { directory } = await opened(t)
  const limits = { ...LIMITS, maxSetBytes: 1e8, maxTotalBytes: 1e8 }
  const store = await KeyStore.open(await DiskFiles.open(directory), limits)
  const { id } = await store.create({ ...KEY_SET, bytes: 20 * 2 ** 20 })
  const part = new Uint8Array(16 * 2 ** 20 + 1)
  await t.rejects(store.append(id, 0, inChunks(part)), {
    code: 'TOO_LARGE',
    facts: { maxBytes: 16 * 2 ** 20 },
  })
  t.equal((await store.append(id, 0, inChunks(part.subarray(1)))).uploadOffset, 16 * 2 ** 20)
})

t.test('opening the store deletes expired, orphaned, unfinished and corrupt key sets', async (t) => {
  const { directory, clock, reopen } = await opened(t)
  const store = await reopen()
  const { id: old } = await store.create(KEY_SET)
  clock.now += 600
  const [{ id: kept }, { id: cut }, { id: corrupt }] = await Promise.all([
    store.create(KEY_SET),
    store.create(KEY_SET),
    store.create(KEY_SET),
  ])
  for (const id of [kept, cut]) await store.append(id, 0, inChunks(patterned(1000)))
  await truncate(join(directory, `${nameOf(cut)}.keys`), 999)
  await writeFile(join(directory, `${nameOf(corrupt)}.json`), '{"bytes":')
  await writeFile(join(directory, `${nameOf('orphan')}.keys`), 'x')
  await writeFile(join(directory, `${nameOf('half')}.json.new`), '{')
  clock.now += 500
  const { log, lines } = recorded()
  const after = await reopen(log)
  t.equal(after.size, 1)
  t.equal(after.get(kept).uploadOffset, 1000)
  for (const id of [old, cut, corrupt]) t.throws(() => after.get(id), { code: 'KEYS_EXPIRED' })
  t.same((await readdir(directory)).sort(), [`${nameOf(kept)}.json`, `${nameOf(kept)}.keys`, MARKER].sort())
  const deleted = lines.map(({ keySet, file, reason }) => `${keySet} ${file ?? ''} ${reason}`)
  const short = (id: string) => nameOf(id).slice(0, 12)
  t.same(
    deleted.sort(),
    [
      `${short('orphan')} .keys bytes without a record`,
      `${short('half')} .json.new a damaged or unfinished record`,
      `${short(cut)} .json a damaged or unfinished record`,
      `${short(cut)} .keys bytes without a record`,
      `${short(corrupt)} .json a damaged or unfinished record`,
      `${short(old)}  upload given up`,
    ].sort(),
    'the log has one line for each deletion',
  )
})

/** A log that keeps its lines. */
function recorded() {
  const lines: Record<string, unknown>[] = []
  const take = (facts: object, message: string): void => void lines.push({ ...facts, message })
  return { lines, log: { info: take, warn: take } }
}

t.test('the store leaves files that are not its own in its directory', async (t) => {
  const { directory, reopen } = await opened(t)
  await reopen()
  await writeFile(join(directory, 'tls.key'), 'PRIVATE KEY')
  await writeFile(join(directory, 'notes.json'), 'mine')
  await writeFile(join(directory, `${'a'.repeat(64)}.keys.bak`), 'mine')
  await mkdir(join(directory, 'folder'))
  await writeFile(join(directory, 'folder', 'file'), 'mine')
  await mkdir(join(directory, `${'b'.repeat(64)}.keys`))
  await writeFile(join(directory, 'target'), 'mine')
  await symlink('target', join(directory, `${'c'.repeat(64)}.keys`))
  const before = (await readdir(directory, { recursive: true })).sort()
  const { log, lines } = recorded()
  await reopen(log)
  t.same((await readdir(directory, { recursive: true })).sort(), before)
  t.match(lines, [{ message: /left alone/, count: 7 }])
  t.equal(lines.length, 1)
})

t.test('the store refuses a directory with files of another program', async (t) => {
  const name = 'a'.repeat(64)
  const directory = t.testdir({
    client: { 'store.json': '{}', 'store.key': 'secret' },
    tls: { 'tls.key': 'PRIVATE KEY', [`${name}.json`]: '{}' },
    folder: { [`${name}.keys`]: {} },
    otherVersion: { [MARKER]: '{"format":"polyveil-key-sets-9"}' },
  })
  for (const [place, message] of [
    ['client', /looks like a client's store of secret keys \(store.json, store.key\).*POLYVEIL_DATA_DIR/s],
    ['tls', /not this service's \(tls.key\)/],
    ['folder', /not this service's/],
    ['otherVersion', /of another version/],
  ] as const) {
    const path = join(directory, place)
    const before = await readdir(path, { recursive: true })
    await t.rejects(DiskFiles.open(path), { code: 'CONFIG_INVALID', message, facts: { directory: path } })
    t.same(await readdir(path, { recursive: true }), before, `${place} is unchanged`)
  }
})

t.test('the store takes over a directory of PolyVeil 0.1 with its key sets', async (t) => {
  const { directory, reopen } = await opened(t)
  const name = nameOf('an-id')
  const record = { ...KEY_SET, bytes: 3, uploadOffset: 3, ...DIGEST, expires: 1e12 + 500 }
  await mkdir(directory)
  await writeFile(join(directory, `${name}.json`), JSON.stringify(record))
  await writeFile(join(directory, `${name}.keys`), 'abc')
  const { log, lines } = recorded()
  const store = await reopen(log)
  t.match(store.get('an-id'), record)
  t.match(lines, [{ message: /Took over/, directory }])
  t.ok((await readdir(directory)).includes(MARKER))
})

t.test(
  'an unmarked directory is refused if its files have names of the store but are not its records',
  async (t) => {
    for (const files of [
      { [`${'ab'.repeat(32)}.keys`]: 'of another program' },
      { [`${'ab'.repeat(32)}.json`]: '{"of":"another program"}' },
    ]) {
      const directory = t.testdir({ keys: files })
      await t.rejects(DiskFiles.open(join(directory, 'keys')), {
        code: 'CONFIG_INVALID',
        message: /Nothing was changed/,
      })
      t.strictSame(await readdir(join(directory, 'keys')), Object.keys(files))
    }
  },
)

t.test('a record that cannot be read for lack of permission is not deleted', async (t) => {
  const { directory, reopen } = await opened(t)
  const { id } = await (await reopen()).create(KEY_SET)
  const path = join(directory, `${nameOf(id)}.json`)
  await rm(path)
  // Reading a directory fails for root, too. This directory has the name of a record.
  await mkdir(path)
  const before = (await readdir(directory)).sort()
  await reopen()
  t.same((await readdir(directory)).sort(), before)
  if (process.getuid?.() === 0) return
  await rm(path, { recursive: true })
  await writeFile(path, '{}', { mode: 0 })
  await t.rejects(reopen(), { code: 'CONFIG_INVALID', message: /EACCES/ })
  t.same((await readdir(directory)).sort(), before)
})

t.test('the order of use survives a restart', async (t) => {
  const directory = join(t.testdir(), 'keys')
  const clock = { now: 1e12 }
  const limits = { ...LIMITS, ttlMilliseconds: 1e6, maxSetsPerOwner: 2 }
  const reopen = async () => KeyStore.open(await DiskFiles.open(directory), limits, () => clock.now)
  const complete = async (store: KeyStore) => {
    clock.now += 10
    const { id } = await store.create({ ...KEY_SET, bytes: 10 }, 'one')
    await store.append(id, 0, inChunks(patterned(10)))
    await store.complete(id, async () => DIGEST)
    return id
  }
  const before = await reopen()
  const first = await complete(before)
  const second = await complete(before)
  clock.now += 10
  before.use(first)
  // The store writes the time of use to disk before it processes this call.
  await before.append(first, 10, inChunks(new Uint8Array()))
  const after = await reopen()
  await complete(after)
  t.ok(after.get(first))
  t.throws(() => after.get(second), { code: 'KEYS_EXPIRED' })
})

t.test('a key set is checked once at a time; a bad one is deleted', async (t) => {
  const { directory, reopen } = await opened(t)
  const store = await reopen()
  const { id } = await store.create(KEY_SET)
  await store.append(id, 0, inChunks(patterned(KEY_SET.bytes)))
  let running = 0
  let most = 0
  let checks = 0
  const verify = async () => {
    most = Math.max(most, ++running)
    checks++
    await sleep(10)
    running--
    return DIGEST
  }
  await t.rejects(
    store.complete(id, () => Promise.reject(new Error('no memory'))),
    { message: 'no memory' },
  )
  await Promise.all([store.complete(id, verify), store.complete(id, verify)])
  t.same([most, checks], [1, 1])

  const { id: bad } = await store.create(KEY_SET)
  await store.append(bad, 0, inChunks(patterned(KEY_SET.bytes)))
  const malformed = new PolyVeilError('TENSOR_MALFORMED', 'bad')
  await t.rejects(
    store.complete(bad, () => Promise.reject(malformed)),
    malformed,
  )
  t.throws(() => store.get(bad), { code: 'KEYS_EXPIRED' })
  t.equal((await readdir(directory)).length, 3, 'the marker and the two files of the good key set')
})

t.test('a key set that was deleted between lookup and use has expired', async (t) => {
  const { reopen } = await opened(t)
  const store = await reopen()
  const { id } = await store.create(KEY_SET)
  await store.append(id, 0, inChunks(patterned(10)))
  const location = store.location(id)
  await store.delete(id)
  await t.rejects(
    withKeySet(location, async () => 1),
    { code: 'KEYS_EXPIRED' },
  )
})

t.test('an announced key set reserves its room', async (t) => {
  const directory = join(t.testdir(), 'keys')
  const limits = { ...LIMITS, maxTotalBytes: 3 * KEY_SET.bytes - 1 }
  const store = await KeyStore.open(await DiskFiles.open(directory), limits)
  const results = await Promise.allSettled([1, 2, 3].map(() => store.create(KEY_SET)))
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'fulfilled', 'rejected'])
  t.equal(store.reservedBytes, 2 * KEY_SET.bytes)
})

t.test('a data directory that cannot be made is refused', async (t) => {
  const file = join(t.testdir({ taken: 'a file' }), 'taken')
  await t.rejects(DiskFiles.open(join(file, 'keys')), { code: 'CONFIG_INVALID' })
})

t.test('incomplete uploads of PolyVeil 0.1 expire within minutes', async (t) => {
  const { directory, clock, reopen } = await opened(t)
  await reopen()
  const name = 'c'.repeat(64)
  const week = clock.now + 168 * 3_600_000
  await writeFile(
    join(directory, `${name}.json`),
    JSON.stringify({ ...KEY_SET, uploadOffset: 0, expires: week }),
  )
  const store = await reopen()
  t.equal(store.size, 1)
  clock.now += LIMITS.uploadMilliseconds
  await store.sweep()
  t.equal(store.size, 0)
})
