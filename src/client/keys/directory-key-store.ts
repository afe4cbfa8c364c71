import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { EntryCipher } from './cipher.ts'
import { openDirectory } from './directory-cipher.ts'
import { addFile, readIfPresent, replaceFile } from './files.ts'
import type { KeyStore } from './key-store.ts'

export interface DirectoryKeyStoreOptions {
  /** Protects the entries; without it the environment variable POLYVEIL_PASSPHRASE does. */
  readonly passphrase?: string
}

/**
 * A store in a directory, for Node: a file for each entry, encrypted with AES-256-GCM, readable by its owner alone.
 * Several processes may share it.
 *
 * With a passphrase the encryption key is derived from it with scrypt: who gets hold of the files learns nothing unless
 * the passphrase can be guessed. Without one, a random key is kept beside the entries in `store.key` (mode 0600). That
 * protects an entry that gets away alone, and nothing against someone who can read the whole directory; keep it on an
 * encrypted disk, or set a passphrase. The way is fixed when the directory is first used.
 *
 * All methods throw CONFIG_INVALID when the passphrase is missing, wrong or not expected, or an entry is damaged.
 */
export function directoryKeyStore(path: string, { passphrase }: DirectoryKeyStoreOptions = {}): KeyStore {
  let opened: Promise<EntryCipher> | undefined
  const cipher = (): Promise<EntryCipher> => {
    opened ??= openDirectory(path, passphrase ?? process.env.POLYVEIL_PASSPHRASE)
    // A failure, such as a wrong passphrase, is told again and not kept.
    opened.catch(() => {
      opened = undefined
    })
    return opened
  }
  return {
    async get(name) {
      const sealed = await readIfPresent(path, fileOf(name))
      return sealed && (await cipher()).decrypt(name, sealed)
    },
    async put(name, bytes) {
      await replaceFile(path, fileOf(name), await (await cipher()).encrypt(name, bytes))
    },
    async add(name, bytes) {
      const { encrypt, decrypt } = await cipher()
      return decrypt(name, await addFile(path, fileOf(name), await encrypt(name, bytes)))
    },
  }
}

/** Names may hold anything; file names are their digests, and tell nothing. */
const fileOf = (name: string): string => `${bytesToHex(sha256(utf8ToBytes(name))).slice(0, 40)}.entry`
