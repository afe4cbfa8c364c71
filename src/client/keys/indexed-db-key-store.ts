import { createStore, del, get, keys, set, type UseStore, update } from 'idb-keyval'
import { optionsArgument, textArgument } from '../arguments.ts'
import { encryptedKeyStore } from './encrypted-key-store.ts'
import type { EntryPlace } from './entry-place.ts'
import type { KeyStore } from './key-store.ts'

export interface IndexedDbKeyStoreOptions {
  /** Passphrase that protects the entries. */
  readonly passphrase?: string
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
 * damaged, and what the browser throws when it has no room. Nothing is written under a wrong passphrase.
 *
 * @param name of the database
 * @throws CONFIG_INVALID when the name or the passphrase is empty or no text, and for other options
 */
export function indexedDbKeyStore(name = 'polyveil-keys', options: IndexedDbKeyStoreOptions = {}): KeyStore {
  const { passphrase } = optionsArgument(options, ['passphrase'])
  textArgument('The name of a key store', name)
  return encryptedKeyStore(database(name), passphrase)
}

function database(name: string): EntryPlace {
  let opened: UseStore | undefined
  const entries = (): UseStore => {
    opened ??= createStore(name, 'entries')
    return opened
  }
  return {
    get: (key) => get<Uint8Array>(key, entries()),
    put: (key, bytes) => set(key, bytes, entries()),
    delete: (key) => del(key, entries()),
    names: () => keys<string>(entries()),
    // The database is made at its first use.
    make: async () => {},
    // Transactions leave nothing behind.
    tidy: async () => {},
    async add(key, bytes) {
      let there = bytes
      // One transaction, so that no other page can write in between.
      await update<Uint8Array>(
        key,
        (present) => {
          there = present ?? bytes
          return there
        },
        entries(),
      )
      return there
    },
  }
}
