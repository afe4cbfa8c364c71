import type { KeptLocation } from './key-set-bytes.ts'
import { foreignKeySet } from './key-set-errors.ts'
import type { KeySetRecord } from './key-set-record.ts'
import type { KeyStore } from './key-store.ts'
import type { VerifyKeySet } from './uploads.ts'

/**
 * The key sets that one holder may use: a tenant, or every client of an open service. One of another holder
 * is
 * 404. Only somebody who has its id, 256 secret bits, learns from that that it exists.
 */
export class HeldKeys {
  readonly #store: KeyStore
  readonly #isHeld: (record: KeySetRecord) => boolean
  readonly #onForeign: (id: string) => void

  /** @param onForeign called when a key set of another holder is asked for */
  constructor(store: KeyStore, isHeld: (record: KeySetRecord) => boolean, onForeign: (id: string) => void) {
    this.#store = store
    this.#isHeld = isHeld
    this.#onForeign = onForeign
  }

  /** @throws KEYS_EXPIRED when the holder has no key set of this id, 404 for another's; so do all methods */
  async get(id: string): Promise<KeySetRecord> {
    const record = await this.#store.get(id)
    if (this.#isHeld(record)) return record
    this.#onForeign(id)
    throw foreignKeySet()
  }

  /** As `KeyStore.use`. */
  async use(id: string): Promise<KeySetRecord> {
    await this.get(id)
    return this.#store.use(id)
  }

  /** As `KeyStore.location`. */
  async location(id: string): Promise<KeptLocation> {
    await this.get(id)
    return this.#store.location(id)
  }

  /** As `KeyStore.append`. */
  async append(id: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<KeySetRecord> {
    await this.get(id)
    return this.#store.append(id, offset, part)
  }

  /** As `KeyStore.complete`. */
  async complete(id: string, verify: VerifyKeySet): Promise<KeySetRecord> {
    await this.get(id)
    return this.#store.complete(id, verify)
  }

  /** As `KeyStore.delete`. */
  async delete(id: string): Promise<void> {
    await this.get(id)
    return this.#store.delete(id)
  }
}
