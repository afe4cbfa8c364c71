import { optionsArgument, textArgument } from '../arguments.ts'
import { database } from './database.ts'
import { encryptedKeyStore } from './encrypted-key-store.ts'
import type { KeyStore } from './key-store.ts'
import { persists } from './persistence.ts'

export interface IndexedDbKeyStoreOptions {
  /** Passphrase that protects the entries. */
  readonly passphrase?: string
  /**
   * Called once after the first entry is stored, when the browser was asked to keep the data
   * (`navigator.storage.persist`): whether it does. If not, it may delete the keys when disk space is short.
   */
  readonly onPersisted?: (isPersistent: boolean) => void
}

/**
 * A store in a browser's database, for pages and workers in secure contexts. Entries are encrypted with
 * AES-256-GCM. All pages of an origin may share it.
 *
 * With a passphrase, scrypt derives the encryption key from it, and the browser's files reveal nothing unless
 * the passphrase can be guessed. Without one, a random key is kept beside the entries, which does not protect
 * them from other users of the browser or from scripts of the same origin. The first use of the database
 * decides which.
 *
 * All methods throw CONFIG_INVALID when the passphrase is missing, wrong or not expected, or an entry is
 * damaged, and KEY_STORE_UNAVAILABLE when the browser has no room or does not give the database. Nothing is
 * written under a wrong passphrase.
 *
 * @param name of the database
 * @throws CONFIG_INVALID when the name or the passphrase is empty or no text, and for other options
 */
export function indexedDbKeyStore(
  name = DEFAULT_NAME,
  options: IndexedDbKeyStoreOptions = {},
): IndexedDbKeyStore {
  const { passphrase, onPersisted } = optionsArgument(options, ['passphrase', 'onPersisted'])
  return databaseKeyStore(name, passphrase, () => void reportPersistence(onPersisted))
}

export const DEFAULT_NAME = 'polyveil-keys'

/** Asks the browser to keep the data. A page that prompts its user does not wait for the answer. */
export async function reportPersistence(onPersisted: IndexedDbKeyStoreOptions['onPersisted']): Promise<void> {
  const isPersistent = await persists()
  onPersisted?.(isPersistent)
}

/** A key store in a browser's database. */
export interface IndexedDbKeyStore extends KeyStore {
  /**
   * Deletes the database with all keys; no server is told. It needs no passphrase. Connections that use the
   * store make a new key at their next call, and the key sets of the old one expire.
   */
  forget(): Promise<void>
}

/**
 * As `indexedDbKeyStore`, for a Worker, which cannot ask the browser to keep the data.
 *
 * @param onFirstStored called when the first entry has been stored
 */
export function databaseKeyStore(
  name: string,
  passphrase: string | undefined,
  onFirstStored: () => void,
): IndexedDbKeyStore {
  textArgument('The name of a key store', name)
  const place = database(name)
  const store = encryptedKeyStore(place, passphrase)
  let isFirst = true
  const stored = async <T>(entry: Promise<T>): Promise<T> => {
    const result = await entry
    if (isFirst) onFirstStored()
    isFirst = false
    return result
  }
  return {
    ...store,
    put: (entry, bytes) => stored(store.put(entry, bytes)),
    add: (entry, bytes) => stored(store.add(entry, bytes)),
    forget: () => place.forget(),
  }
}
