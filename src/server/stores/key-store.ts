import { createHash, randomBytes } from 'node:crypto'
import { PolyVeilError } from '../../errors/index.ts'
import { MAX_PART_BYTES } from '../../wire/protocol/index.ts'
import { conflict } from '../problems/http-error.ts'
import type { KeySetFiles, KeySetLocation, KeySetRecord } from './key-set-record.ts'
import { Serial } from './serial.ts'
import { StorageTrouble } from './storage-trouble.ts'
import { loggedName, NO_LOG, type StoreLog } from './store-log.ts'

export interface KeyStoreLimits {
  readonly ttlMilliseconds: number
  readonly maxSets: number
  /** Largest key set. */
  readonly maxSetBytes: number
  /** Limit on all key sets together; each counts in full from its announcement. */
  readonly maxTotalBytes: number
  /**
   * Time after the announcement or the last part when an incomplete set expires; by default five minutes.
   * Parts that are too slow all together do not prolong it.
   */
  readonly uploadMilliseconds?: number
  /** Incomplete sets of one owner; by default 4. */
  readonly maxUploadsPerOwner?: number
  /** Complete sets of one owner, by default 16. A further set replaces the least recently used. */
  readonly maxSetsPerOwner?: number
  /** Complete sets of an owner that has another limit. */
  readonly setsOf?: (owner: string) => number | undefined
  /**
   * Bytes of one owner's complete sets, by default half of `maxTotalBytes`; the least recently used are
   * replaced.
   */
  readonly maxBytesPerOwner?: number
}

const DEFAULTS = { uploadMilliseconds: 300_000, maxUploadsPerOwner: 4, maxSetsPerOwner: 16 }
/**
 * An incomplete set expires after so many times the limit between two parts, plus the time that its bytes
 * take at the least rate, in bytes per millisecond. Otherwise a client could hold a place with a byte every
 * few minutes.
 */
const MOST_UPLOAD_LIMITS = 2
const LEAST_UPLOAD_RATE = 8
/** Incomplete sets of a network, in those of one owner. */
const NETWORK_FACTOR = 4
/** Part of the store that one network takes at most, unless a single owner may have more. */
const NETWORK_SHARE = 0.75
/** Seconds after which a client may try again when the store is full. */
const FULL_RETRY_SECONDS = 60
const UPLOAD_RETRY_SECONDS = 10

export type NewKeySet = Pick<KeySetRecord, 'parametersDigest' | 'galoisElements' | 'bytes'>

/**
 * Checks all of a received key set. Errors about the bytes delete the set; other errors leave it.
 */
export type VerifyKeySet = (record: KeySetRecord, location: KeySetLocation) => Promise<{ digest: string }>

/** Why a key set was removed, for the log and for metrics. */
export type RemovalReason =
  | 'deleted by its client'
  | 'deleted by an operator'
  | 'expired'
  | 'upload given up'
  | 'found bad'
  | 'made room for its owner'
  | 'damaged on disk'

/** A key set that was removed. */
export interface RemovedKeySet {
  readonly name: string
  readonly reason: RemovalReason
  readonly owner?: string
}

/**
 * Key sets by id, which are uploaded in parts, checked, and kept until they expire. An id is an unguessable
 * capability. Files and log lines have only its hash, which does not give access to the set.
 *
 * Each set has an owner, for whom limits count it. The store never removes a set to make room for another
 * owner.
 */
export class KeyStore {
  readonly #files: KeySetFiles
  readonly #limits: Required<Omit<KeyStoreLimits, 'setsOf'>> & Pick<KeyStoreLimits, 'setsOf'>
  readonly #now: () => number
  readonly #log: StoreLog
  /** Called with each key set that is removed. */
  readonly #watchers: ((removed: RemovedKeySet) => void)[]
  readonly #records: Map<string, KeySetRecord>
  readonly #serial = new Serial()
  /** Times of use that the files do not have yet, by name. */
  readonly #uses = new Map<string, number>()
  readonly #removed = new Map<RemovalReason, number>()

