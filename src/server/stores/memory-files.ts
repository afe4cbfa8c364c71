import {
  type KeptLocation,
  type KeySetBytes,
  type KeySetStorage,
  kept,
  type Received,
} from './key-set-bytes.ts'
import type { KeySetRecord, RecordTable } from './key-set-record.ts'
import { LocalIndex } from './local-index.ts'
import { StorageHealth } from './storage-health.ts'

/** Bytes of key sets in memory. */
class MemoryFiles implements KeySetBytes {
  readonly #bytes = new Map<string, Uint8Array>()

  async write(
    name: string,
    { uploadOffset }: KeySetRecord,
    part: AsyncIterable<Uint8Array>,
  ): Promise<Received> {
    const before = (this.#bytes.get(name) ?? new Uint8Array()).subarray(0, uploadOffset)
    const chunks: Uint8Array[] = [before]
    for await (const chunk of part) chunks.push(chunk)
    const after = Buffer.concat(chunks)
    this.#bytes.set(name, after)
    return { uploadOffset: after.length }
  }

  async cut(name: string, { uploadOffset }: KeySetRecord): Promise<void> {
    const bytes = this.#bytes.get(name)
    if (bytes) this.#bytes.set(name, bytes.subarray(0, uploadOffset))
  }

  async remove(name: string): Promise<void> {
    this.#bytes.delete(name)
  }

  async location(name: string): Promise<KeptLocation> {
    return kept({ bytes: this.#bytes.get(name) ?? new Uint8Array() })
  }
}

/** A table for records that need not outlive the process. */
const NO_TABLE: RecordTable = {
  load: async () => ({ records: new Map(), unreadable: [] }),
  save: async () => {},
  saveUses: async () => {},
  remove: async () => {},
}

/** Key sets in memory, for tests and for servers without a disk. They are lost when the process ends. */
export const memoryStorage = (): KeySetStorage => ({
  index: new LocalIndex(NO_TABLE, new Map(), new StorageHealth()),
  bytes: new MemoryFiles(),
})
