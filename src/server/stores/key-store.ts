import { createHash, randomBytes } from 'node:crypto'
import { PolyVeilError } from '../../errors/index.ts'
import type { KeptLocation, KeySetStorage } from './key-set-bytes.ts'
import { noSuchKeySet, unlessBusy } from './key-set-errors.ts'
import type { RemovalReason, RetiredKeySet, Totals, Turn } from './key-set-index.ts'
import type { KeySetRecord, NamedKeySet } from './key-set-record.ts'
import { type AllLimits, type KeyStoreLimits, withDefaults } from './key-store-limits.ts'
import { Removals, type RemovedKeySet } from './removals.ts'
import { requireFewUploads, setsToReplace, surplusOf } from './room.ts'
import { NO_LOG, type StoreLog } from './store-log.ts'
import { requireLive, Uploads, type VerifyKeySet } from './uploads.ts'

export type NewKeySet = Pick<KeySetRecord, 'parametersDigest' | 'galoisElements' | 'bytes'>

/** Announcements of others that may come between a view of the room and an announcement in it. */
const MOST_TRIES = 1000
const RETRY_SECONDS = 5

/**
 * Key sets by id, which are uploaded in parts, checked, and kept until they expire. An id is an unguessable
 * capability. Files and log lines have only its hash, which does not give access to the set.
 *
 * Each set has an owner, for whom limits count it. The store never removes a set to make room for another
 * owner. Stores of several processes on the same storage obey the limits together.
 */
export class KeyStore {
  readonly #storage: KeySetStorage
  readonly #limits: AllLimits
  readonly #now: () => number
  readonly #removals: Removals
  readonly #uploads: Uploads

  private constructor(
    storage: KeySetStorage,
    limits: KeyStoreLimits,
    now: () => number,
    log: StoreLog,
    onRemoved: (removed: RemovedKeySet) => void,
  ) {
    this.#storage = storage
    this.#limits = withDefaults(limits)
    this.#now = now
    this.#removals = new Removals(storage, log, onRemoved)
    this.#uploads = new Uploads(storage, this.#limits, this.#removals, now)
  }

  /**
   * Opens a store on the records and bytes of `storage`, and removes expired sets.
   *
   * @param log gets each key set that this store removes
   * @param onRemoved called with each key set that this store removes, also with those that have expired
   *   before
   */
  static async open(
    storage: KeySetStorage,
    limits: KeyStoreLimits,
    now: () => number = Date.now,
    log: StoreLog = NO_LOG,
    onRemoved: (removed: RemovedKeySet) => void = () => {},
  ): Promise<KeyStore> {
    const store = new KeyStore(storage, limits, now, log, onRemoved)
    await store.sweep()
    return store
  }

  /**
   * @param onRemoved called with the name of each key set that any store on the same storage removes from now
   *   on
   */
  watch(onRemoved: (name: string) => void): void {
    this.#storage.index.watch(onRemoved)
  }

  totals(): Promise<Totals> {
    return this.#storage.index.totals(this.#now())
  }

  /** Key sets that this store has removed, by reason. */
  get removed(): ReadonlyMap<RemovalReason, number> {
    return this.#removals.counts
  }