  private constructor(
    files: KeySetFiles,
    limits: KeyStoreLimits,
    now: () => number,
    log: StoreLog,
    records: Map<string, KeySetRecord>,
    onRemoved: (removed: RemovedKeySet) => void,
  ) {
    this.#files = files
    this.#limits = { ...DEFAULTS, maxBytesPerOwner: limits.maxTotalBytes / 2, ...limits }
    this.#now = now
    this.#log = log
    this.#records = records
    this.#watchers = [onRemoved]
  }

  /**
   * Opens a store on the records in `files`, and removes expired ones.
   *
   * @param log gets each key set that is removed
   * @param onRemoved as in `watch`, also for those that have expired before
   */
  static async open(
    files: KeySetFiles,
    limits: KeyStoreLimits,
    now: () => number = Date.now,
    log: StoreLog = NO_LOG,
    onRemoved: (removed: RemovedKeySet) => void = () => {},
  ): Promise<KeyStore> {
    const store = new KeyStore(files, limits, now, log, await files.load(), onRemoved)
    store.#limitUploads()
    await store.sweep()
    return store
  }

  /** @param onRemoved called with each key set that is removed from now on */
  watch(onRemoved: (removed: RemovedKeySet) => void): void {
    this.#watchers.push(onRemoved)
  }

  get size(): number {
    return this.#records.size
  }

  /** Key sets whose upload is under way. */
  get uploads(): number {
    return this.#live().filter(([, { digest }]) => digest === undefined).length
  }

  /** Key sets that were removed, by reason. */
  get removed(): ReadonlyMap<RemovalReason, number> {
    return this.#removed
  }

  /** The key sets that have not expired, by name. */
  get live(): readonly (readonly [name: string, record: KeySetRecord])[] {
    return this.#live()
  }

  /** Bytes of all key sets; incomplete ones count in full. */
  get reservedBytes(): number {
    return [...this.#records.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /**
   * Announces a key set. If the store is full, or the network has its share of it, complete sets of the same
   * owner are removed, the least recently used first.
   *
   * @param owner for whom limits count the set
   * @param network of several owners that one host may pose as; it has `NETWORK_FACTOR` times the uploads
   *   and `NETWORK_SHARE` of the store
   * @returns its id
   * @throws TOO_LARGE; TOO_BUSY when the store has no room for the network, or the owner or the network has
   *   too many uploads under way
   */
  async create(
    keySet: NewKeySet,
    owner = '',
    network = owner,
  ): Promise<{ id: string; record: KeySetRecord }> {
    this.#requireFewUploads(owner, network)
    const surplus = this.#roomFor(keySet.bytes, owner, network)
    const id = randomBytes(32).toString('base64url')
    const announced = this.#now()
    const expires = announced + this.#limits.uploadMilliseconds
    const record = { ...keySet, uploadOffset: 0, announced, expires, owner, network }
    const name = nameOf(id)
    // The set counts before anything is awaited, so that two concurrent calls cannot take the same room.
    this.#records.set(name, record)
    try {
      await this.#makeRoom(surplus)
      await this.#files.save(name, record)
    } catch (error) {
      this.#records.delete(name)
      throw error
    }
    return { id, record }
  }

  /**
   * Notes that a key set is used: the owner's other sets are removed before it. The next sweep writes it to
   * the files, so that a query costs no write; a crash in between forgets only the order of use.
   *
   * @throws KEYS_EXPIRED
   */
  use(id: string): KeySetRecord {
    const name = nameOf(id)
    const now = this.#now()
    const used = { ...this.#require(name), used: now }
    this.#records.set(name, used)
    this.#uses.set(name, now)
    return used
  }

  /** @throws KEYS_EXPIRED when the key set does not exist or has expired */
  get(id: string): KeySetRecord {
    return this.#require(nameOf(id))
  }

  /** @throws KEYS_EXPIRED */
  location(id: string): KeySetLocation {
    this.get(id)
    return this.#files.location(nameOf(id))
  }

  /**
   * Appends a part. A failure leaves the upload at its offset.
   *
   * @throws KEYS_EXPIRED
   * @throws TENSOR_MALFORMED (409) with `uploadOffset`, when the part begins elsewhere than at the server's
   *   offset
   * @throws TOO_LARGE when it is longer than `MAX_PART_BYTES` or than what is left
   */
  append(id: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<KeySetRecord> {
    const name = nameOf(id)
    return this.#serial.run(name, async () => {
      const record = this.#require(name)
      if (offset !== record.uploadOffset) throw wrongOffset(offset, record.uploadOffset)
      const room = Math.min(MAX_PART_BYTES, record.bytes - offset)
      const written = await this.#files.write(name, offset, atMost(room, part))
      if (written === 0) return record
      try {
        return await this.#update(name, this.#received({ ...record, uploadOffset: offset + written }))
      } catch (error) {
        // No record counts the bytes.
        await this.#files.cut(name, offset)
        throw error
      }
    })
  }

  /**
   * Checks a completely received key set once, and deletes it when its bytes are bad.
   *
   * @throws errors of `verify`
   */
  async complete(id: string, verify: VerifyKeySet): Promise<KeySetRecord> {
    const name = nameOf(id)
    const record = await this.#serial.run(name, () => this.#verified(name, verify))
    // This runs outside of the name's turn, because two sets that remove each other would deadlock.
    await this.#makeRoom(this.#surplusOf(record.owner, name))
    return record
  }

  async #verified(name: string, verify: VerifyKeySet): Promise<KeySetRecord> {
    const record = this.#require(name)
    if (record.digest !== undefined) return record
    try {
      const { digest } = await verify(record, this.#files.location(name))
      const used = this.#now()
      return await this.#update(name, {
        ...record,
        digest,
        used,
        expires: used + this.#limits.ttlMilliseconds,
      })
    } catch (error) {
      if (isBad(error)) await this.#remove(name, 'found bad')
      throw error
    }
  }

