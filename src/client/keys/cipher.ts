import { scryptAsync } from '@noble/hashes/scrypt.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { PolyVeilError } from '../../errors/index.ts'

export const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * Cost of scrypt: 2^17 x 8 x 128 bytes = 128 MB and about a second for each guess of a passphrase (RFC 7914).
 */
export interface ScryptCost {
  readonly N: number
  readonly r: number
  readonly p: number
}
export const SCRYPT_COST = Object.freeze({ N: 2 ** 17, r: 8, p: 1 } as const) satisfies ScryptCost

/** Derives a 256-bit key from a passphrase. */
export const deriveKey = (passphrase: string, salt: Uint8Array, cost: ScryptCost): Promise<Uint8Array> =>
  scryptAsync(passphrase.normalize('NFKC'), salt, { ...cost, dkLen: KEY_BYTES })

/**
 * Encrypts entries with AES-256-GCM under random nonces, with their names as additional data, and makes tags
 * of names.
 */
export interface EntryCipher {
  /** @returns nonce, then ciphertext and tag */
  encrypt(name: string, bytes: Uint8Array): Promise<Uint8Array>
  /** @throws CONFIG_INVALID when the key or the name is another, or a byte was altered */
  decrypt(name: string, sealed: Uint8Array): Promise<Uint8Array>
  /**
   * The plaintext without any check; it is garbage under another key. It helps to find the name, with which
   * `decrypt` then checks everything.
   */
  peek(sealed: Uint8Array): Promise<Uint8Array>
  /**
   * HMAC-SHA-256 of a name in hex, under a key derived from the cipher's key: it does not reveal the name.
   */
  tagOf(name: string): Promise<string>
}

/**
 * @param rawKey 32 bytes; overwritten with zeros
 * @throws CONFIG_INVALID when the platform has no WebCrypto, as on web pages over http that are not from
 *   localhost
 */
export async function entryCipher(rawKey: Uint8Array): Promise<EntryCipher> {
  const { subtle } = crypto
  if (subtle === undefined) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      'Keys can be kept in secure contexts alone: https, or localhost',
    )
  }
  const key = await subtle.importKey('raw', Uint8Array.from(rawKey), 'AES-GCM', false, ['encrypt', 'decrypt'])
  const nameKey = await nameKeyFrom(subtle, rawKey)
  rawKey.fill(0)
  const algorithm = (name: string, iv: Uint8Array) => ({
    name: 'AES-GCM',
    iv: Uint8Array.from(iv),
    additionalData: Uint8Array.from(utf8ToBytes(name)),
  })
  return {
    async encrypt(name, bytes) {
      const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES))
      const sealed = await subtle.encrypt(algorithm(name, nonce), key, Uint8Array.from(bytes))
      const out = new Uint8Array(NONCE_BYTES + sealed.byteLength)
      out.set(nonce)
      out.set(new Uint8Array(sealed), NONCE_BYTES)
      return out
    },
    async decrypt(name, sealed) {
      const nonce = sealed.subarray(0, NONCE_BYTES)
      const body = Uint8Array.from(sealed.subarray(NONCE_BYTES))
      try {
        return new Uint8Array(await subtle.decrypt(algorithm(name, nonce), key, body))
      } catch {
        throw new PolyVeilError(
          'CONFIG_INVALID',
          'An entry of the key store is damaged, or not of this store',
        )
      }
    },
    async peek(sealed) {
      const ciphertext = sealed.subarray(NONCE_BYTES, Math.max(NONCE_BYTES, sealed.length - TAG_BYTES))
      // GCM encrypts in counter mode, so encrypting the ciphertext under the same nonce gives the plaintext.
      // The tag that follows it is dropped.
      const iv = sealed.subarray(0, NONCE_BYTES)
      if (iv.length < NONCE_BYTES) return new Uint8Array()
      const twice = await subtle.encrypt(algorithm('', iv), key, Uint8Array.from(ciphertext))
      return new Uint8Array(twice).subarray(0, ciphertext.length)
    },
    async tagOf(name) {
      return bytesToHex(
        new Uint8Array(await subtle.sign('HMAC', nameKey, Uint8Array.from(utf8ToBytes(name)))),
      )
    },
  }
}

const HMAC = { name: 'HMAC', hash: 'SHA-256' } as const

/** Derives a separate key for names, so that no key is used by two algorithms. */
async function nameKeyFrom(subtle: SubtleCrypto, rawKey: Uint8Array): Promise<CryptoKey> {
  const root = await subtle.importKey('raw', Uint8Array.from(rawKey), HMAC, false, ['sign'])
  const derived = new Uint8Array(
    await subtle.sign('HMAC', root, Uint8Array.from(utf8ToBytes('polyveil key store: names of entries'))),
  )
  const nameKey = await subtle.importKey('raw', derived, HMAC, false, ['sign'])
  derived.fill(0)
  return nameKey
}
