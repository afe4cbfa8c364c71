import type { KeySetIndex } from './key-set-index.ts'
import type { KeySetLocation, KeySetRecord } from './key-set-record.ts'

/** What a record says of the bytes that were received. */
export type Received = Pick<KeySetRecord, 'uploadOffset' | 'pieces'>

/** A location that can be read until it is disposed of. */
export interface KeptLocation extends Disposable {
  readonly location: KeySetLocation
}

/** A key set whose bytes can be made readable on this machine. */
export interface LocatedKeySet {
  /** Names the bytes, which do not change any more. */
  readonly name: string
  /** @throws KEYS_EXPIRED when they are gone */
  locate(): Promise<KeptLocation>
}

/**
 * Bytes of key sets by name. Which of them belong to a set is in its record only. Writes throw
 * `StorageTrouble` when the disk refuses them.
 */
export interface KeySetBytes {
  /**
   * Writes a part behind the bytes that `record` counts, and makes it durable. A failure leaves these
   * unchanged.
   *
   * @returns what the record has to say once the part is accepted; the same offset when the part was empty
   * @throws errors of `part`; KEYS_EXPIRED when the bytes before it are gone
   */
  write(name: string, record: KeySetRecord, part: AsyncIterable<Uint8Array>): Promise<Received>
  /**
   * Removes bytes that `record` does not count, as far as no other process may need them. Failures are
   * ignored.
   */
  cut(name: string, record: KeySetRecord): Promise<void>
  /** Removes all bytes, if there are any. */
  remove(name: string): Promise<void>
  /** Makes the bytes readable on this machine. @throws KEYS_EXPIRED when they are gone */
  location(name: string, record: KeySetRecord): Promise<KeptLocation>
}

/** Where key sets are: their records and their bytes. */
export interface KeySetStorage {
  readonly index: KeySetIndex
  readonly bytes: KeySetBytes
}

/** A location that needs no keeping. */
export const kept = (location: KeySetLocation): KeptLocation => ({ location, [Symbol.dispose]() {} })
