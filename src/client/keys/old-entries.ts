import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { secretKeyParameters } from '../../wire/index.ts'
import type { EntryCipher } from './cipher.ts'
import { secretKeyEntry } from './entry-names.ts'
import { type EntryPlace, isOldEntryFile } from './entry-place.ts'

// PolyVeil 0.1 kept an entry under the plain digest of its name, encrypted with the name as additional data.
// Such entries are still read; whoever reads one moves it to the place that it has today.

/** The file that an entry had in PolyVeil 0.1. */
export const oldEntryFile = (name: string): string =>
  `${bytesToHex(sha256(utf8ToBytes(name))).slice(0, 40)}.entry`

/**
 * The bytes of an entry of PolyVeil 0.1; undefined when there is none.
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

/** The names of the secret keys among the entries of PolyVeil 0.1. No other entry says its name. */
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
 * Whether the cipher has the key of a place that has no check value yet: some entry has to decrypt under its
 * name.
 *
 * @param asked the name that the caller is about to use; it is tried, too
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

/** A secret key's frame names its parameters, and by them its entry. */
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