  /** The key sets that have not expired, by name. It reads all records. */
  async live(): Promise<readonly NamedKeySet[]> {
    const all = await this.#storage.index.list()
    return all.filter(([, { expires }]) => expires > this.#now())
  }

  /**
   * Announces a key set. If the store is full, or the network has its share of it, complete sets of the same
   * owner are removed, the least recently used first.
   *
   * @param owner for whom limits count the set
   * @param network of several owners that one host may pose as; `room.ts` says how much of the store it has
   * @returns its id
   * @throws TOO_LARGE; TOO_BUSY when the store has no room for the network, or the owner or the network has
   *   too many uploads under way
   */
  async create(
    keySet: NewKeySet,
    owner = '',
    network = owner,
  ): Promise<{ id: string; record: KeySetRecord }> {
    const id = randomBytes(32).toString('base64url')
    const announced = this.#now()
    const expires = announced + this.#limits.uploadMilliseconds
    const record = { ...keySet, uploadOffset: 0, announced, expires, owner, network }
    const name = nameOf(id)
    const retired = await this.#announce(name, record, owner, network)
    try {
      await this.#removals.finishAll(retired)
    } catch (error) {
      await this.#storage.index.retire([name], 'upload given up')
      await this.#storage.index.forget(name)
      throw error
    }
    return { id, record }
  }

  /** Adds a record where there is room for it, so that two announcements cannot take the same room. */
  async #announce(
    name: string,
    record: KeySetRecord,
    owner: string,
    network: string,
  ): Promise<readonly RetiredKeySet[]> {
    const { index } = this.#storage
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const view = await index.view(owner, network, this.#now())
      requireFewUploads(view, this.#limits)
      const going = setsToReplace(record.bytes, view, this.#limits)
      const retired = await index.announce(name, record, going, view.version)
      if (retired) return retired
    }
    throw new PolyVeilError('TOO_BUSY', 'Too many key sets are announced at once', {
      retryAfter: RETRY_SECONDS,
    })
  }

  /**
   * Notes that a key set is used: the owner's other sets are removed before it. A crash may forget it, which
   * costs only the order of use.
   *
   * @throws KEYS_EXPIRED
   */
  async use(id: string): Promise<KeySetRecord> {
    const now = this.#now()
    return requireLive(await this.#storage.index.use(nameOf(id), now), now)
  }

  /** @throws KEYS_EXPIRED when the key set does not exist or has expired */
  get(id: string): Promise<KeySetRecord> {
    return this.#require(nameOf(id))
  }

  /** Where the bytes can be read, until the answer is disposed of. @throws KEYS_EXPIRED */
  location(id: string): Promise<KeptLocation> {
    return this.locationNamed(nameOf(id))
  }

  /** Where the bytes of a set of this name can be read, complete or not. @throws KEYS_EXPIRED */
  async locationNamed(name: string): Promise<KeptLocation> {
    return this.#storage.bytes.location(name, await this.#require(name))
  }

  /**
   * Appends a part. A failure leaves the upload at its offset.
   *
   * @throws KEYS_EXPIRED
   * @throws TENSOR_MALFORMED (409) with `uploadOffset`, when the part begins elsewhere than at the server's
   *   offset
   * @throws TOO_LARGE when it is longer than `MAX_PART_BYTES` or than what is left
   * @throws TOO_BUSY when another process has taken over the upload meanwhile
   */
  append(id: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<KeySetRecord> {
    return this.#uploads.append(nameOf(id), offset, part)
  }

  /**
   * Checks a completely received key set once, and deletes it when its bytes are bad.
   *
   * @throws errors of `verify`
   */
  async complete(id: string, verify: VerifyKeySet): Promise<KeySetRecord> {
    const name = nameOf(id)
    const record = await this.#uploads.complete(name, verify)
    // This runs outside of the name's turn, because two sets that remove each other would deadlock.
    await this.#removeSurplus(name, record)
    return record
  }

  /** Sets without an owner have no limit. */
  async #removeSurplus(name: string, record: KeySetRecord): Promise<void> {
    const { index } = this.#storage
    const { owner, network = owner } = record
    if (owner === undefined || network === undefined) return
    const { completeOfOwner } = await index.view(owner, network, this.#now())
    const surplus = surplusOf(completeOfOwner, [name, record], owner, this.#limits)
    if (surplus.length === 0) return
    await this.#removals.finishAll(await index.retire(surplus, 'made room for its owner'))
  }

  /** @throws KEYS_EXPIRED */
  delete(id: string): Promise<void> {
    const name = nameOf(id)
    return this.#alone(name, async ({ record }) => {
      requireLive(record, this.#now())
      if (!(await this.#removals.remove(name, 'deleted by its client'))) throw noSuchKeySet()
    })
  }

  /** Removes a key set for an operator, who has its name and not its id. @returns whether it was there */
  deleteNamed(name: string): Promise<boolean> {
    return this.#alone(name, () => this.#removals.remove(name, 'deleted by an operator'))
  }

  /** Removes a key set that was found damaged, if it still exists. */
  discard(id: string): Promise<void> {
    return this.discardNamed(nameOf(id))
  }

  /** As `discard`, by name. */
  async discardNamed(name: string): Promise<void> {
    await this.#alone(name, () => this.#removals.remove(name, 'damaged on disk'))
  }

  /** Runs a removal in the turn of its set, and does not wait for parts that arrive. */
  #alone<T>(name: string, removal: (turn: Turn) => Promise<T>): Promise<T> {
    return this.#uploads.removing(name, () => this.#storage.index.alone(name, removal))
  }

  /** Writes times of use, and stops. Must be called when no request runs any more. */
  async close(): Promise<void> {
    await this.#storage.index.flush().catch(unlessBusy)
    await this.#storage.index.close()
  }

  /** Writes times of use. @throws StorageTrouble; TOO_BUSY */
  saveUses(): Promise<void> {
    return this.#storage.index.flush()
  }

  /**
   * Removes key sets that have expired, ends removals that a process has left, and writes times of use. What
   * is refused now is for later sweeps.
   */
  async sweep(): Promise<void> {
    const { index } = this.#storage
    const now = this.#now()
    const [expired, unfinished] = await Promise.all([index.expired(now), index.unfinished(now)])
    const removals = expired.map((name) => this.#removeExpired(name))
    const ends = unfinished.map((each) => this.#removals.finishAll([each]))
    await Promise.all([...removals, ...ends].map((each) => each.catch(unlessBusy)))
    await index.flush().catch(unlessBusy)
  }

  #removeExpired(name: string): Promise<void> {
    return this.#storage.index.alone(name, async ({ record }) => {
      // A part may have arrived meanwhile.
      if (record === undefined || record.expires > this.#now()) return
      await this.#removals.remove(name, record.digest === undefined ? 'upload given up' : 'expired')
    })
  }

  async #require(name: string): Promise<KeySetRecord> {
    return requireLive(await this.#storage.index.get(name), this.#now())
  }
}

/** Name of a key set in files, logs and caches: the hash of its id, which does not give access to the set. */
export const nameOf = (id: string): string => createHash('sha256').update(id).digest('hex')
