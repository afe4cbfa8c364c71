// A process that has a store on the shared Redis and directory of its parent, and sends a part of which the
// second half never comes, or comes when the parent sends a message. It tells when the first half is written,
// and what became of the part.
import { Redis } from 'ioredis'
import { PieceFiles } from '../../../src/server/cluster/key-sets/piece-files.ts'
import { RedisIndex } from '../../../src/server/cluster/key-sets/redis-index.ts'
import { KeyStore } from '../../../src/server/stores/key-store.ts'
import { StorageHealth } from '../../../src/server/stores/storage-health.ts'
import { patterned } from '../support.ts'

const [port, directory, prefix, id, offset, length, now, leaseMilliseconds] = process.argv.slice(2)
const index = new RedisIndex(new Redis(Number(port)), {
  prefix,
  leaseMilliseconds: Number(leaseMilliseconds),
})
const bytes = await PieceFiles.open(directory, new StorageHealth())
const limits = { ttlMilliseconds: 1_000_000, maxSets: 100, maxSetBytes: 1e8, maxTotalBytes: 1e9 }
const store = await KeyStore.open({ index, bytes }, limits, () => Number(now))

async function* part(): AsyncGenerator<Uint8Array> {
  const all = patterned(Number(length), 99)
  yield all.subarray(0, all.length / 2)
  process.send?.({ told: 'half' })
  await new Promise((resolve) => process.on('message', (message) => message === 'go on' && resolve(message)))
  yield all.subarray(all.length / 2)
}

const outcome = await store.append(id, Number(offset), part()).then(
  ({ uploadOffset }) => uploadOffset,
  (error) => error.code,
)
process.send?.({ told: outcome })
process.on('disconnect', () => process.exit())
