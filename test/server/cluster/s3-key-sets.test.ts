import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { S3Pieces } from '../../../src/server/cluster/key-sets/s3-pieces.ts'
import { openSharedStorage } from '../../../src/server/cluster/key-sets/shared-storage.ts'
import { S3Objects } from '../../../src/server/s3/s3-objects.ts'
import { damagedKeySet } from '../../../src/server/stores/key-set-errors.ts'
import { KeyStore, nameOf } from '../../../src/server/stores/key-store.ts'
import { memoryStorage } from '../../../src/server/stores/memory-files.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'
import { needsRedis } from '../../support/redis.ts'
import { BUCKET, S3Server } from '../../support/s3.ts'
import { patterned } from '../support.ts'
import { completeSet, DIGEST, inChunks, keySet, SharedStores, storedBytes } from './shared-stores.ts'

const run = promisify(execFile)
const PREFIX = 'of/a service'
const CONTENTS = { name: 'key sets', missing: damagedKeySet }
const LIMITS = { ttlMilliseconds: 1e6, maxSets: 100, maxSetBytes: 1e8, maxTotalBytes: 1e9 }

/** A service of objects, and what a process needs to use it. */
async function started(t: Test) {
  const directory = await mkdtemp(join(tmpdir(), 'polyveil-s3-'))
  const server = await S3Server.start(join(directory, 'objects'))
  t.teardown(async () => {
    await server.kill()
    await rm(directory, { recursive: true })
  })
  const { endpoint, region, credentials } = server
  const options = { address: `s3://${BUCKET}/${PREFIX}`, endpoint, region, credentials }
  const objects = await S3Objects.open(options, CONTENTS)
  let count = 0
  /** The bytes as one more process has them, with a cache of its own. */
  const pieces = async (cacheBytes = 1e7) => {
    const cache = join(directory, `cache ${count++}`)
    const health = new StorageHealth()
    t.teardown(() => health.close())
    const bytes = await S3Pieces.open({ ...options, cacheDirectory: cache, cacheBytes, health })
    const copies = async () => (await readdir(cache)).filter((file) => !file.startsWith('polyveil'))
    return { bytes, cache, copies }
  }
  /** A store of one process on the objects. */
  const open = async (cacheBytes?: number) => {
    const place = await pieces(cacheBytes)
    const store = await KeyStore.open({ index: memoryStorage().index, bytes: place.bytes }, LIMITS)
    t.teardown(() => store.close())
    return { ...place, store }
  }
  return { directory, server, options, objects, pieces, open }
}

t.test('stores on several machines share sets in S3', needsRedis, async (t) => {
  const { directory, server, objects } = await started(t)
  const shared = await SharedStores.start(t)
  const open = async (cache: string) => {
    const health = new StorageHealth()
    const { endpoint, region, credentials } = server
    const storage = await openSharedStorage(shared.redis.connect(), {
      place: `s3://${BUCKET}/${PREFIX}`,
      cacheDirectory: join(directory, cache),
      cacheBytes: 1e7,
      health,
      endpoint,
      region,
      credentials,
    })
    const store = await KeyStore.open(storage, LIMITS)
    t.teardown(() => store.close())
    const copies = async () => (await readdir(join(directory, cache))).length - 1
    return { store, copies }
  }
  const [a, b] = [await open('one'), await open('two')]
  const bytes = patterned(300_001)
  const { id } = await a.store.create(keySet(bytes.length), 'tenant:one')
  await a.store.append(id, 0, inChunks(bytes.subarray(0, 100_000)))
  await b.store.append(id, 100_000, inChunks(bytes.subarray(100_000)))
  await b.store.append(id, 300_001, inChunks(new Uint8Array()))
  t.same([await a.copies(), await b.copies()], [1, 1], 'each has its part')
  await b.store.complete(id, async () => DIGEST)
  for (const { store } of [a, b]) t.ok(Buffer.from(bytes).equals(await storedBytes(store, id)))
  t.same([await a.copies(), await b.copies()], [2, 2], 'and now both')
  const keys = await objects.keys('')
  t.equal(keys.length, 2)
  t.ok(keys.every((key) => key.startsWith(`${nameOf(id)}/`)))

  await a.store.delete(id)
  await t.rejects(b.store.get(id), { code: 'KEYS_EXPIRED' })
  t.same(await objects.keys(''), [])
  while ((await b.copies()) > 0) await sleep(5)
  t.equal(await a.copies(), 0, 'copies go on all machines')
})

