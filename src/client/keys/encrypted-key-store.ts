import { utf8ToBytes } from '@noble/hashes/utils.js'
import { PolyVeilError } from '../../errors/index.ts'
import type { EntryCipher } from './cipher.ts'
import { type EntryPlace, entryFile, isEntryFile } from './entry-place.ts'
import type { KeyStore } from './key-store.ts'
import { oldEntry, oldEntryFile, oldSecretKeyNames } from './old-entries.ts'
import { isSameStore, type OpenedStore, openStore } from './store-cipher.ts'

/**
 * A store that encrypts entries with AES-256-GCM and keeps them in a place for bytes. File names reveal
 * nothing: each is the HMAC of the entry's name, under a key derived from the store's key.
 *
 * With a passphrase, scrypt derives the encryption key from it, and the place reveals nothing unless the
 * passphrase can be guessed. Without one, a random key is kept beside the entries. The first use of the place
 * decides which. A check value beside the entries detects a wrong passphrase before an entry is read or
 * written.
 *
 * All methods throw CONFIG_INVALID when the passphrase is missing, wrong or not expected, or an entry is
 * damaged.
 *
 * @throws CONFIG_INVALID when the passphrase is empty
 */
export function encryptedKeyStore(place: EntryPlace, passphrase: string | undefined): KeyStore {
  requirePassphrase(passphrase)
  let opened: Promise<OpenedStore | undefined> | undefined
  // Stores are opened one at a time, since scrypt takes a second and 128 MB. A failure, such as a wrong
  // passphrase, is not cached. An opened store is looked for again at each use: someone may have deleted it,
  // and entries without their header and key could not be read again.
  const open = (asked: string | undefined, make: boolean): Promise<OpenedStore | undefined> => {
    const before = opened?.catch(() => undefined) ?? Promise.resolve(undefined)
    opened = before.then(async (found) =>
      found !== undefined && (await isSameStore(place, found))
        ? found
        : openStore(place, passphrase, { asked, make }),
    )
    return opened
  }
  /** The cipher for reading; undefined when the place is empty, since reading makes no store. */
  const present = async (asked?: string): Promise<EntryCipher | undefined> =>
    (await open(asked, false))?.cipher
  /**
   * Writes an entry, and takes it back if the store was deleted meanwhile.
   *
   * @param asked the name of the entry
   */
  const writing = async <T>(asked: string, write: (store: EntryCipher) => Promise<T>): Promise<T> => {
    const store = (await open(asked, true))!
    const result = await write(store.cipher)
    if (await isSameStore(place, store)) return result
    await place.delete(entryFile(await store.cipher.tagOf(asked)))
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'The key store was deleted while an entry was written; try again',
    )
  }
  return {
    async get(name) {
      const store = await present(name)
      if (store === undefined) return undefined
      const file = entryFile(await store.tagOf(name))
      const sealed = await place.get(file)
      return sealed ? opening(store, file, sealed).then(({ bytes }) => bytes) : moveOld(place, store, name)
    },
    async put(name, bytes) {
      await writing(name, async (store) => {
        const file = entryFile(await store.tagOf(name))
        await place.put(file, await sealing(store, file, name, bytes))
        await place.delete(oldEntryFile(name))
      })
    },
    add: (name, bytes) =>
      writing(
        name,
        async (store) => (await moveOld(place, store, name)) ?? addEntry(place, store, name, bytes),
      ),
    async delete(name) {
      const store = await present(name)
      if (store === undefined) return
      await place.delete(entryFile(await store.tagOf(name)))
      await place.delete(oldEntryFile(name))
    },
    async names() {
      const store = await present()
      if (store === undefined) return []
      const files = await place.names()
      const names = await oldSecretKeyNames(place, store, files)
      for (const file of files.filter(isEntryFile)) {
        const sealed = await place.get(file)
        if (sealed) names.push((await opening(store, file, sealed)).name)
      }
      return [...new Set(names)].sort()
    },
  }
}

/** @throws CONFIG_INVALID when a passphrase is given and empty */
function requirePassphrase(passphrase: string | undefined): void {
  if (passphrase !== undefined && typeof passphrase !== 'string') {
    throw new PolyVeilError('CONFIG_INVALID', 'The passphrase of the key store must be a string', {
      field: 'passphrase',
    })
  }
  if (passphrase !== '') return
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'The passphrase of the key store is empty, which protects nothing; give one, or none at all (in Node: unset ' +
      'POLYVEIL_PASSPHRASE)',
    { field: 'passphrase' },
  )
}

/**
 * Moves an entry of PolyVeil 0.1 to its current file. @returns its bytes; undefined when it does not exist
 */
async function moveOld(place: EntryPlace, store: EntryCipher, name: string): Promise<Uint8Array | undefined> {
  const bytes = await oldEntry(place, store, name)
  if (bytes === undefined) return undefined
  const moved = await addEntry(place, store, name, bytes)
  await place.delete(oldEntryFile(name))
  return moved
}

async function addEntry(
  place: EntryPlace,
  store: EntryCipher,
  name: string,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const file = entryFile(await store.tagOf(name))
  return (await opening(store, file, await place.add(file, await sealing(store, file, name, bytes)))).bytes
}

// An entry is encrypted with the name of its file as additional data. Its plaintext is the length of its own
// name in two bytes, little-endian, then the name, then the bytes. So names can be listed, and one entry
// cannot replace another.
const LENGTH_BYTES = 2

async function sealing(
  store: EntryCipher,
  file: string,
  name: string,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const nameBytes = utf8ToBytes(name)
  if (nameBytes.length >= 2 ** (8 * LENGTH_BYTES)) {
    throw new PolyVeilError('CONFIG_INVALID', 'The name of a key store entry is longer than 65535 bytes')
  }
  const whole = new Uint8Array(LENGTH_BYTES + nameBytes.length + bytes.length)
  new DataView(whole.buffer).setUint16(0, nameBytes.length, true)
  whole.set(nameBytes, LENGTH_BYTES)
  whole.set(bytes, LENGTH_BYTES + nameBytes.length)
  const sealed = await store.encrypt(file, whole)
  whole.fill(0)
  return sealed
}

async function opening(
  store: EntryCipher,
  file: string,
  sealed: Uint8Array,
): Promise<{ readonly name: string; readonly bytes: Uint8Array }> {
  const whole = await store.decrypt(file, sealed).catch((cause) => {
    throw damaged(file, cause)
  })
  const end = LENGTH_BYTES + new DataView(whole.buffer).getUint16(0, true)
  const name = new TextDecoder().decode(whole.subarray(LENGTH_BYTES, end))
  const bytes = whole.slice(end)
  whole.fill(0)
  return { name, bytes }
}

/** Named, so that one damaged entry can be put aside and the others be listed and deleted. */
const damaged = (file: string, cause: unknown): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The entry ${file} of the key store is damaged, or not of this store`,
    { file },
    {
      cause,
      remedy:
        'Restore it from a backup; or move it elsewhere, and what it held is made anew where that can be.',
    },
  )
