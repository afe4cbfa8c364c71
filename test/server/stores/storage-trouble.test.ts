import { execFile } from 'node:child_process'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { openDiskStorage } from '../../../src/server/stores/disk-storage.ts'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'
import {
  announce,
  type Harness,
  harness,
  isProblem,
  keyBytes,
  patterned,
  putPart,
  query,
} from '../support.ts'
import { type Faults, faultyLayer, faultyTable, fullDatabase } from './faulty-layer.ts'

const MARKER = 'polyveil-key-sets.json'
const bytes = patterned(keyBytes)
const run = promisify(execFile)
const STATE = new URL('../../../src/server/stores/state-database.ts', import.meta.url).href
const DEBUG = 20
const FULL = { retryAfter: 60, reason: 'full' }
const sqliteFull = await fullDatabase()

/** A service whose disk refuses writes as `faults` says. */
async function faulty(t: Test) {
  const data = t.testdir()
  const directory = join(data, 'keys')
  const faults: Faults = {}
  const lines: string[] = []
  const log = {
    info: (_facts: object, message: string) => void lines.push(message),
    warn: (_facts: object, message: string) => void lines.push(message),
  }
  const health = new StorageHealth(log, 3_600_000)
  const state = await StateDatabase.open(data, health)
  const table = faultyTable(state.keySets, faults)
  const keySets = await openDiskStorage(directory, table, { health, layer: faultyLayer(faults) })
  const h = await harness(t, { keySets, storage: health, limits: { maxSets: 64, maxUploadsPerOwner: 64 } })
  t.teardown(() => {
    health.close()
    state.close()
  })
  return { h, faults, health, lines, directory, state }
}

const status = async (h: Harness, path: 'ready' | 'live') =>
  (await h.inject({ url: `/v2/health/${path}` })).statusCode
const get = (h: Harness, id: string) => h.inject({ url: `/v2/keys/${id}` })
const size = async (directory: string, id: string) => (await stat(join(directory, `${nameOf(id)}.keys`))).size

/** Announces, and uploads a part and then all. */
async function stored(h: Harness): Promise<string> {
  const { id } = (await announce(h)).json()
  await putPart(h, id, 0, bytes.subarray(0, 1000))
  return id
}

for (const [code, reason] of [
  ['ENOSPC', 'full'],
  ['EDQUOT', 'full'],
  ['EROFS', 'read-only'],
  ['EACCES', 'permission'],
  ['EIO', 'fault'],
] as const) {
  t.test(`${code} while a part is written is 507, and the upload goes on where it was`, async (t) => {
    const { h, faults, health, lines, directory } = await faulty(t)
    const complete = await stored(h)
    t.equal((await putPart(h, complete, 1000, bytes.subarray(1000))).json().complete, true)
    const id = await stored(h)
    Object.assign(faults, { code, removal: code.startsWith('E') && reason === 'full' ? undefined : code })
    if (reason === 'full') faults.room = 70_000
    for (let request = 0; request < 3; request++) {
      const answer = await putPart(h, id, 1000, bytes.subarray(1000))
      isProblem(t, answer, 507, 'TOO_BUSY', { retryAfter: 60, reason })
      t.equal(answer.headers['retry-after'], '60')
      t.match(answer.json().remedy, /operator/)
      t.notMatch(answer.body, directory, 'no path of the server')
    }
    t.equal(await size(directory, id), 1000, 'no part of the broken write is left')
    t.same([await status(h, 'ready'), await status(h, 'live')], [503, 200])
    t.equal((await get(h, id)).json().uploadOffset, 1000)
    t.equal((await h.inject(query(complete))).statusCode, 200, 'stored keys are used')
    t.equal(lines.length, 1, 'one line of the log')
    const loud = h
      .log()
      .split('\n')
      .filter((line) => line.includes('nothing can be stored now'))
    t.ok(
      loud.every((line) => JSON.parse(line).level === DEBUG),
      'and none for each request',
    )

    await health.probe()
    t.equal(await status(h, 'ready'), 503, 'not yet')
    for (const fault of Object.keys(faults) as (keyof Faults)[]) delete faults[fault]
    await health.probe()
    t.equal(await status(h, 'ready'), 200)
    t.match(lines, [/cannot be written/, /can be written again/])
    t.equal((await putPart(h, id, 1000, bytes.subarray(1000))).json().complete, true)
    const files = [complete, id].map((each) => `${nameOf(each)}.keys`)
    t.same((await readdir(directory)).sort(), [...files, MARKER].sort(), 'no other file is left')
  })
}

