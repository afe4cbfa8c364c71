import { type ChildProcess, fork } from 'node:child_process'
import { on, once } from 'node:events'
import { access, mkdir, readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { PolyVeilError } from '../../../src/errors/index.ts'
import { removeOrphans } from '../../../src/server/cluster/key-sets/orphans.ts'
import type { PieceFiles } from '../../../src/server/cluster/key-sets/piece-files.ts'
import { openSharedStorage } from '../../../src/server/cluster/key-sets/shared-storage.ts'
import { withKeySet } from '../../../src/server/stores/key-set-source.ts'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'
import { needsRedis } from '../../support/redis.ts'
import { announce, harness, isProblem, keyBytes, patterned, putPart, query } from '../support.ts'
import { completeSet, DIGEST, inChunks, keySet, PREFIX, SharedStores, storedBytes } from './shared-stores.ts'

const PAUSED = fileURLToPath(new URL('paused-upload.ts', import.meta.url))
/** Lease of processes that end or stand still, in milliseconds. */
const LEASE = 300

const codeOf = (error: unknown): unknown =>
  error instanceof PolyVeilError ? error.code : `another error: ${error}`

/** What became of each call: its value, or the code of its error. */
const outcomes = (calls: readonly Promise<unknown>[]): Promise<unknown[]> =>
  Promise.all(calls.map((call) => call.catch(codeOf)))

t.test('what one store does, the others see', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const [{ store: a }, { store: b }, { store: c }] = [
    await shared.open(),
    await shared.open(),
    await shared.open(),
  ]
  const bytes = patterned(300_001)
  const { id, record } = await a.create(keySet(bytes.length), 'tenant:one')
  t.strictSame(await b.get(id), record)
  await b.append(id, 0, inChunks(bytes.subarray(0, 200_000)))
  t.match(await c.get(id), { uploadOffset: 200_000 })
  await c.append(id, 200_000, inChunks(bytes.subarray(200_000)))
  let checks = 0
  const verify = async () => {
    checks++
    return DIGEST
  }
  await Promise.all([a, b, c].map((store) => store.complete(id, verify)))
  t.equal(checks, 1, 'a set is checked once')
  for (const store of [a, b, c]) {
    t.match(await store.get(id), { ...DIGEST, uploadOffset: 300_001, owner: 'tenant:one' })
    t.ok(Buffer.from(bytes).equals(await storedBytes(store, id)))
    t.strictSame(await store.totals(), { sets: 1, bytes: 300_001, live: 1, uploads: 0 })
  }
  shared.clock.now += 5
  await b.use(id)
  t.equal((await c.get(id)).used, shared.clock.now)
  t.strictSame(
    (await c.live()).map(([name, { used }]) => [name, used]),
    [[nameOf(id), shared.clock.now]],
  )
})

t.test('a set of several pieces is read like one file', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store } = await shared.open()
  const bytes = patterned(5000)
  const { id } = await store.create(keySet(bytes.length))
  for (const [from, to] of [
    [0, 1],
    [1, 1700],
    [1700, 1701],
    [1701, 5000],
  ]) {
    await store.append(id, from, inChunks(bytes.subarray(from, to), 100))
  }
  using located = await store.location(id)
  await withKeySet(located.location, async (source) => {
    t.equal(source.size, 5000)
    const cuts = [0, 1, 2, 999, 1699, 1700, 1701, 1702, 4999, 5000, 5001]
    for (const from of cuts) {
      for (const length of [0, 1, 2, 1000, 5000, 6000]) {
        const read = await source.read(from, length)
        t.ok(Buffer.from(bytes.subarray(from, from + length)).equals(read), `${length} bytes from ${from}`)
      }
    }
  })
})

