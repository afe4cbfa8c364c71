import { existsSync } from 'node:fs'
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { openDiskStorage } from '../../../src/server/stores/disk-storage.ts'
import type { RecordTable } from '../../../src/server/stores/key-set-record.ts'
import { withKeySet } from '../../../src/server/stores/key-set-source.ts'
import { KeyStore, nameOf } from '../../../src/server/stores/key-store.ts'
import type { KeyStoreLimits } from '../../../src/server/stores/key-store-limits.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
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

/** A store in a directory of its own. `reopen` ends it, and opens it again as a restart does. */
async function opened(t: Test, change: Partial<KeyStoreLimits> = {}) {
  const data = t.testdir()
  const directory = join(data, 'keys')
  const clock = { now: 1e12 }
  let state: StateDatabase | undefined
  t.teardown(() => state?.close())
  const reopen = async (log?: StoreLog): Promise<KeyStore> => {
    state?.close()
    state = await StateDatabase.open(data)
    const uploadsUntil = clock.now + LIMITS.uploadMilliseconds
    const storage = await openDiskStorage(directory, state.keySets, { log, uploadsUntil })
    return KeyStore.open(storage, { ...LIMITS, ...change }, () => clock.now, log)
  }
  return { directory, clock, reopen, index: () => state!.keySets, close: () => state?.close() }
}

const index = (): RecordTable => StateDatabase.inMemory().keySets

