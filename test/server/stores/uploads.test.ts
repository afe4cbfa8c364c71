import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { KeyStore, nameOf } from '../../../src/server/stores/key-store.ts'
import { memoryStorage } from '../../../src/server/stores/memory-files.ts'
import { isThorough } from '../../support/thorough.ts'
import { patterned } from '../support.ts'
import { KeyService } from './key-service-process.ts'

const MEGABYTE = 2 ** 20
const PART = 16 * MEGABYTE
const KILLS = isThorough ? 10 : 3
const ROUNDS = 25
const stored = (data: string, id: string) => readFile(join(data, 'keys', `${nameOf(id)}.keys`))
const part = (seed: number, length: number) => new Uint8Array(patterned(length, seed))

t.test(
  'of parts at one offset that come at once, one wins, and the others learn where to go on',
  async (t) => {
    const data = t.testdir()
    const service = await KeyService.start(t, data)
    const { id } = await service.announce(100)
    let expected = Buffer.alloc(0)
    for (let round = 0; round < ROUNDS; round++) {
      // Parts of different lengths and contents, so that a mixture would show.
      const parts = [0, 1, 2].map((writer) => part(round * 3 + writer, 300_000 + 70_001 * writer))
      const answers = await Promise.all(parts.map((each) => service.put(id, expected.length, each)))
      const won = answers.findIndex(({ status }) => status === 200)
      t.same(answers.map(({ status }) => status).sort(), [200, 409, 409], `round ${round}`)
      expected = Buffer.concat([expected, parts[won]])
      for (const { json } of answers) t.equal(json.uploadOffset, expected.length)
      t.ok(expected.equals(await stored(data, id)), 'the bytes are those of the winner')
    }
  },
)

t.test('an upload whose service is killed goes on at the offset that was stored', async (t) => {
  const data = t.testdir()
  let service = await KeyService.start(t, data)
  const { id, bytes } = await service.announce(100)
  const all = part(0, bytes)
  let acknowledged = 0
  let kills = 0
  let offset = 0
  while (offset < bytes) {
    const isKilled = kills < KILLS
    // Each kill comes at another moment: before, in, or after one of the parts.
    if (isKilled) void sleep((kills * 13) % 60).then(() => service.kill())
    try {
      while (offset < bytes) {
        const length = Math.min(isKilled ? 500_000 : PART, bytes - offset)
        const { status, json } = await service.put(id, offset, all.subarray(offset, offset + length))
        if (status !== 200) throw new Error(JSON.stringify(json))
        offset = Number(json.uploadOffset)
        acknowledged = offset
      }
    } catch (error) {
      if (!isKilled) throw error
    }
    if (!isKilled) break
    kills++
    service = await KeyService.start(t, data)
    const { status, json } = await service.get(id)
    t.equal(status, 200)
    offset = Number(json.uploadOffset)
    t.ok(offset >= acknowledged, `${offset} of ${acknowledged} acknowledged bytes`)
    const found = await stored(data, id).catch(() => Buffer.alloc(0))
    t.ok(found.equals(all.subarray(0, offset)), 'the file has these bytes and no others')
  }
  t.equal(kills, KILLS)
  t.match((await service.get(id)).json, { complete: true, uploadOffset: bytes })
  t.ok(Buffer.from(all).equals(await stored(data, id)))
})

t.test('memory does not grow with the size of a key set', async (t) => {
  const galoisKeys = isThorough ? 1900 : 250
  const service = await KeyService.start(t, t.testdir())
  const piece = part(1, PART)
  // The first upload takes buffers that all others use again.
  const first = await service.announce(20)
  t.match((await service.put(first.id, 0, piece.subarray(0, first.bytes))).json, { complete: true })
  const before = await service.peakBytes()
  const { id, bytes } = await service.announce(galoisKeys)
  if (isThorough) t.ok(bytes > 1e9)
  let last: unknown
  for (let offset = 0; offset < bytes; offset += PART) {
    const { status, json } = await service.put(id, offset, piece.subarray(0, Math.min(PART, bytes - offset)))
    t.equal(status, 200)
    last = json
  }
  t.match(last, { complete: true, uploadOffset: bytes })
  const grown = (await service.peakBytes()) - before
  t.comment(`${Math.round(bytes / MEGABYTE)} MB, and ${Math.round(grown / MEGABYTE)} MB of memory more`)
  t.ok(grown < 64 * MEGABYTE, `${grown} bytes`)
})

t.test('a removal does not wait for parts that are stuck on their way', async (t) => {
  const limits = { ttlMilliseconds: 1e6, maxSets: 10, maxSetBytes: 1e6, maxTotalBytes: 1e7 }
  const store = await KeyStore.open(memoryStorage(), limits)
  const removals: [string, (id: string) => Promise<unknown>][] = [
    ['its client', (id) => store.delete(id)],
    ['an operator', (id) => store.deleteNamed(nameOf(id))],
  ]
  for (const [who, remove] of removals) {
    const { id } = await store.create({ parametersDigest: 'p', galoisElements: [], bytes: 100 })
    const stuck = async function* () {
      yield new Uint8Array(10)
      await new Promise(() => {})
    }
    const parts = [store.append(id, 0, stuck()), store.append(id, 0, stuck())]
    const refused = parts.map((each) => t.rejects(each, { code: 'KEYS_EXPIRED' }, who))
    await sleep(10)
    await remove(id)
    await Promise.all(refused)
    await t.rejects(store.get(id), { code: 'KEYS_EXPIRED' })
  }
})

t.test('a part takes over from one at the same offset that has been silent for some seconds', async (t) => {
  const limits = { ttlMilliseconds: 1e6, maxSets: 10, maxSetBytes: 1e6, maxTotalBytes: 1e7 }
  const store = await KeyStore.open(memoryStorage(), limits)
  const { id } = await store.create({ parametersDigest: 'p', galoisElements: [], bytes: 100 })
  /** A connection that the network has lost after ten bytes. */
  const lost = async function* () {
    yield new Uint8Array(10)
    await new Promise(() => {})
  }
  /** A slow one. */
  const slow = async function* () {
    for (let i = 0; i < 7; i++) {
      yield new Uint8Array(1)
      await sleep(1000)
    }
  }
  const begun = performance.now()
  const dead = t.rejects(store.append(id, 0, lost()), { code: 'TOO_BUSY' })
  const whole = async function* () {
    yield part(1, 50)
  }
  t.match(await store.append(id, 0, whole()), { uploadOffset: 50 })
  await dead
  t.ok(performance.now() - begun < 10_000)

  const first = store.append(id, 50, slow())
  const second = t.rejects(store.append(id, 50, whole()), { code: 'TENSOR_MALFORMED' })
  t.match(await first, { uploadOffset: 57 }, 'a part that is slow and not silent is stored')
  await second
})
