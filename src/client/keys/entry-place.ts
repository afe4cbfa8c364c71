import type { KeyStore } from './key-store.ts'

/** A place that keeps bytes by name without encryption: a directory, or a browser's database. */
export type EntryPlace = Omit<KeyStore, 'temporary'>

/** File names of entries: the HMAC of the entry's name. */
const ENTRY = /^[0-9a-f]{64}\.entry$/
/**
 * File names of entries of PolyVeil 0.1: a plain digest, which anyone who guesses the name can compute.
 */
const OLD_ENTRY = /^[0-9a-f]{40}\.entry$/

export const entryFile = (tag: string): string => `${tag}.entry`
export const isEntryFile = (file: string): boolean => ENTRY.test(file)
export const isOldEntryFile = (file: string): boolean => OLD_ENTRY.test(file)