t.test('a key set is announced, uploaded, used and deleted at different services', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const start = async () => {
    const now = () => Date.UTC(2030, 0, 1)
    const health = new StorageHealth()
    const options = { place: shared.directory, health, prefix: PREFIX, now, callMilliseconds: 1000 }
    return harness(t, { keySets: await openSharedStorage(shared.redis.connect(), options) })
  }
  const [a, b, c] = [await start(), await start(), await start()]
  t.teardown(() => Promise.all([a, b, c].map(({ keys }) => keys.close())))
  const { id } = (await announce(a)).json()
  const bytes = patterned(keyBytes)
  t.equal((await putPart(b, id, 0, bytes.subarray(0, 5000))).json().uploadOffset, 5000)
  isProblem(t, await putPart(a, id, 0, bytes), 409, 'TENSOR_MALFORMED', { uploadOffset: 5000 })
  t.match((await putPart(c, id, 5000, bytes.subarray(5000))).json(), { complete: true })
  t.same(
    [a, b, c].map(({ engine }) => engine.checked),
    [0, 0, 1],
  )
  t.equal((await a.inject(query(id))).statusCode, 200)
  const [{ keys }] = a.engine.jobs
  t.ok(Buffer.from(bytes).equals(await withKeySet(keys.location, (source) => source.read(0, source.size))))
  t.match((await b.inject({ url: '/metrics' })).body, /^polyveil_key_sets 1$/m)
  t.equal((await b.inject({ method: 'DELETE', url: `/v2/keys/${id}` })).statusCode, 204)
  isProblem(t, await c.inject(query(id)), 410, 'KEYS_EXPIRED')
  while (a.engine.forgotten.length === 0) await sleep(5)
  t.same(a.engine.forgotten, [nameOf(id)], 'workers free the keys')
  await shared.redis.kill()
  isProblem(t, await a.inject({ url: `/v2/keys/${id}` }), 503, 'TOO_BUSY', { retryAfter: 5 })
  const { statusCode, body } = await a.inject({ url: '/metrics' })
  t.equal(statusCode, 200)
  t.match(body, /^polyveil_key_sets nan$/im, 'metrics say that it is not known')
})

t.test('of parts at one offset that come to several stores, one wins', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const stores = await Promise.all([1, 2, 3].map(() => shared.open()))
  const { id } = await stores[0].store.create(keySet(1_000_000))
  let expected = Buffer.alloc(0)
  for (let round = 0; round < 10; round++) {
    const parts = stores.map((_, writer) => patterned(5000 + 701 * writer, round * 3 + writer))
    const { length } = expected
    const calls = stores.map(({ store }, writer) => store.append(id, length, inChunks(parts[writer], 999)))
    const answers = await outcomes(calls)
    const won = answers.findIndex((answer) => typeof answer === 'object')
    t.same(answers.filter((answer) => answer === 'TENSOR_MALFORMED').length, 2, `round ${round}`)
    expected = Buffer.concat([expected, parts[won]])
    t.equal((await stores[0].store.get(id)).uploadOffset, expected.length)
    t.ok(expected.equals(await storedBytes(stores[1].store, id)), 'the bytes are those of the winner')
  }
  t.equal((await readdir(join(shared.directory, nameOf(id)))).length, 10, 'losers leave nothing')
})

t.test('announcements of several stores do not take the same room', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const limits = { maxTotalBytes: 75, maxUploadsPerOwner: 100 }
  const stores = await Promise.all([1, 2, 3].map(() => shared.open(limits)))
  const calls = Array.from({ length: 30 }, (_, i) =>
    stores[i % 3].store.create(keySet(10), `owner ${i}`, `network ${i}`),
  )
  const answers = await outcomes(calls)
  t.equal(answers.filter((answer) => answer === 'TOO_BUSY').length, 23)
  t.match(await stores[2].store.totals(), { sets: 7, bytes: 70, uploads: 7 })

  await t.test('uploads of an owner and of a network count in all stores', async (t) => {
    const other = await SharedStores.start(t)
    const [{ store: a }, { store: b }] = [await other.open(), await other.open()]
    const both = [a, b, a, b, a, b]
    const ofOwner = await outcomes(both.map((store) => store.create(keySet(10), 'one', 'net')))
    t.equal(ofOwner.filter((answer) => answer === 'TOO_BUSY').length, 2)
    const ofNetwork = await outcomes(
      Array.from({ length: 20 }, (_, i) => both[i % 2].create(keySet(10), `owner ${i}`, 'net')),
    )
    t.equal(ofNetwork.filter((answer) => answer === 'TOO_BUSY').length, 8, '16 of one network')
    other.clock.now += 1000
    t.ok(await b.create(keySet(10), 'one', 'net'), 'expired uploads do not count')
  })
})

