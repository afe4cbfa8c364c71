import { PolyVeilError } from '../../errors/index.ts'
import { optionsArgument, textArgument } from '../arguments.ts'
import { withDirectoryErrors } from './directory-errors.ts'
import { encryptedKeyStore } from './encrypted-key-store.ts'
import { type EntryPlace, isStoreFile } from './entry-place.ts'
import type { KeyStore } from './key-store.ts'

export interface DirectoryKeyStoreOptions {
  /** Passphrase that protects the entries; by default the environment variable POLYVEIL_PASSPHRASE. */
  readonly passphrase?: string
}

/**
 * A store in a directory, for Node, with a file for each entry, which is encrypted with AES-256-GCM and
 * readable only by its owner. Several processes may share it.
 *
 * With a passphrase, scrypt derives the encryption key from it, and the files reveal nothing unless the
 * passphrase can be guessed. Without one, a random key is kept beside the entries in `store.key` (mode 0600).
 * That protects a single copied entry, but nothing from a reader of the whole directory: keep it on an
 * encrypted disk, or set a passphrase. The first use of the directory decides which. File names reveal
 * nothing of the entries.
 *
 * A store notices when its directory is deleted or replaced: its entries are gone, and the next entry makes a
 * new store.
 *
 * All methods throw CONFIG_INVALID when the passphrase is missing, wrong or not expected, or an entry is
 * damaged. Nothing is written under a wrong passphrase.
 *
 * @throws CONFIG_INVALID in a browser, when the path or the passphrase is empty or no text, and for other
 *   options
 */
export function directoryKeyStore(path: string, options: DirectoryKeyStoreOptions = {}): KeyStore {
  const { passphrase } = optionsArgument(options, ['passphrase'])
  textArgument('The path of a key store', path)
  if (globalThis.process?.versions?.node === undefined) {
    throw new PolyVeilError('CONFIG_INVALID', 'A browser has no directories for keys; use indexedDbKeyStore')
  }
  return encryptedKeyStore(
    withDirectoryErrors(path, directory(path)),
    passphrase === undefined ? process.env.POLYVEIL_PASSPHRASE : passphrase,
  )
}

/** The files of a directory. The module that reads and writes them is loaded only in Node. */
function directory(path: string): EntryPlace {
  const files = () => import('../../files/atomic.ts')
  return {
    make: async () => (await files()).makeDirectory(path),
    get: async (name) => (await files()).readIfPresent(path, name),
    put: async (name, bytes) => (await files()).replaceFile(path, name, bytes),
    add: async (name, bytes) => (await files()).addFile(path, name, bytes),
    delete: async (name) => (await files()).removeFile(path, name),
    names: async () => (await files()).fileNames(path),
    tidy: async () => (await files()).removeAbandoned(path, isStoreFile),
  }
}
