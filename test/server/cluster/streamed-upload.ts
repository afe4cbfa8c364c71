// A process that uploads a key set to S3 by parts, reads it back, and prints its memory in bytes: after a
// small set, and the most of it during the upload.
import { setTimeout as sleep } from 'node:timers/promises'
import { S3Pieces } from '../../../src/server/cluster/key-sets/s3-pieces.ts'
import { withKeySet } from '../../../src/server/stores/key-set-source.ts'
import { KeyStore, nameOf } from '../../../src/server/stores/key-store.ts'
import { memoryStorage } from '../../../src/server/stores/memory-files.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'

const [address, endpoint, cacheDirectory, parts] = process.argv.slice(2)
const PART = 16 * 2 ** 20
const CHUNK = 65_536
const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }

const health = new StorageHealth()
const s3 = { address, endpoint, region: 'us-east-1', credentials }
const bytes = await S3Pieces.open({ ...s3, cacheDirectory, cacheBytes: 1e9, health })
const limits = { ttlMilliseconds: 1e6, maxSets: 9, maxSetBytes: 1e9, maxTotalBytes: 3e9 }
const store = await KeyStore.open({ index: memoryStorage().index, bytes }, limits)

async function* part(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < PART; sent += CHUNK) {
    yield new Uint8Array(CHUNK).fill(sent / CHUNK)
    // A body that arrives over a network leaves time to others.
    if (sent % (16 * CHUNK) === 0) await sleep(1)
  }
}

async function upload(count: number): Promise<void> {
  const keySet = { parametersDigest: 'a'.repeat(64), galoisElements: [3], bytes: count * PART }
  const { id, record } = await store.create(keySet)
  for (let offset = 0; offset < record.bytes; offset += PART) await store.append(id, offset, part())
  await bytes.drop(nameOf(id))
  using located = await store.location(id)
  await withKeySet(located.location, async (source) => {
    for (let offset = 0; offset < source.size; offset += PART) {
      const read = await source.read(offset, CHUNK)
      if (read.length !== CHUNK) throw new Error(`${read.length} bytes at ${offset}`)
    }
  })
}

let most = 0
await upload(2)
const before = process.memoryUsage.rss()
const timer = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss())
}, 5)
await upload(Number(parts))
clearInterval(timer)
console.log(JSON.stringify({ before, most }))
process.exit()
