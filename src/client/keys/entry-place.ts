import type { KeyStore } from './key-store.ts'

/** A place that keeps bytes under names as they are: a directory, or a database of a browser's. */
export type EntryPlace = Omit<KeyStore, 'temporary'>

/** Names of entries in a place: the HMAC of what the entry is called. */
const ENTRY = /^[0-9a-f]{64}\.entry$/
/**
 * Names of entries in places that PolyVeil 0.1 made: a plain digest, which anybody can compute for a name.
 */
const OLD_ENTRY = /^[0-9a-f]{40}\.entry$/

export const entryFile = (tag: string): string => `${tag}.entry`
export const isEntryFile = (file: string): boolean => ENTRY.test(file)
export const isOldEntryFile = (file: string): boolean => OLD_ENTRY.test(file)