t.test('the least recently used set of an owner goes, whichever store used it', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const limits = { maxSetsPerOwner: 3 }
  const [a, b] = [await shared.open(limits), await shared.open(limits)]
  const other = await completeSet(b.store, patterned(10), 'tenant:two')
  const ids: string[] = []
  for (let i = 0; i < 3; i++) {
    shared.clock.now += 10
    ids.push(await completeSet([a, b][i % 2].store, patterned(20 + i), 'tenant:one'))
  }
  shared.clock.now += 10
  await b.store.use(ids[0])
  shared.clock.now += 10
  const told: string[] = []
  b.store.watch((name) => void told.push(name))
  // The subscription is there once the channel has a listener.
  while (Number((await shared.redis.connect().pubsub('NUMSUB', `${PREFIX}forgotten`))[1]) < 1) await sleep(5)
  const latest = await completeSet(a.store, patterned(30), 'tenant:one')
  const states = await outcomes([other, ...ids, latest].map((id) => b.store.get(id)))
  t.same(
    states.map((state) => (typeof state === 'string' ? state : 'there')),
    ['there', 'there', 'KEYS_EXPIRED', 'there', 'there'],
  )
  t.same(
    a.removed.map(({ name, reason, owner }) => [name, reason, owner]),
    [[nameOf(ids[1]), 'made room for its owner', 'tenant:one']],
  )
  t.same(b.removed, [], 'the store that removes a set records it, and no other one')
  while (told.length === 0) await sleep(5)
  t.same(told, [nameOf(ids[1])], 'and all are told')
  await t.rejects(access(join(shared.directory, nameOf(ids[1]))), { code: 'ENOENT' })
  t.strictSame(await a.store.totals(), { sets: 4, bytes: 82, live: 4, uploads: 0 })
})

t.test("in a full store an owner's own sets make room, in one step", needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const limits = { maxSets: 4, maxUploadsPerOwner: 100 }
  const [a, b] = [await shared.open(limits), await shared.open(limits)]
  for (let i = 0; i < 3; i++) await completeSet(a.store, patterned(10 + i), 'one')
  await completeSet(b.store, patterned(20), 'two')
  const answers = await outcomes([a, b, a, b].map(({ store }, i) => store.create(keySet(30 + i), 'one')))
  t.equal(answers.filter((answer) => answer === 'TOO_BUSY').length, 1, 'three sets could go')
  t.match(await b.store.totals(), { sets: 4, uploads: 3 })
  t.equal(a.removed.length + b.removed.length, 3)
})

t.test('sets that expire are removed once, by one of the stores', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const stores = await Promise.all([1, 2, 3].map(() => shared.open()))
  const [{ store }] = stores
  const id = await completeSet(store, patterned(10), 'one')
  const uploads = await Promise.all([1, 2, 3].map((i) => store.create(keySet(10 + i), `owner ${i}`)))
  shared.clock.now += 1000
  await Promise.all(stores.map((each) => each.store.sweep()))
  const removed = stores.flatMap((each) => each.removed)
  t.same(
    removed.map(({ reason }) => reason),
    Array(3).fill('upload given up'),
  )
  t.same(removed.map(({ name }) => name).sort(), uploads.map((each) => nameOf(each.id)).sort())
  shared.clock.now += 1_000_000
  t.same(await outcomes([stores[1].store.get(id)]), ['KEYS_EXPIRED'])
  await Promise.all(stores.map((each) => each.store.sweep()))
  t.equal(stores.flatMap((each) => each.removed).length, 4)
  t.strictSame(await store.totals(), { sets: 0, bytes: 0, live: 0, uploads: 0 })
  const redis = shared.redis.connect()
  t.same(await redis.keys('*'), [`${PREFIX}version`], 'nothing is left in Redis')
  t.equal((await readdir(shared.directory)).length, 1, 'and only the marker in the directory')
})