t.test('an upload survives a restart at every stage', async (t) => {
  const { directory, reopen } = await opened(t)
  const bytes = patterned(KEY_SET.bytes)
  const before = await reopen()
  const { id } = await before.create(KEY_SET)
  const restarted = await reopen()
  await restarted.append(id, 0, inChunks(bytes.subarray(0, 200_000)))
  const again = await reopen()
  t.equal((await again.get(id)).uploadOffset, 200_000)
  await again.append(id, 200_000, inChunks(bytes.subarray(200_000)))
  await again.complete(id, async () => DIGEST)
  const last = await reopen()
  t.match(await last.get(id), { ...KEY_SET, uploadOffset: KEY_SET.bytes, digest: DIGEST.digest })
  const stored = await withKeySet((await last.location(id)).location, (source) => source.read(0, source.size))
  t.ok(Buffer.from(bytes).equals(stored))
  t.same(
    await withKeySet((await last.location(id)).location, (source) => source.read(299_999, 100)),
    bytes.slice(299_999),
  )

  const files = await readdir(directory)
  t.same(files.sort(), [`${nameOf(id)}.keys`, MARKER].sort(), 'file names are hashes of ids')
  for (const file of ['state.db', 'state.db-wal']) {
    t.notOk((await readFile(join(directory, '..', file))).includes(id), 'the index has no ids')
    t.equal((await stat(join(directory, '..', file))).mode & 0o077, 0, 'only the owner can read the index')
  }
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
  const again = await reopen()
  t.equal((await again.get(id)).uploadOffset, 100_000)
  await again.append(id, 100_000, inChunks(bytes.subarray(100_000)))
  const stored = await withKeySet((await again.location(id)).location, (source) =>
    source.read(0, source.size),
  )
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

t.test('parts larger than 16 MiB are refused', async (t) => {
  const { directory } = await opened(t)
  const limits = { ...LIMITS, maxSetBytes: 1e8, maxTotalBytes: 1e8 }
  const store = await KeyStore.open(await openDiskStorage(directory, index()), limits)
  const { id } = await store.create({ ...KEY_SET, bytes: 20 * 2 ** 20 })
  const part = new Uint8Array(16 * 2 ** 20 + 1)
  await t.rejects(store.append(id, 0, inChunks(part)), {
    code: 'TOO_LARGE',
    facts: { maxBytes: 16 * 2 ** 20 },
  })
  t.equal((await store.append(id, 0, inChunks(part.subarray(1)))).uploadOffset, 16 * 2 ** 20)
})

t.test('opening the store puts records and bytes in order, with a log line for each kind', async (t) => {
  const { directory, clock, reopen } = await opened(t)
  const store = await reopen()
  const { id: old } = await store.create(KEY_SET)
  clock.now += 600
  const ids: string[] = []
  for (let i = 0; i < 6; i++) {
    const { id } = await store.create(KEY_SET, `client ${i}`)
    await store.append(id, 0, inChunks(patterned(1000)))
    ids.push(id)
  }
  const [kept, cut, alsoCut, gone, longer, untouched] = ids
  const bytesOf = (id: string) => join(directory, `${nameOf(id)}.keys`)
  for (const id of [cut, alsoCut]) await truncate(bytesOf(id), 999)
  await rm(bytesOf(gone))
  await appendFile(bytesOf(longer), 'of a part that broke off')
  for (const orphan of ['one', 'two', 'three', 'four']) await writeFile(bytesOf(orphan), 'x')
  await writeFile(join(directory, `${nameOf('half')}.json.new`), '{')
  clock.now += 500
  const { log, lines } = recorded()
  const after = await reopen(log)
  t.equal((await after.totals()).sets, 3)
  for (const id of [kept, longer, untouched]) t.equal((await after.get(id)).uploadOffset, 1000)
  for (const id of [old, cut, alsoCut, gone]) await t.rejects(after.get(id), { code: 'KEYS_EXPIRED' })
  t.equal((await stat(bytesOf(longer))).size, 1000)
  const files = [kept, longer, untouched].map((id) => `${nameOf(id)}.keys`)
  t.same((await readdir(directory)).sort(), [...files, MARKER].sort())
  const short = (...ids: string[]) => ids.map((id) => nameOf(id).slice(0, 12))
  t.match(lines, [
    { message: /bytes are missing/, count: 1, keySets: short(gone) },
    { message: /fewer bytes/, count: 2 },
    { message: /after the last complete part/, count: 1, keySets: short(longer) },
    { message: /no record/, count: 4 },
    { reason: 'upload given up', keySet: short(old)[0] },
  ])
  t.equal(lines.length, 5)
  t.match((lines[3].keySets as string[]).length, 3, 'a line names three at most')

  const again = recorded()
  t.equal((await (await reopen(again.log)).totals()).sets, 3)
  t.same(again.lines, [], 'the next start finds everything in order')
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
    await t.rejects(openDiskStorage(path, index()), {
      code: 'CONFIG_INVALID',
      message,
      facts: { directory: path },
    })
    t.same(await readdir(path, { recursive: true }), before, `${place} is unchanged`)
  }
})

t.test('records that an older version kept as files move to the index, once and without loss', async (t) => {
  const { directory, reopen, index } = await opened(t)
  const full = { announced: 1e12 - 5.5, owner: 'tenant:a', network: 'tenant:a', used: 1e12 - 1 }
  const records = {
    old: { ...KEY_SET, bytes: 3, uploadOffset: 3, ...DIGEST, expires: 1e12 + 500 },
    full: { ...KEY_SET, bytes: 3, uploadOffset: 3, ...DIGEST, expires: 1e12 + 500.25, ...full },
    half: { ...KEY_SET, uploadOffset: 2, expires: 1e12 + 400 },
  }
  await mkdir(directory)
  for (const [id, record] of Object.entries(records)) {
    await writeFile(join(directory, `${nameOf(id)}.json`), JSON.stringify(record))
    await writeFile(join(directory, `${nameOf(id)}.keys`), 'abc'.slice(0, record.uploadOffset))
  }
  const { log, lines } = recorded()
  const store = await reopen(log)
  for (const [id, record] of Object.entries(records)) t.strictSame(await store.get(id), record)
  t.match(lines, [
    { message: /Took over/, directory },
    { message: /Moved records/, count: 3 },
  ])
  const files = Object.keys(records).map((id) => `${nameOf(id)}.keys`)
  t.same((await readdir(directory)).sort(), [...files, MARKER].sort())
  t.equal((await index().load()).records.size, 3)

  await t.test('an interrupted move goes on, and does not undo what came after it', async (t) => {
    await store.append('half', 2, inChunks(patterned(10)))
    await writeFile(join(directory, `${nameOf('half')}.json`), JSON.stringify(records.half))
    const again = recorded()
    const after = await reopen(again.log)
    t.equal((await after.get('half')).uploadOffset, 12)
    t.strictSame(await after.get('full'), records.full)
    t.same(again.lines, [])
    t.same((await readdir(directory)).sort(), [...files, MARKER].sort())
  })
})

t.test('an older record that cannot be read is named, and left aside with its bytes', async (t) => {
  const { directory, reopen } = await opened(t)
  await reopen()
  const names = ['torn', 'foreign', 'good'].map(nameOf)
  const good = { ...KEY_SET, bytes: 3, uploadOffset: 3, ...DIGEST, expires: 1e12 + 500 }
  const texts = ['{"bytes":', '{"of":"another program"}', JSON.stringify(good)]
  for (const [i, name] of names.entries()) {
    await writeFile(join(directory, `${name}.json`), texts[i])
    await writeFile(join(directory, `${name}.keys`), 'abc')
  }
  for (let start = 0; start < 2; start++) {
    const { log, lines } = recorded()
    const store = await reopen(log)
    t.equal((await store.totals()).sets, 1)
    t.match(await store.get('good'), good)
    const named = lines.find(({ message }) => /cannot be read/.test(String(message)))
    t.match(named, { count: 2, files: names.slice(0, 2).map((name) => `${name}.json`) })
    for (const [i, name] of names.slice(0, 2).entries()) {
      t.equal(await readFile(join(directory, `${name}.json`), 'utf8'), texts[i])
      t.equal(await readFile(join(directory, `${name}.keys`), 'utf8'), 'abc')
    }
  }
})

t.test('a record of the index that cannot be read is named, and left aside with its bytes', async (t) => {
  const { directory, reopen, close } = await opened(t)
  const store = await reopen()
  const [bad, good] = [(await store.create(KEY_SET)).id, (await store.create(KEY_SET)).id]
  for (const id of [bad, good]) await store.append(id, 0, inChunks(patterned(10)))
  close()
  const database = new DatabaseSync(join(directory, '..', 'state.db'))
  database.prepare('UPDATE key_sets SET galois_elements = ? WHERE name = ?').run('[', nameOf(bad))
  const elsewhere =
    'INSERT INTO key_sets SELECT ?, owner, network, parameters_digest, galois_elements, bytes, '
  database
    .prepare(`${elsewhere} 5, digest, announced, expires, used FROM key_sets WHERE name = ?`)
    .run('../state', nameOf(good))
  database.close()
  for (let start = 0; start < 2; start++) {
    const { log, lines } = recorded()
    const after = await reopen(log)
    t.equal((await after.totals()).sets, 1)
    t.equal((await after.get(good)).uploadOffset, 10)
    t.match(lines, [{ message: /cannot be read/, count: 2 }])
    t.ok((lines[0].keySets as string[]).includes(nameOf(bad).slice(0, 12)))
    t.equal((await stat(join(directory, `${nameOf(bad)}.keys`))).size, 10)
  }
})

t.test(
  'an unmarked directory is refused if its files have names of the store but are not its records',
  async (t) => {
    for (const files of [
      { [`${'ab'.repeat(32)}.keys`]: 'of another program' },
      { [`${'ab'.repeat(32)}.json`]: '{"of":"another program"}' },
    ]) {
      const directory = t.testdir({ keys: files })
      await t.rejects(openDiskStorage(join(directory, 'keys'), index()), {
        code: 'CONFIG_INVALID',
        message: /Nothing was changed/,
      })
      t.strictSame(await readdir(join(directory, 'keys')), Object.keys(files))
    }
  },
)

t.test('an older record that this user may not read is not deleted', async (t) => {
  const { directory, reopen } = await opened(t)
  await reopen()
  const path = join(directory, `${nameOf('an-id')}.json`)
  // Reading a directory fails for root, too. This directory has the name of a record.
  await mkdir(path)
  await reopen()
  t.ok((await stat(path)).isDirectory())
  if (process.getuid?.() === 0) return
  await rm(path, { recursive: true })
  await writeFile(path, '{}', { mode: 0 })
  t.equal((await (await reopen()).totals()).sets, 0)
  t.ok((await stat(path)).isFile())
})

t.test('the order of use survives a restart', async (t) => {
  const { clock, reopen } = await opened(t, { ttlMilliseconds: 1e6, maxSetsPerOwner: 2 })
  const complete = async (store: KeyStore) => {
    clock.now += 10
    const { id } = await store.create({ ...KEY_SET, bytes: 10 }, 'one')
    await store.append(id, 0, inChunks(patterned(10)))
    await store.complete(id, async () => DIGEST)
    return id
  }
  for (const write of ['close', 'sweep'] as const) {
    const before = await reopen()
    const first = await complete(before)
    const second = await complete(before)
    clock.now += 10
    await before.use(first)
    await before[write]()
    const after = await reopen()
    await complete(after)
    t.ok(await after.get(first), write)
    await t.rejects(after.get(second), { code: 'KEYS_EXPIRED' }, write)
  }
})

t.test('a budget of bytes removes the least recently used sets, also after a restart', async (t) => {
  const { directory, clock, reopen } = await opened(t, {
    ttlMilliseconds: 1e6,
    maxTotalBytes: 35,
    maxBytesPerOwner: 35,
  })
  const complete = async (store: KeyStore) => {
    clock.now += 10
    const { id } = await store.create({ ...KEY_SET, bytes: 10 }, 'one')
    await store.append(id, 0, inChunks(patterned(10)))
    await store.complete(id, async () => DIGEST)
    return id
  }
  let store = await reopen()
  const ids = [await complete(store), await complete(store), await complete(store)]
  clock.now += 10
  await store.use(ids[1])
  clock.now += 10
  await store.use(ids[0])
  await store.close()
  store = await reopen()
  const removed: string[] = []
  for (let more = 0; more < 3; more++) {
    await complete(store)
    const gone = ids.filter((id) => !existsSync(join(directory, `${nameOf(id)}.keys`)))
    removed.push(...gone.filter((id) => !removed.includes(id)))
    t.equal(removed.length, more + 1)
    t.equal((await store.totals()).bytes, 30)
  }
  t.same(removed, [ids[2], ids[1], ids[0]])
})

t.test('uses of a key set write nothing until the next sweep, which writes them at once', async (t) => {
  const { directory, reopen, index } = await opened(t)
  const store = await reopen()
  const { id } = await store.create(KEY_SET)
  const log = join(directory, '..', 'state.db-wal')
  const before = (await stat(log)).size
  for (let query = 0; query < 1000; query++) await store.use(id)
  t.equal((await stat(log)).size, before)
  await store.sweep()
  const after = (await stat(log)).size
  t.ok(after > before && after - before < 20_000, `${after - before} bytes`)
  t.equal((await index().load()).records.get(nameOf(id))?.used, 1e12)
  await store.sweep()
  t.equal((await stat(log)).size, after, 'a sweep without uses writes nothing')
})

t.test('a key set that is deleted while an inference reads it is read to its end', async (t) => {
  const { directory, reopen } = await opened(t)
  const store = await reopen()
  const bytes = patterned(KEY_SET.bytes)
  const { id } = await store.create(KEY_SET)
  await store.append(id, 0, inChunks(bytes))
  await store.complete(id, async () => DIGEST)
  await withKeySet((await store.location(id)).location, async (source) => {
    t.same(await source.read(0, 1000), bytes.slice(0, 1000))
    await store.delete(id)
    t.notOk(existsSync(join(directory, `${nameOf(id)}.keys`)))
    t.same(await source.read(1000, bytes.length), bytes.slice(1000))
  })
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
  await t.rejects(store.get(bad), { code: 'KEYS_EXPIRED' })
  t.equal((await readdir(directory)).length, 2, 'the marker and the bytes of the good key set')
})

t.test('a key set that was deleted between lookup and use has expired', async (t) => {
  const { reopen } = await opened(t)
  const store = await reopen()
  const { id } = await store.create(KEY_SET)
  await store.append(id, 0, inChunks(patterned(10)))
  const { location } = await store.location(id)
  await store.delete(id)
  await t.rejects(
    withKeySet(location, async () => 1),
    { code: 'KEYS_EXPIRED' },
  )
})

t.test('an announced key set reserves its room', async (t) => {
  const directory = join(t.testdir(), 'keys')
  const limits = { ...LIMITS, maxTotalBytes: 3 * KEY_SET.bytes - 1 }
  const store = await KeyStore.open(await openDiskStorage(directory, index()), limits)
  const results = await Promise.allSettled([1, 2, 3].map(() => store.create(KEY_SET)))
  t.same(results.map(({ status }) => status).sort(), ['fulfilled', 'fulfilled', 'rejected'])
  t.equal((await store.totals()).bytes, 2 * KEY_SET.bytes)
})

t.test('a data directory that cannot be made is refused', async (t) => {
  const file = join(t.testdir({ taken: 'a file' }), 'taken')
  await t.rejects(openDiskStorage(join(file, 'keys'), index()), { code: 'CONFIG_INVALID' })
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
  t.equal((await store.totals()).sets, 1)
  clock.now += LIMITS.uploadMilliseconds
  await store.sweep()
  t.equal((await store.totals()).sets, 0)
})
