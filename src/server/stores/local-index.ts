import { noSuchKeySet } from './key-set-errors.ts'
import type {
  Amount,
  KeySetIndex,
  RemovalReason,
  RetiredKeySet,
  RoomView,
  Totals,
  Turn,
} from './key-set-index.ts'
import type { KeySetRecord, NamedKeySet, RecordTable } from './key-set-record.ts'
import { bytesOf } from './room.ts'
import { Serial } from './serial.ts'
import type { StorageHealth } from './storage-health.ts'
import { StorageTrouble } from './storage-trouble.ts'

/**
 * Records that one process holds in memory, in front of a table on its disk. A record is in the table when a
 * method returns; times of use are written by `flush`.
 */
export class LocalIndex implements KeySetIndex {
  readonly #table: RecordTable
  readonly #records: Map<string, KeySetRecord>
  readonly #health: StorageHealth
  readonly #serial = new Serial()
  /** Times of use that the table does not have yet, by name. */
  readonly #uses = new Map<string, number>()
  /** Names of forgotten sets whose records the table still has. */
  readonly #unremoved = new Set<string>()
  readonly #watchers: ((name: string) => void)[] = []
  #version = 0

  /** @param records those of the table that have their bytes; mutated */
  constructor(table: RecordTable, records: Map<string, KeySetRecord>, health: StorageHealth) {
    this.#table = table
    this.#records = records
    this.#health = health
    health.addProbe(() => this.#removeRecords())
  }

  async get(name: string): Promise<KeySetRecord | undefined> {
    return this.#records.get(name)
  }

  async view(owner: string, network: string, now: number): Promise<RoomView> {
    const all = [...this.#records]
    const ofOwner = all.filter(([, record]) => record.owner === owner && record.expires > now)
    const ofNetwork = all.map(([, record]) => record).filter((record) => record.network === network)
    const completeOfOwner = ofOwner.filter(([, { digest }]) => digest !== undefined)
    return {
      version: this.#version,
      all: amountOf([...this.#records.values()]),
      ofNetwork: amountOf(ofNetwork),
      uploadsOfOwner: ofOwner.length - completeOfOwner.length,
      uploadsOfNetwork: ofNetwork.filter((record) => isUpload(record, now)).length,
      completeOfOwner: completeOfOwner.sort(([, a], [, b]) => (a.used ?? 0) - (b.used ?? 0)),
    }
  }

  async announce(
    name: string,
    record: KeySetRecord,
    going: readonly string[],
    version: number,
  ): Promise<readonly RetiredKeySet[] | undefined> {
    if (version !== this.#version) return undefined
    // The set counts before anything is awaited, so that two concurrent calls cannot take the same room.
    this.#version++
    this.#records.set(name, record)
    const retired = this.#retired(going, 'made room for its owner')
    try {
      await this.#write(name, record)
    } catch (error) {
      this.#records.delete(name)
      for (const each of retired) await this.restore(each)
      throw error
    }
    return retired
  }

  async use(name: string, now: number): Promise<KeySetRecord | undefined> {
    const record = this.#records.get(name)
    if (record === undefined) return undefined
    const used = { ...record, used: now }
    this.#records.set(name, used)
    this.#uses.set(name, now)
    return used
  }

  alone<T>(name: string, action: (turn: Turn) => Promise<T>): Promise<T> {
    return this.#serial.run(name, () =>
      action({ record: this.#records.get(name), save: (record) => this.#save(name, record) }),
    )
  }

  async #save(name: string, record: KeySetRecord): Promise<void> {
    if (!this.#records.has(name)) throw noSuchKeySet()
    await this.#write(name, record)
    // Sets that make room for others are retired outside of their turn.
    if (!this.#records.has(name)) throw noSuchKeySet()
    this.#records.set(name, record)
  }

  async retire(names: readonly string[], reason: RemovalReason): Promise<readonly RetiredKeySet[]> {
    return this.#retired(names, reason)
  }

  #retired(names: readonly string[], reason: RemovalReason): RetiredKeySet[] {
    return names.flatMap((name) => {
      const record = this.#records.get(name)
      this.#records.delete(name)
      return record === undefined ? [] : [{ name, record, reason }]
    })
  }

  async restore({ name, record }: RetiredKeySet): Promise<void> {
    this.#version++
    this.#records.set(name, record)
  }

  /** The table is changed later when the disk refuses it now. */
  async forget(name: string): Promise<void> {
    this.#uses.delete(name)
    this.#unremoved.add(name)
    try {
      await this.#health.guard(() => this.#removeRecords())
    } catch (error) {
      if (!(error instanceof StorageTrouble)) throw error
    }
    for (const onForgotten of this.#watchers) onForgotten(name)
  }

  /**
   * None: records without bytes, which an earlier process has left, were removed when the table was loaded.
   */
  async unfinished(): Promise<readonly RetiredKeySet[]> {
    return []
  }

  async expired(now: number): Promise<readonly string[]> {
    return [...this.#records].filter(([, { expires }]) => expires <= now).map(([name]) => name)
  }

  async list(): Promise<readonly NamedKeySet[]> {
    return [...this.#records]
  }

  async totals(now: number): Promise<Totals> {
    const all = [...this.#records.values()]
    return {
      ...amountOf(all),
      live: all.filter(({ expires }) => expires > now).length,
      uploads: all.filter((record) => isUpload(record, now)).length,
    }
  }

  async flush(): Promise<void> {
    if (this.#uses.size === 0) return
    const uses = new Map(this.#uses)
    await this.#health.guard(() => this.#table.saveUses(uses))
    for (const [name, used] of uses) if (this.#uses.get(name) === used) this.#uses.delete(name)
  }

  watch(onForgotten: (name: string) => void): void {
    this.#watchers.push(onForgotten)
  }

  async close(): Promise<void> {
    this.#watchers.length = 0
  }

  #write(name: string, record: KeySetRecord): Promise<void> {
    return this.#health.guard(() => this.#table.save(new Map([[name, record]])))
  }

  async #removeRecords(): Promise<void> {
    const names = [...this.#unremoved]
    if (names.length > 0) await this.#table.remove(names)
    for (const name of names) this.#unremoved.delete(name)
  }
}

const amountOf = (records: readonly KeySetRecord[]): Amount => ({
  sets: records.length,
  bytes: bytesOf(records),
})

const isUpload = ({ digest, expires }: KeySetRecord, now: number): boolean =>
  digest === undefined && expires > now