t.test('a set that comes in too many parts is refused', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store, bytes } = await shared.open()
  const { id, record } = await store.create(keySet(100_000))
  const piece = { tag: '0'.repeat(16), bytes: 1, digest: '0'.repeat(64) }
  const many = { ...record, uploadOffset: 20_000, pieces: Array(20_000).fill(piece) }
  const part = inChunks(patterned(1))
  await t.rejects(bytes.write(nameOf(id), many, part), { code: 'TOO_LARGE', facts: { maxParts: 20_000 } })
})

t.test('bytes without a record go when they are as old as a set becomes', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store, bytes, index } = await shared.open()
  const ids = [1, 2, 3].map(() => completeSet(store, patterned(10), 'one'))
  const [gone, young, there] = await Promise.all(ids)
  const pieces = bytes as PieceFiles
  const directory = (id: string) => join(shared.directory, nameOf(id))
  for (const id of [gone, there]) await utimes(directory(id), 1000, 1000)
  for (const id of [gone, young]) await index.retire([nameOf(id)], 'expired')
  await mkdir(join(shared.directory, 'another'))
  await utimes(join(shared.directory, 'another'), 1000, 1000)
  t.equal(await removeOrphans(index, pieces, 1_000_001), 1)
  await t.rejects(access(directory(gone)), { code: 'ENOENT' })
  for (const each of [directory(young), directory(there), join(shared.directory, 'another')])
    await access(each)
})

t.test('a removal whose process ended in between is ended by another one', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const [a, b] = [await shared.open(), await shared.open()]
  const id = await completeSet(a.store, patterned(1000), 'one')
  await a.index.retire([nameOf(id)], 'deleted by its client')
  t.same(await outcomes([b.store.get(id)]), ['KEYS_EXPIRED'], 'it is not found any more')
  t.match(await b.store.totals(), { sets: 0, bytes: 0 })
  await b.store.sweep()
  await access(join(shared.directory, nameOf(id)))
  shared.clock.now += 60_000
  await b.store.sweep()
  t.match(b.removed, [{ name: nameOf(id), reason: 'deleted by its client', owner: 'one' }])
  await t.rejects(access(join(shared.directory, nameOf(id))), { code: 'ENOENT' })
})

t.test('a set whose bytes cannot be removed counts again', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store, bytes } = await shared.open()
  const id = await completeSet(store, patterned(1000), 'one')
  shared.clock.now += 7
  await store.use(id)
  const before = await store.get(id)
  const remove = bytes.remove.bind(bytes)
  bytes.remove = () => Promise.reject(new Error('no'))
  await t.rejects(store.delete(id), { message: 'no' })
  t.strictSame(await store.get(id), before)
  t.match(await store.totals(), { sets: 1, bytes: 1000, live: 1 })
  bytes.remove = remove
  await store.delete(id)
  t.match(await store.totals(), { sets: 0, bytes: 0 })
})

/** What a process tells next. The test runner has messages of its own. */
async function toldBy(child: ChildProcess): Promise<unknown> {
  for await (const [message] of on(child, 'message')) if ('told' in message) return message.told
}

/** Starts a process that writes half of a part, and waits until it has. */
async function pausedUpload(
  t: Test,
  shared: SharedStores,
  id: string,
  offset: number,
): Promise<ChildProcess> {
  const args = [shared.redis.port, shared.directory, PREFIX, id, offset, 4000, shared.clock.now, LEASE]
  const child = fork(PAUSED, args.map(String), { stdio: 'inherit' })
  t.teardown(() => child.kill('SIGKILL'))
  t.equal(await toldBy(child), 'half')
  return child
}