  /** @throws KEYS_EXPIRED */
  delete(id: string): Promise<void> {
    const name = nameOf(id)
    return this.#serial.run(name, async () => {
      this.#require(name)
      await this.#remove(name, 'deleted by its client')
    })
  }

  /** Removes a key set for an operator, who has its name and not its id. @returns whether it was there */
  deleteNamed(name: string): Promise<boolean> {
    return this.#serial.run(name, async () => {
      if (!this.#records.has(name)) return false
      await this.#remove(name, 'deleted by an operator')
      return true
    })
  }

  /** Removes a key set that was found damaged, if it still exists. */
  discard(id: string): Promise<void> {
    const name = nameOf(id)
    return this.#serial.run(name, async () => {
      if (this.#records.has(name)) await this.#remove(name, 'damaged on disk')
    })
  }

  /** Writes times of use, and stops. Must be called when no request runs any more. */
  async close(): Promise<void> {
    await this.#saveUses().catch(unlessStorageTrouble)
  }

  /**
   * Removes key sets that have expired, and writes times of use. What the disk refuses now is for later
   * sweeps.
   */
  async sweep(): Promise<void> {
    const expired = (name: string): boolean => (this.#records.get(name)?.expires ?? Infinity) <= this.#now()
    const names = [...this.#records.keys()].filter(expired)
    const removed = names.map((name) =>
      this.#serial.run(name, async () => {
        // A part may have arrived meanwhile.
        if (expired(name)) await this.#remove(name, this.#isComplete(name) ? 'expired' : 'upload given up')
      }),
    )
    await Promise.all(removed.map((each) => each.catch(unlessStorageTrouble)))
    await this.#saveUses().catch(unlessStorageTrouble)
  }

  async #saveUses(): Promise<void> {
    if (this.#uses.size === 0) return
    const uses = new Map(this.#uses)
    await this.#files.saveUses(uses)
    for (const [name, used] of uses) if (this.#uses.get(name) === used) this.#uses.delete(name)
  }

  /** Incomplete sets of PolyVeil 0.1 would keep their places for a week. */
  #limitUploads(): void {
    const latest = this.#now() + this.#limits.uploadMilliseconds
    for (const [name, record] of this.#records) {
      const isLong = record.digest === undefined && record.expires > latest
      if (isLong) this.#records.set(name, { ...record, expires: latest })
    }
  }

  /** An incomplete set of which a part has just come. */
  #received(record: KeySetRecord): KeySetRecord {
    const { uploadMilliseconds } = this.#limits
    const { uploadOffset, announced = this.#now() } = record
    const last = announced + MOST_UPLOAD_LIMITS * uploadMilliseconds + uploadOffset / LEAST_UPLOAD_RATE
    return { ...record, announced, expires: Math.min(this.#now() + uploadMilliseconds, last) }
  }

  #require(name: string): KeySetRecord {
    const record = this.#records.get(name)
    if (record && record.expires > this.#now()) return record
    throw noSuchKeySet()
  }

  /** @throws TOO_BUSY when the owner or its network has too many incomplete sets */
  #requireFewUploads(owner: string, network: string): void {
    const { maxUploadsPerOwner } = this.#limits
    const uploads = this.#live().filter(([, { digest }]) => digest === undefined)
    const ofOwner = uploads.filter(([, record]) => record.owner === owner).length
    const ofNetwork = uploads.filter(([, record]) => record.network === network).length
    if (ofOwner < maxUploadsPerOwner && ofNetwork < NETWORK_FACTOR * maxUploadsPerOwner) return
    throw new PolyVeilError(
      'TOO_BUSY',
      ofOwner < maxUploadsPerOwner
        ? `The network of this address has ${ofNetwork} uploads of key sets under way, as many as it may`
        : `This client has ${ofOwner} uploads of key sets under way, as many as it may`,
      { retryAfter: UPLOAD_RETRY_SECONDS, maxUploadsPerAddress: maxUploadsPerOwner },
    )
  }

  /**
   * Names of the owner's sets that must be removed to make room for a new set of `bytes` bytes.
   *
   * @throws TOO_LARGE, TOO_BUSY
   */
  #roomFor(bytes: number, owner: string, network: string): string[] {
    const { maxSets, maxSetBytes, maxTotalBytes } = this.#limits
    if (bytes > maxSetBytes) {
      throw new PolyVeilError('TOO_LARGE', `A key set of ${bytes} bytes is larger than ${maxSetBytes}`, {
        bytes,
        maxBytes: maxSetBytes,
      })
    }
    const all = [...this.#records.values()]
    const ofNetwork = all.filter((record) => record.network === network)
    const forNetwork = this.#limitsOfNetwork()
    const fits = (going: readonly KeySetRecord[]): boolean =>
      isWithin(all, going, bytes, { maxSets, maxBytes: maxTotalBytes }) &&
      isWithin(ofNetwork, going, bytes, forNetwork)
    const names: string[] = []
    const going: KeySetRecord[] = []
    for (const [name, record] of this.#byUse(owner)) {
      if (fits(going)) break
      names.push(name)
      going.push(record)
    }
    if (fits(going)) return names
    throw new PolyVeilError(
      'TOO_BUSY',
      isWithin(all, going, bytes, { maxSets, maxBytes: maxTotalBytes })
        ? 'The network of this address has as many key sets as it may'
        : 'The server holds as many key sets as it can',
      { retryAfter: FULL_RETRY_SECONDS },
    )
  }

  #limitsOfNetwork(): Room {
    const { maxSets, maxTotalBytes, maxSetsPerOwner, maxBytesPerOwner } = this.#limits
    return {
      maxSets: Math.max(Math.ceil(NETWORK_SHARE * maxSets), maxSetsPerOwner),
      maxBytes: Math.max(NETWORK_SHARE * maxTotalBytes, maxBytesPerOwner),
    }
  }

  /**
   * Names of an owner's sets beyond the limits, now that the set `latest` is complete. Sets without an owner
   * have no limit.
   */
  #surplusOf(owner: string | undefined, latest: string): string[] {
    if (owner === undefined) return []
    const others = this.#byUse(owner).filter(([name]) => name !== latest)
    let sets = others.length + 1
    let total = others.reduce((sum, [, { bytes }]) => sum + bytes, this.#records.get(latest)?.bytes ?? 0)
    const going: string[] = []
    for (const [name, { bytes }] of others) {
      if (sets <= this.#mostSets(owner) && total <= this.#limits.maxBytesPerOwner) break
      going.push(name)
      sets--
      total -= bytes
    }
    return going
  }

  #mostSets(owner: string): number {
    return this.#limits.setsOf?.(owner) ?? this.#limits.maxSetsPerOwner
  }

  /** An owner's complete sets, the least recently used first. */
  #byUse(owner: string): [name: string, record: KeySetRecord][] {
    const complete = this.#live().filter(
      ([, record]) => record.owner === owner && record.digest !== undefined,
    )
    return complete.sort(([, a], [, b]) => (a.used ?? 0) - (b.used ?? 0))
  }

  #live(): [name: string, record: KeySetRecord][] {
    return [...this.#records].filter(([, { expires }]) => expires > this.#now())
  }

  /** Removes sets. They stop counting as soon as this is called, and count again if the disk refuses it. */
  async #makeRoom(names: readonly string[]): Promise<void> {
    const removed = names.map((name) => {
      const record = this.#records.get(name)
      this.#records.delete(name)
      return this.#serial.run(name, () => this.#remove(name, 'made room for its owner', record))
    })
    await Promise.all(removed)
  }

  #isComplete(name: string): boolean {
    return this.#records.get(name)?.digest !== undefined
  }

  async #update(name: string, record: KeySetRecord): Promise<KeySetRecord> {
    await this.#files.save(name, record)
    this.#records.set(name, record)
    return record
  }

  /** @param record that the set keeps when it cannot be removed */
  async #remove(name: string, reason: RemovalReason, record = this.#records.get(name)): Promise<void> {
    this.#records.delete(name)
    try {
      await this.#files.remove(name)
    } catch (error) {
      if (record) this.#records.set(name, record)
      throw error
    }
    this.#uses.delete(name)
    this.#removed.set(reason, (this.#removed.get(reason) ?? 0) + 1)
    this.#log.info({ keySet: loggedName(name), reason }, 'Deleted a key set')
    for (const onRemoved of this.#watchers) onRemoved({ name, reason, owner: record?.owner })
  }
}

