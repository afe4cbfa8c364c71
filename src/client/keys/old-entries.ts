import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { secretKeyParameters } from '../../wire/index.ts'
import type { EntryCipher } from './cipher.ts'
import { secretKeyEntry } from './entry-names.ts'
import { type EntryPlace, isOldEntryFile } from './entry-place.ts'

// PolyVeil 0.1 kept an entry under the plain digest of its name, encrypted with the name as additional data.
// Such entries are still read, and moved to their current file when they are.

/** The file that an entry had in PolyVeil 0.1. */
export const oldEntryFile = (name: string): string =>
  `${bytesToHex(sha256(utf8ToBytes(name))).slice(0, 40)}.entry`

/**
 * The bytes of an entry of PolyVeil 0.1; undefined when it does not exist.
 *
 * @throws CONFIG_INVALID when it does not decrypt
 */
export async function oldEntry(
  place: EntryPlace,
  cipher: EntryCipher,
  name: string,
): Promise<Uint8Array | undefined> {
  const sealed = await place.get(oldEntryFile(name))
  return sealed && cipher.decrypt(name, sealed)
}

/**
 * The names of the secret keys among the entries of PolyVeil 0.1. Other entries do not contain their names.
 */
export async function oldSecretKeyNames(
  place: EntryPlace,
  cipher: EntryCipher,
  files: readonly string[],
): Promise<string[]> {
  const names: string[] = []
  for (const file of files.filter(isOldEntryFile)) {
    const name = await oldSecretKeyName(place, cipher, file)
    if (name !== undefined) names.push(name)
  }
  return names
}

/**
 * Whether the cipher has the right key for a place without a check value: an entry must decrypt under its
 * name.
 *
 * @param asked the name that the caller is about to use, which is tried first
 */
export async function opensOldEntries(
  place: EntryPlace,
  cipher: EntryCipher,
  files: readonly string[],
  asked: string | undefined,
): Promise<boolean> {
  if (asked !== undefined && (await oldEntry(place, cipher, asked).catch(() => undefined))) return true
  return (await oldSecretKeyNames(place, cipher, files)).length > 0
}

/** The name of an entry of a secret key: its frame contains the digest of its parameters, which names it. */
async function oldSecretKeyName(
  place: EntryPlace,
  cipher: EntryCipher,
  file: string,
): Promise<string | undefined> {
  const sealed = await place.get(file)
  if (sealed === undefined) return undefined
  const guess = await cipher.peek(sealed)
  const parametersDigest = secretKeyParameters(guess)
  guess.fill(0)
  if (parametersDigest === undefined) return undefined
  const name = secretKeyEntry(parametersDigest)
  const frame = await cipher.decrypt(name, sealed).catch(() => undefined)
  frame?.fill(0)
  return frame && oldEntryFile(name) === file ? name : undefined
}