t.test('an upload whose process is killed in the middle of a part goes on', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store } = await shared.open()
  const bytes = patterned(10_000)
  const { id } = await store.create(keySet(bytes.length))
  await store.append(id, 0, inChunks(bytes.subarray(0, 3000)))
  const child = await pausedUpload(t, shared, id, 3000)
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
  t.equal((await store.get(id)).uploadOffset, 3000)
  await store.append(id, 3000, inChunks(bytes.subarray(3000)))
  t.ok(Buffer.from(bytes).equals(await storedBytes(store, id)))
  const files = () => readdir(join(shared.directory, nameOf(id)))
  t.equal((await files()).length, 3, 'a piece of the dead process')
  await store.complete(id, async () => DIGEST)
  t.equal((await files()).length, 2, 'which goes when the set is complete')
})

t.test('a process that stands still loses its turn, and does not spoil the upload', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store } = await shared.open()
  const bytes = patterned(10_000)
  const { id } = await store.create(keySet(bytes.length))
  for (const completes of [false, true]) {
    const { uploadOffset } = await store.get(id)
    const child = await pausedUpload(t, shared, id, uploadOffset)
    child.kill('SIGSTOP')
    // This waits until the lease of the other process has ended.
    const end = completes ? bytes.length : 5000
    await store.append(id, uploadOffset, inChunks(bytes.subarray(uploadOffset, end)))
    if (completes) await store.complete(id, async () => DIGEST)
    const answer = toldBy(child)
    child.kill('SIGCONT')
    child.send('go on')
    const outcome = await answer
    t.equal(outcome, 'TOO_BUSY')
    t.equal((await store.get(id)).uploadOffset, end)
    t.ok(Buffer.from(bytes.subarray(0, end)).equals(await storedBytes(store, id)))
  }
})

t.test('an announcement costs as many commands in a full Redis as in an empty one', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store, index } = await shared.open({ maxSets: 1e6, maxSetsPerOwner: 2 })
  const redis = shared.redis.connect()
  const ownSets = async () => {
    shared.clock.now += 10
    for (let i = 0; i < 2; i++) await completeSet(store, patterned(10 + i), 'one')
  }
  const commands = async (): Promise<number> => {
    await ownSets()
    await redis.config('RESETSTAT')
    await store.create(keySet(10), 'one')
    const stats = await redis.info('commandstats')
    shared.clock.now += 1000
    await store.sweep()
    return [...stats.matchAll(/calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0)
  }
  await store.create(keySet(10), 'first')
  const few = await commands()
  const record = { ...keySet(7), uploadOffset: 7, ...DIGEST, expires: 1e13, used: 1e12 }
  for (let i = 0; i < 3000; i++) {
    const { version } = await index.view('', '', 0)
    const owner = `owner ${i % 1000}`
    await index.announce(nameOf(`set ${i}`), { ...record, owner, network: owner }, [], version)
  }
  t.equal(await commands(), few, `${few} commands`)
  t.equal((await store.totals()).sets, 3002)
})

t.test('a Redis that is away is TOO_BUSY, and what it has lost is gone', needsRedis, async (t) => {
  const shared = await SharedStores.start(t)
  const { store } = await shared.open({}, { callMilliseconds: 1000 })
  const id = await completeSet(store, patterned(1000), 'one')
  const { id: half } = await store.create(keySet(10), 'one')
  await shared.redis.kill()
  const calls = [
    store.get(id),
    store.use(id),
    store.create(keySet(10)),
    store.append(half, 0, inChunks(patterned(10))),
    store.delete(id),
    store.totals(),
  ]
  t.same(await outcomes(calls), Array(calls.length).fill('TOO_BUSY'))
  await t.rejects(store.get(id), { facts: { retryAfter: 5 }, message: /Redis that they share/ })
  await t.rejects(store.sweep(), { code: 'TOO_BUSY' })
  await shared.redis.start()
  while ((await outcomes([store.totals()]))[0] === 'TOO_BUSY') await sleep(20)
  t.same(await outcomes([store.get(id), store.append(half, 0, inChunks(patterned(10)))]), [
    'KEYS_EXPIRED',
    'KEYS_EXPIRED',
  ])
  t.ok(await completeSet(store, patterned(999), 'one'), 'the service goes on')
})