function unlessStorageTrouble(error: unknown): void {
  if (!(error instanceof StorageTrouble)) throw error
}

/** The error for a key set that does not exist, or not for the client. */
export const noSuchKeySet = (): PolyVeilError =>
  new PolyVeilError('KEYS_EXPIRED', 'There is no such key set; it has expired or was deleted')

interface Room {
  readonly maxSets: number
  readonly maxBytes: number
}

/** Whether a further set of `bytes` bytes has room beside those of `sets` that stay. */
function isWithin(
  sets: readonly KeySetRecord[],
  going: readonly KeySetRecord[],
  bytes: number,
  { maxSets, maxBytes }: Room,
): boolean {
  const total = (records: readonly KeySetRecord[]): number =>
    records.reduce((sum, record) => sum + record.bytes, 0)
  return sets.length - going.length < maxSets && total(sets) - total(going) + bytes <= maxBytes
}

/** Name of a key set in files, logs and caches: the hash of its id, which does not give access to the set. */
export const nameOf = (id: string): string => createHash('sha256').update(id).digest('hex')

async function* atMost(room: number, part: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of part) {
    bytes += chunk.length
    if (bytes > room) {
      throw new PolyVeilError('TOO_LARGE', `The part is longer than the ${room} bytes that belong here`, {
        maxBytes: room,
      })
    }
    yield chunk
  }
}

const wrongOffset = (offset: number, uploadOffset: number): PolyVeilError =>
  conflict('TENSOR_MALFORMED', `The part begins at ${offset}; go on at ${uploadOffset}`, { uploadOffset })

const isBad = (error: unknown): boolean =>
  error instanceof PolyVeilError &&
  ['TENSOR_MALFORMED', 'PARAMETERS_MISMATCH', 'TOO_LARGE'].includes(error.code)