t.test('a full disk while a record is written leaves no half key', async (t) => {
  const { h, faults, directory } = await faulty(t)
  const id = await stored(h)
  faults.index = sqliteFull
  isProblem(t, await announce(h), 507, 'TOO_BUSY', FULL)
  t.equal((await h.keys.totals()).sets, 1)
  isProblem(t, await putPart(h, id, 1000, bytes.subarray(1000, 5000)), 507, 'TOO_BUSY', FULL)
  t.equal(await size(directory, id), 1000, 'bytes that no record counts are cut off')
  t.equal((await get(h, id)).json().uploadOffset, 1000)
  t.same((await readdir(directory)).sort(), [`${nameOf(id)}.keys`, MARKER].sort())
  t.same([await status(h, 'ready'), await status(h, 'live')], [503, 200])
  delete faults.index
  t.equal((await putPart(h, id, 1000, bytes.subarray(1000))).json().complete, true)
})

t.test('a key set whose last record could not be written is completed by an empty part', async (t) => {
  const { h, faults } = await faulty(t)
  const id = await stored(h)
  h.engine.checkKeys = async () => {
    faults.index = sqliteFull
    return { galoisElements: (await get(h, id)).json().galoisElements, digest: 'd'.repeat(64) }
  }
  isProblem(t, await putPart(h, id, 1000, bytes.subarray(1000)), 507, 'TOO_BUSY', FULL)
  t.match((await get(h, id)).json(), { uploadOffset: keyBytes, complete: false })
  delete faults.index
  h.engine.checkKeys = async () => ({
    galoisElements: (await get(h, id)).json().galoisElements,
    digest: 'd'.repeat(64),
  })
  t.equal((await putPart(h, id, keyBytes, new Uint8Array())).json().complete, true)
})

t.test('a full disk does not prevent that key sets are deleted', async (t) => {
  const { h, faults, health, directory, state } = await faulty(t)
  const id = await stored(h)
  faults.index = sqliteFull
  t.equal((await h.inject({ method: 'DELETE', url: `/v2/keys/${id}` })).statusCode, 204)
  isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED')
  t.same(await readdir(directory), [MARKER])
  t.equal((await state.keySets.load()).records.size, 1)
  delete faults.index
  await health.probe()
  t.equal((await state.keySets.load()).records.size, 0, 'the record goes once there is room')
})

t.test('a key set that the disk does not let go stays, and is deleted later', async (t) => {
  const { h, faults } = await faulty(t)
  const id = await stored(h)
  Object.assign(faults, { code: 'EROFS', removal: 'EROFS' })
  const refused = await h.inject({ method: 'DELETE', url: `/v2/keys/${id}` })
  isProblem(t, refused, 507, 'TOO_BUSY', { reason: 'read-only' })
  t.equal((await get(h, id)).json().uploadOffset, 1000)
  h.clock.now += 300_000
  await h.keys.sweep()
  isProblem(t, await get(h, id), 410, 'KEYS_EXPIRED', {})
  t.equal((await h.keys.totals()).sets, 1)
  Object.assign(faults, { code: undefined, removal: undefined })
  await h.keys.sweep()
  t.equal((await h.keys.totals()).sets, 0)
})

t.test(
  'troubles of the database are told alike, and images that cannot be given back do not hide them',
  async (t) => {
    const lines: string[] = []
    const note = (_facts: object, message: string): void => void lines.push(message)
    const health = new StorageHealth({ info: note, warn: note }, 3_600_000)
    t.match(health.failed(sqliteFull), { code: 'TOO_BUSY', status: 507, facts: FULL })
    for (const [errcode, reason] of [
      [8, 'read-only'],
      [10 | (3 << 8), 'fault'],
      [14, 'permission'],
    ] as const) {
      const cause = Object.assign(new Error('of SQLite'), { code: 'ERR_SQLITE_ERROR', errcode })
      t.match(health.failed(cause), { status: 507, facts: { reason } })
    }
    t.equal(lines.length, 1)
    const other = new Error('not of the disk')
    t.equal(health.failed(other), other)
    await health.probe()
    t.ok(health.isWritable)
    t.equal(health.failed(other), other)
    t.ok(health.isWritable)
  },
)