t.test('an object that no record names goes when the set is complete', async (t) => {
  const { objects, pieces } = await started(t)
  const { bytes } = await pieces()
  const { index } = memoryStorage()
  const store = await KeyStore.open({ index, bytes }, LIMITS)
  const { id, record } = await store.create(keySet(1000))
  // As a process that loses its turn: its part is written, and its record is not.
  await bytes.write(nameOf(id), record, inChunks(patterned(400, 5)))
  const all = patterned(1000)
  await store.append(id, 0, inChunks(all))
  t.equal((await objects.keys('')).length, 2)
  await store.complete(id, async () => DIGEST)
  t.equal((await objects.keys('')).length, 1)
  t.ok(Buffer.from(all).equals(await storedBytes(store, id)))
})

t.test('all objects of a set are found, also beyond one page', async (t) => {
  const { directory, objects, pieces } = await started(t)
  const { bytes } = await pieces()
  const file = join(directory, 'piece')
  await writeFile(file, 'x')
  const name = nameOf('of many pieces')
  const put = (i: number) => objects.put(`${name}/${i}-x`, file, 1, 'ab'.repeat(32))
  for (let i = 0; i < 1008; i += 16) await Promise.all(Array.from({ length: 16 }, (_, j) => put(i + j)))
  await objects.put('another/0-x', file, 1, 'ab'.repeat(32))
  t.equal((await objects.keys(`${name}/`)).length, 1008)
  await bytes.remove(name)
  t.same(await objects.keys(''), ['another/0-x'])
})

t.test('local copies keep within their bytes, and those in use stay', async (t) => {
  const { open, pieces } = await started(t)
  const { store, cache, copies } = await open(2500)
  const sets = [1000, 1001, 1002, 1003].map((length, i) => patterned(length, i))
  const ids: string[] = []
  for (const bytes of sets) {
    ids.push(await completeSet(store, bytes, 'one'))
    const sizes = await Promise.all(
      (await copies()).map(async (file) => (await stat(join(cache, file))).size),
    )
    t.ok(sizes.reduce((sum, size) => sum + size, 0) <= 2500, `${sizes}`)
  }
  const of = async (id: string) => (await copies()).some((file) => file.startsWith(nameOf(id)))
  t.same(await Promise.all(ids.map(of)), [false, false, true, true])
  const first = await store.location(ids[0])
  t.same(await Promise.all(ids.map(of)), [true, false, false, true], 'the least recently used made room')
  const last = await store.location(ids[3])
  await t.rejects(store.location(ids[1]), { code: 'TOO_BUSY', facts: { retryAfter: 10 } })
  t.same(await Promise.all(ids.map(of)), [true, false, false, true], 'those in use stay')
  await store.delete(ids[3])
  t.ok(await of(ids[3]), 'also when the set is deleted')
  last[Symbol.dispose]()
  first[Symbol.dispose]()
  t.ok(Buffer.from(sets[1]).equals(await storedBytes(store, ids[1])))
  while (await of(ids[3])) await sleep(5)

  const { bytes: small } = await pieces(999)
  const tooLarge = { code: 'TOO_BUSY', status: 507, facts: { bytes: 1001, mostBytes: 999 } }
  await t.rejects(small.location(nameOf(ids[1]), await store.get(ids[1])), tooLarge)
})

t.test('a set that is located twice at once is copied once', async (t) => {
  const { open } = await started(t)
  const { store, bytes, copies } = await open(1500)
  const id = await completeSet(store, patterned(1000), 'one')
  await bytes.drop(nameOf(id))
  const [first, second] = await Promise.all([store.location(id), store.location(id)])
  first[Symbol.dispose]()
  await bytes.drop(nameOf(id))
  t.equal((await copies()).length, 1, 'the second still uses it')
  second[Symbol.dispose]()
  while ((await copies()).length > 0) await sleep(5)
  t.pass('it goes with its last user')
})

