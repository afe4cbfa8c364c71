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

/** One accepted part of a key set, where each is stored for itself. */
export interface Piece {
  /** Names this piece among all that were written for its offset. */
  readonly tag: string
  readonly bytes: number
  /** SHA-256 in hex. */
  readonly digest: string
}

export type KeySetRecord = Readonly<z.infer<typeof keySetRecordSchema>> & {
  /** What the received bytes consist of, in order. Lists of records leave it out. */
  readonly pieces?: readonly Piece[]
}

export type NamedKeySet = readonly [name: string, record: KeySetRecord]

/** Parses a record. @returns undefined for a text that is none */
export function parsedRecord(text: string): KeySetRecord | undefined {
  try {
    return keySetRecordSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** Where any thread of this machine can read the bytes of a key set. */
export type KeySetLocation =
  | { readonly path: string }
  | { readonly bytes: Uint8Array }
  | { readonly pieces: readonly { readonly path: string; readonly bytes: number }[] }

/** Name of a key set: the SHA-256 of its id in hex. */
export const KEY_SET_NAME = /^[0-9a-f]{64}$/

export interface LoadedRecords {
  readonly records: Map<string, KeySetRecord>
  /** Names whose records cannot be read. They stay where they are, and so do their bytes. */
  readonly unreadable: readonly string[]
}

/**
 * Records of key sets by name on a disk, for one process. Each method is one transaction: all of its changes
 * are made, or none.
 */
export interface RecordTable {
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
