import type { KeySetStorage } from './key-set-bytes.ts'
import type { RemovalReason, RetiredKeySet } from './key-set-index.ts'
import { loggedName, type StoreLog } from './store-log.ts'

/** A key set that was removed. */
export interface RemovedKeySet {
  readonly name: string
  readonly reason: RemovalReason
  readonly owner?: string
}

/** Removes key sets, and tells it: in the log, in counts by reason, and to a callback. */
export class Removals {
  readonly #storage: KeySetStorage
  readonly #log: StoreLog
  readonly #onRemoved: (removed: RemovedKeySet) => void
  readonly #counts = new Map<RemovalReason, number>()

  constructor(storage: KeySetStorage, log: StoreLog, onRemoved: (removed: RemovedKeySet) => void) {
    this.#storage = storage
    this.#log = log
    this.#onRemoved = onRemoved
  }

  /** Key sets that this process removed, by reason. */
  get counts(): ReadonlyMap<RemovalReason, number> {
    return this.#counts
  }

  /** Removes a set, in its turn. @returns whether it was there */
  async remove(name: string, reason: RemovalReason): Promise<boolean> {
    const [retired] = await this.#storage.index.retire([name], reason)
    if (retired === undefined) return false
    await this.finish(retired)
    return true
  }

  /** Removes sets that are retired already, each in its turn. */
  async finishAll(sets: readonly RetiredKeySet[]): Promise<void> {
    const { index } = this.#storage
    await Promise.all(sets.map((retired) => index.alone(retired.name, () => this.finish(retired))))
  }

  /** Removes the bytes of a retired set. The set is as before if they cannot be removed. */
  async finish(retired: RetiredKeySet): Promise<void> {
    const { index, bytes } = this.#storage
    const { name, reason, record } = retired
    try {
      await bytes.remove(name)
    } catch (error) {
      await index.restore(retired)
      throw error
    }
    await index.forget(name)
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1)
    this.#log.info({ keySet: loggedName(name), reason }, 'Deleted a key set')
    this.#onRemoved({ name, reason, owner: record.owner })
  }
}
