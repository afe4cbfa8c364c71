import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { EntryCipher } from './cipher.ts'
import type { KeyStore } from './key-store.ts'
import { openStore } from './store-cipher.ts'

/**
 * A store whose entries lie encrypted with AES-256-GCM in a place that keeps bytes as they are.
 *
 * With a passphrase the encryption key is derived from it with scrypt: who gets hold of the place learns nothing unless the
 * passphrase can be guessed. Without one, a random key is kept beside the entries. The way is fixed when the place is first
 * used.
 *
 * All methods throw CONFIG_INVALID when the passphrase is missing, wrong or not expected, or an entry is damaged.
 */
export function encryptedKeyStore(kept: KeyStore, passphrase: string | undefined): KeyStore {
  let opened: Promise<EntryCipher> | undefined
  const cipher = (): Promise<EntryCipher> => {
    opened ??= openStore(kept, passphrase)
    // A failure, such as a wrong passphrase, is told again and not kept.
    opened.catch(() => {
      opened = undefined
    })
    return opened
  }
  return {
    async get(name) {
      const sealed = await kept.get(entryOf(name))
      return sealed && (await cipher()).decrypt(name, sealed)
    },
    async put(name, bytes) {
      await kept.put(entryOf(name), await (await cipher()).encrypt(name, bytes))
    },
    async add(name, bytes) {
      const { encrypt, decrypt } = await cipher()
      return decrypt(name, await kept.add(entryOf(name), await encrypt(name, bytes)))
    },
  }
}

/** Names may hold anything; what entries are kept under is their digests, and tells nothing. */
const entryOf = (name: string): string => `${bytesToHex(sha256(utf8ToBytes(name))).slice(0, 40)}.entry`
