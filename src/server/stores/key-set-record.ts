import { z } from 'zod'

/**
 * What is known about a stored key set, beside its bytes. Its id is not in here: only who holds it can name
 * it.
 */
export const keySetRecordSchema = z.object({
  parametersDigest: z.string(),
  /** Ascending. */
  galoisElements: z.array(z.int().positive()),
  /** Length of the complete frame. */
  bytes: z.int().positive(),
  /** Bytes received so far; what lies beyond on disk is the rest of a part that broke off. */
  uploadOffset: z.int().nonnegative(),
  /** Digest in hex of the frame; present once it is complete and checked. */
  digest: z.string().optional(),
  /** Milliseconds since 1970. While the set is incomplete, that is soon after its last part. */
  expires: z.number(),
  /** Milliseconds since 1970; absent in records of PolyVeil 0.1. */
  announced: z.number().optional(),
  /** Who announced it, as far as limits are concerned; absent in records of PolyVeil 0.1. */
  owner: z.string().max(200).optional(),
  /** Milliseconds since 1970 of the last use, or of the completion. */
  used: z.number().optional(),
})

export type KeySetRecord = Readonly<z.infer<typeof keySetRecordSchema>>

/** Where the bytes of a key set are read from, in any thread. */
export type KeySetLocation = { readonly path: string } | { readonly bytes: Uint8Array }

/**
 * Keeps records and bytes under names. It knows no rules: those are `KeyStore`'s, which also sees to it that
 * one name is never worked on twice at a time.
 */
export interface KeySetFiles {
  /** All records; files of the store's own that belong to none are thrown away. */
  load(): Promise<Map<string, KeySetRecord>>
  /** Writes a record so that at any moment either the old or the new one is there. */
  save(name: string, record: KeySetRecord): Promise<void>
  /**
   * Writes a part from `offset` on and makes it durable. When it fails, the bytes before `offset` are as they
   * were.
   *
   * @returns bytes written
   * @throws whatever `part` throws
   */
  write(name: string, offset: number, part: AsyncIterable<Uint8Array>): Promise<number>
  remove(name: string): Promise<void>
  location(name: string): KeySetLocation
}