t.test('objects that are damaged or gone say so', async (t) => {
  const { directory, objects, open } = await started(t)
  const { store, bytes } = await open()
  const id = await completeSet(store, patterned(1000), 'one')
  const [key] = await objects.keys('')
  const other = join(directory, 'other')
  const damaged = { code: 'KEYS_EXPIRED', facts: { isDamaged: true } }
  for (const content of [patterned(1000, 1), patterned(999), patterned(1001)]) {
    await writeFile(other, content)
    await objects.put(key, other, content.length, '00'.repeat(32))
    await bytes.drop(nameOf(id))
    await t.rejects(store.location(id), damaged, `${content.length} bytes`)
  }
  await objects.remove([key])
  await t.rejects(store.location(id), damaged)
  await writeFile(other, patterned(1000))
  await objects.put(key, other, 1000, '00'.repeat(32))
  t.ok(Buffer.from(patterned(1000)).equals(await storedBytes(store, id)))
})

t.test('S3 that is away is TOO_BUSY, and the upload goes on', async (t) => {
  const { server, open } = await started(t)
  const { store, bytes, copies } = await open()
  const all = patterned(1000)
  const { id } = await store.create(keySet(1000))
  await store.append(id, 0, inChunks(all.subarray(0, 300)))
  await server.kill()
  await t.rejects(store.append(id, 300, inChunks(all.subarray(300))), { code: 'TOO_BUSY' })
  t.equal((await store.get(id)).uploadOffset, 300)
  t.equal((await copies()).length, 1, 'no copy of the refused part')
  await bytes.drop(nameOf(id))
  await t.rejects(store.location(id), { code: 'TOO_BUSY', message: /cannot reach the key sets/ })
  await t.rejects(store.delete(id), { code: 'TOO_BUSY' })
  await server.start()
  await store.append(id, 300, inChunks(all.subarray(300)))
  await store.complete(id, async () => DIGEST)
  t.ok(Buffer.from(all).equals(await storedBytes(store, id)))
})

t.test('a place that cannot be used is named at the start', async (t) => {
  const { directory, options } = await started(t)
  const refusal = (message: RegExp) => ({ code: 'CONFIG_INVALID', message })
  await t.rejects(S3Objects.open({ ...options, address: 's3://' }, CONTENTS), refusal(/no address in S3/))
  await t.rejects(
    S3Objects.open({ ...options, address: 's3://another-bucket' }, CONTENTS),
    refusal(/NoSuchBucket/),
  )
  await t.rejects(
    S3Objects.open({ ...options, endpoint: 'http://127.0.0.1:1' }, CONTENTS),
    refusal(/cannot be reached.*ECONNREFUSED/),
  )
  const health = new StorageHealth()
  const cacheDirectory = join(directory, 'objects')
  await t.rejects(
    S3Pieces.open({ ...options, cacheDirectory, cacheBytes: 1, health }),
    refusal(/holds other things/),
  )
  t.same(await readdir(cacheDirectory), [BUCKET], 'nothing was deleted')

  await t.test('an SDK that is not installed, too', async (t) => {
    const hook = `import { registerHooks } from 'node:module'
      registerHooks({ resolve(specifier, context, next) {
        if (specifier === '@aws-sdk/client-s3') throw new Error('not installed')
        return next(specifier, context)
      } })`
    const module = new URL('../../../src/server/s3/s3-objects.ts', import.meta.url).href
    const program = `const { S3Objects } = await import(${JSON.stringify(module)})
      const error = await S3Objects.open({ address: 's3://some-bucket' }, { name: 'key sets' }).catch((error) => error)
      console.log(JSON.stringify([error.code, error.message, error.remedy]))`
    const args = [
      `--import=data:text/javascript,${encodeURIComponent(hook)}`,
      '--input-type=module',
      '-e',
      program,
    ]
    const { stdout } = await run(process.execPath, args)
    const [code, message, remedy] = JSON.parse(stdout)
    t.match(
      [code, message, remedy],
      ['CONFIG_INVALID', /@aws-sdk\/client-s3/, /npm install @aws-sdk\/client-s3/],
    )
  })
})

t.test('memory does not grow with the size of a key set in S3', async (t) => {
  const { directory, options } = await started(t)
  const program = fileURLToPath(new URL('streamed-upload.ts', import.meta.url))
  const args = [program, options.address, options.endpoint, join(directory, 'cache'), '16']
  const { stdout } = await run(process.execPath, args)
  const { before, most } = JSON.parse(stdout)
  t.ok(most > 0, 'it was measured')
  const grown = most - before
  t.comment(`256 MB, and ${Math.round(grown / 2 ** 20)} MB of memory more`)
  t.ok(grown < 96 * 2 ** 20, `${grown} bytes`)
})
