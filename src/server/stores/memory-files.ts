import type { KeySetFiles, KeySetLocation, KeySetRecord } from './key-set-record.ts'

/** Key sets in memory, for tests and for servers without a disk. They are lost when the process ends. */
export class MemoryFiles implements KeySetFiles {
  readonly #records = new Map<string, KeySetRecord>()
  readonly #bytes = new Map<string, Uint8Array>()

  async load(): Promise<Map<string, KeySetRecord>> {
    return new Map(this.#records)
  }

  async save(name: string, record: KeySetRecord): Promise<void> {
    this.#records.set(name, record)
  }

  async saveUses(uses: ReadonlyMap<string, number>): Promise<void> {
    for (const [name, used] of uses) {
      const record = this.#records.get(name)
      if (record) this.#records.set(name, { ...record, used })
    }
  }

  async write(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<number> {
    const before = (this.#bytes.get(name) ?? new Uint8Array()).subarray(0, offset)
    const chunks: Uint8Array[] = [before]
    for await (const chunk of part) chunks.push(chunk)
    const after = Buffer.concat(chunks)
    this.#bytes.set(name, after)
    return after.length - offset
  }

  async cut(name: string, offset: number): Promise<void> {
    const bytes = this.#bytes.get(name)
    if (bytes) this.#bytes.set(name, bytes.subarray(0, offset))
  }

  async remove(name: string): Promise<void> {
    this.#records.delete(name)
    this.#bytes.delete(name)
  }

  location(name: string): KeySetLocation {
    return { bytes: this.#bytes.get(name) ?? new Uint8Array() }
  }
}
