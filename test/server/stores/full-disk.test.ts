import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { nameOf } from '../../../src/server/stores/key-store.ts'
import { patterned } from '../support.ts'
import { KeyService } from './key-service-process.ts'

// A file system that is really full. Only root may make one; `storage-trouble.test.ts` does the same with
// faults that it makes itself.

const MEGABYTE = 2 ** 20
const SIZE = 48 * MEGABYTE
const run = promisify(execFile)

// Not a directory of the test runner, which would delete it before it is unmounted.
const disk = await mkdtemp(join(tmpdir(), 'polyveil-full-disk-'))
const mounted = await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', disk]).then(
  () => true,
  () => false,
)
const skip = !mounted && 'This user may not mount a file system'

/** Starts a service on the disk, which is empty before and after. */
async function onDisk(t: Test): Promise<{ data: string; service: KeyService }> {
  const data = join(disk, 'data')
  t.teardown(() => rm(data, { recursive: true, force: true }))
  return { data, service: await KeyService.start(t, data) }
}

/** Fills the disk but for some bytes. @returns a function that empties it again */
async function fill(left: number): Promise<() => Promise<void>> {
  const path = join(disk, 'ballast')
  const { stdout } = await run('df', ['--output=avail', '-B1', disk])
  const free = Number(stdout.trim().split('\n')[1])
  await writeFile(path, new Uint8Array(Math.max(0, free - left)))
  return () => rm(path)
}

async function untilReady(service: KeyService): Promise<void> {
  while ((await service.health('ready')) !== 200) await sleep(20)
}

t.test('a full disk is 507 for uploads, and ends without a restart', { skip }, async (t) => {
  const { data, service } = await onDisk(t)
  const complete = await service.announce(5)
  const small = new Uint8Array(patterned(complete.bytes))
  t.match((await service.put(complete.id, 0, small)).json, { complete: true })
  const { id, bytes } = await service.announce(20)
  const all = new Uint8Array(patterned(bytes))
  t.equal((await service.put(id, 0, all.subarray(0, 1_000_000))).status, 200)
  const empty = await fill(2 * MEGABYTE)

  for (let request = 0; request < 3; request++) {
    const refused = await service.put(id, 1_000_000, all.subarray(1_000_000))
    t.match(refused, { status: 507, json: { code: 'TOO_BUSY', reason: 'full', retryAfter: 60 } })
  }
  t.same([await service.health('ready'), await service.health('live')], [503, 200])
  t.match((await service.get(id)).json, { uploadOffset: 1_000_000, complete: false })
  t.match((await service.get(complete.id)).json, { complete: true })
  const bytesOf = (each: string) => join(data, 'keys', `${nameOf(each)}.keys`)
  t.equal((await stat(bytesOf(id))).size, 1_000_000)
  const files = [complete.id, id].map((each) => `${nameOf(each)}.keys`)
  // The service tries small writes now and then.
  const found = (await readdir(join(data, 'keys'))).filter((file) => file !== 'write-probe')
  t.same(found.sort(), [...files, 'polyveil-key-sets.json'].sort())

  await empty()
  await untilReady(service)
  t.match((await service.put(id, 1_000_000, all.subarray(1_000_000))).json, { complete: true })
})

t.test('announcements on a disk without any room are 507, and leave nothing', { skip }, async (t) => {
  const { data, service } = await onDisk(t)
  const { id } = await service.announce(1)
  const empty = await fill(0)
  let refusals = 0
  for (let request = 0; request < 20; request++) {
    const refused = await service.announce(1000).catch((error: Error) => JSON.parse(error.message))
    if (refused.status === 507) refusals++
  }
  t.ok(refusals > 0, `${refusals} of 20; the log of the database has some room of its own`)
  t.equal(await service.health('ready'), 503)
  t.equal((await service.get(id)).status, 200)
  t.same(await readdir(join(data, 'keys')), ['polyveil-key-sets.json'])

  await t.test('a service starts on a full disk with what it has', async (t) => {
    await service.kill()
    const again = await KeyService.start(t, data)
    t.equal((await again.get(id)).status, 200)
    await empty()
    await untilReady(again)
    t.equal((await again.put(id, 0, new Uint8Array(1000))).status, 200)
  })
})

t.test('a disk that becomes read-only is 507', { skip }, async (t) => {
  const { service } = await onDisk(t)
  const { id } = await service.announce(1)
  t.equal((await service.put(id, 0, new Uint8Array(1000))).status, 200)
  // A bind mount can be made read-only while files below it are open.
  const keys = join(disk, 'data', 'keys')
  await run('mount', ['--bind', keys, keys])
  t.teardown(() => run('umount', [keys]).catch(() => {}))
  await run('mount', ['-o', 'remount,bind,ro', keys])
  const refused = await service.put(id, 1000, new Uint8Array(1000))
  t.match(refused, { status: 507, json: { code: 'TOO_BUSY', reason: 'read-only' } })
  t.same([await service.health('ready'), await service.health('live')], [503, 200])
  t.match((await service.get(id)).json, { uploadOffset: 1000 })
  await run('mount', ['-o', 'remount,bind,rw', keys])
  await untilReady(service)
  t.equal((await service.put(id, 1000, new Uint8Array(1000))).status, 200)
  await run('umount', [keys])
})

t.test(
  'a data directory that the user may not write is 507',
  { skip: process.getuid?.() === 0 && 'Root may write everywhere' },
  async (t) => {
    const data = join(t.testdir(), 'data')
    await mkdir(data)
    const service = await KeyService.start(t, data)
    const { id } = await service.announce(1)
    await chmod(join(data, 'keys'), 0o500)
    t.match(await service.put(id, 0, new Uint8Array(1000)), { status: 507, json: { reason: 'permission' } })
    t.equal(await service.health('ready'), 503)
    await chmod(join(data, 'keys'), 0o700)
    await untilReady(service)
    t.equal((await service.put(id, 0, new Uint8Array(1000))).status, 200)
  },
)

t.teardown(async () => {
  if (mounted) await run('umount', [disk])
  await rm(disk, { recursive: true })
})
