import { PolyVeilError } from '../../errors/index.ts'
import { withDirectoryErrors } from './directory-errors.ts'
import { encryptedKeyStore } from './encrypted-key-store.ts'
import type { EntryPlace } from './entry-place.ts'
import type { KeyStore } from './key-store.ts'

export interface DirectoryKeyStoreOptions {
  /** Protects the entries; without it the environment variable POLYVEIL_PASSPHRASE does. */
  readonly passphrase?: string
}

/**
 * A store in a directory, for Node: a file for each entry, encrypted with AES-256-GCM, readable by its owner
 * alone. Several processes may share it.
 *
 * With a passphrase the encryption key is derived from it with scrypt: who gets hold of the files learns
 * nothing unless the passphrase can be guessed. Without one, a random key is kept beside the entries in
 * `store.key` (mode 0600). That protects an entry that gets away alone, and nothing against someone who can
 * read the whole directory; keep it on an encrypted disk, or set a passphrase. The way is fixed when the
 * directory is first used. Names of files tell nothing of what they hold.
 *
 * All methods throw CONFIG_INVALID when the passphrase is missing, wrong or not expected, or an entry is
 * damaged. Nothing is written under a wrong passphrase.
 *
 * @throws CONFIG_INVALID in a browser, and when the passphrase is empty
 */
export function directoryKeyStore(path: string, { passphrase }: DirectoryKeyStoreOptions = {}): KeyStore {
  if (globalThis.process?.versions?.node === undefined) {
    throw new PolyVeilError('CONFIG_INVALID', 'A browser has no directories for keys; use indexedDbKeyStore')
  }
  return encryptedKeyStore(
    withDirectoryErrors(path, directory(path)),
    passphrase ?? process.env.POLYVEIL_PASSPHRASE,
  )
}

/** The files of a directory. What handles them is loaded in Node alone. */
function directory(path: string): EntryPlace {
  const files = () => import('./files.ts')
  return {
    get: async (name) => (await files()).readIfPresent(path, name),
    put: async (name, bytes) => (await files()).replaceFile(path, name, bytes),
    add: async (name, bytes) => (await files()).addFile(path, name, bytes),
    delete: async (name) => (await files()).removeFile(path, name),
    names: async () => (await files()).fileNames(path),
  }
}
