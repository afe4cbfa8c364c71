import { z } from 'zod'

/**
 * Record of a stored key set. It does not contain the id, so that only a client that has the id can name the
 * set.
 */
export const keySetRecordSchema = z.object({
  parametersDigest: z.string(),
  /** Ascending. */
  galoisElements: z.array(z.int().positive()),
  /** Length of the complete frame. */
  bytes: z.int().positive(),
  /** Bytes received so far. Bytes beyond on disk belong to a part that broke off. */
  uploadOffset: z.int().nonnegative(),
  /** Digest of the frame in hex; present once the frame is complete and checked. */
  digest: z.string().optional(),
  /** Milliseconds since 1970. An incomplete set expires soon after its last part. */
  expires: z.number(),
  /** Milliseconds since 1970 of the announcement; absent in records of PolyVeil 0.1. */
  announced: z.number().optional(),
  /** The owner that limits count the set for; absent in records of PolyVeil 0.1. */
  owner: z.string().max(200).optional(),
  /** The network that limits count an incomplete set for. */
  network: z.string().max(200).optional(),
  /** Milliseconds since 1970 of the last use, or of the completion. */
  used: z.number().optional(),
})

export type KeySetRecord = Readonly<z.infer<typeof keySetRecordSchema>>

/** Where any thread can read the bytes of a key set. */
export type KeySetLocation = { readonly path: string } | { readonly bytes: Uint8Array }

/** Name of a key set: the SHA-256 of its id in hex. */
export const KEY_SET_NAME = /^[0-9a-f]{64}$/

export interface LoadedRecords {
  readonly records: Map<string, KeySetRecord>
  /** Names whose records cannot be read. They stay where they are, and so do their bytes. */
  readonly unreadable: readonly string[]
}

/**
 * Records of key sets by name, apart from their bytes. Each method is one transaction: all of its changes
 * are made, or none.
 */
export interface KeySetIndex {
  load(): Promise<LoadedRecords>
  /** Adds or replaces records. They are durable when this returns. */
  save(records: ReadonlyMap<string, KeySetRecord>): Promise<void>
  /**
   * Notes when sets were last used, in milliseconds since 1970. Need not be durable: a loss costs only the
   * order of use.
   */
  saveUses(uses: ReadonlyMap<string, number>): Promise<void>
  /** Removes records, if they exist. */
  remove(names: readonly string[]): Promise<void>
}

/**
 * Stores records and bytes by name. `KeyStore` has the rules, and never works on one name twice at a time.
 * Writes throw `StorageTrouble` when the disk refuses them.
 */
export interface KeySetFiles {
  /** All records that agree with their bytes. Puts the others in order. */
  load(): Promise<Map<string, KeySetRecord>>
  /** Writes a record atomically: at any moment either the old or the new record exists. */
  save(name: string, record: KeySetRecord): Promise<void>
  /** Notes when sets were last used. Need not be durable. */
  saveUses(uses: ReadonlyMap<string, number>): Promise<void>
  /**
   * Writes a part at `offset` and makes it durable. A failure leaves the bytes before `offset` unchanged.
   *
   * @returns bytes written
   * @throws errors of `part`
   */
  write(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<number>
  /** Forgets the bytes from `offset` on, which belong to no record. Failures are ignored. */
  cut(name: string, offset: number): Promise<void>
  /** Removes bytes and record. If this fails, both are there as before. */
  remove(name: string): Promise<void>
  location(name: string): KeySetLocation
}