t.test('small writes are tried by themselves, now and then', async (t) => {
  const health = new StorageHealth(undefined, 5)
  t.teardown(() => health.close())
  let tries = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  health.addProbe(() => {
    if (++tries < 3) throw sqliteFull
    resolve()
  })
  health.failed(sqliteFull)
  t.notOk(health.isWritable)
  // The timer of the health does not keep the process alive.
  const alive = setInterval(() => {}, 1000)
  await promise
  clearInterval(alive)
  await new Promise(setImmediate)
  t.ok(health.isWritable)
  t.equal(tries, 3)
})

t.test(
  'images that a full database cannot count are 507; those it cannot give back stay counted',
  async (t) => {
    // In a process of its own whose files may not grow: SQLite then cannot write its log.
    const program = `
    const { StateDatabase } = await import(${JSON.stringify(STATE)})
    process.on('SIGXFSZ', () => {})
    const state = await StateDatabase.open(process.argv[1])
    const day = '2030-01-01'
    const outcome = async (images) => {
      try {
        await state.add('clinic', day, images)
        return 'counted'
      } catch (error) {
        return [error.status, error.code]
      }
    }
    let added = 0
    let last
    while (added < 10_000 && (last = await outcome(1)) === 'counted') added++
    console.log(JSON.stringify({ added, last, back: await outcome(-1), kept: (await state.of('clinic', day)).total === added }))`
    const limited = `ulimit -f 64; exec "$0" --input-type=module -e "$1" "$2"`
    const { stdout } = await run('bash', ['-c', limited, process.execPath, program, t.testdir()])
    const { added, ...told } = JSON.parse(stdout)
    t.ok(added > 0 && added < 10_000, `${added} images`)
    t.strictSame(told, { last: [507, 'TOO_BUSY'], back: 'counted', kept: true })
  },
)

t.test('a directory of key sets that goes away is 507 until it is back', async (t) => {
  const { h, health, directory } = await faulty(t)
  const id = await stored(h)
  await rename(directory, `${directory}-away`)
  const fault = { retryAfter: 60, reason: 'fault' }
  isProblem(t, await putPart(h, id, 1000, bytes.subarray(1000)), 507, 'TOO_BUSY', fault)
  const another = (await announce(h)).json().id
  isProblem(t, await putPart(h, another, 0, bytes.subarray(0, 1000)), 507, 'TOO_BUSY', fault)
  await health.probe()
  t.same([await status(h, 'ready'), await status(h, 'live')], [503, 200])
  await rename(`${directory}-away`, directory)
  await health.probe()
  t.equal(await status(h, 'ready'), 200)
  t.equal((await putPart(h, id, 1000, bytes.subarray(1000))).json().complete, true)
})

t.test('an upload whose bytes are gone has expired', async (t) => {
  const { h, directory } = await faulty(t)
  const id = await stored(h)
  await rm(join(directory, `${nameOf(id)}.keys`))
  isProblem(t, await putPart(h, id, 1000, bytes.subarray(1000)), 410, 'KEYS_EXPIRED')
  t.equal(await status(h, 'ready'), 200)
})

for (const code of ['EMFILE', 'ENFILE']) {
  t.test(`${code} while a part is stored is 503, and no trouble of the disk`, async (t) => {
    const { h, faults, health } = await faulty(t)
    const id = await stored(h)
    faults.code = code
    isProblem(t, await putPart(h, id, 1000, bytes.subarray(1000)), 503, 'TOO_BUSY', {})
    t.ok(health.isWritable)
    t.notMatch(h.log(), /fault of the server/)
    delete faults.code
    t.equal((await putPart(h, id, 1000, bytes.subarray(1000))).json().complete, true)
  })
}
