import type { KeyStore } from './key-store.ts'

/**
 * A place that keeps bytes by name without encryption: a directory, or a browser's database. Writing fails
 * when the place does not exist.
 */
export interface EntryPlace extends Omit<KeyStore, 'temporary'> {
  /** Makes the place unless it exists. */
  make(): Promise<void>
  /** Deletes what interrupted writes have left, such as a second copy of the store's key. */
  tidy(): Promise<void>
}

/** What the encryption of the store is. */
export const HEADER_FILE = 'store.json'
/** The encryption key of a store without a passphrase. */
export const KEY_FILE = 'store.key'
/** A fixed text under the encryption key, which detects a wrong key. */
export const CHECK_FILE = 'store.check'

/** File names of entries: the HMAC of the entry's name. */
const ENTRY = /^[0-9a-f]{64}\.entry$/
/**
 * File names of entries of PolyVeil 0.1: a plain digest, which anyone who guesses the name can compute.
 */
const OLD_ENTRY = /^[0-9a-f]{40}\.entry$/

export const entryFile = (tag: string): string => `${tag}.entry`
export const isEntryFile = (file: string): boolean => ENTRY.test(file)
export const isOldEntryFile = (file: string): boolean => OLD_ENTRY.test(file)

/** Whether a file is one of a store. */
export const isStoreFile = (file: string): boolean =>
  [HEADER_FILE, KEY_FILE, CHECK_FILE].includes(file) || isEntryFile(file) || isOldEntryFile(file)
