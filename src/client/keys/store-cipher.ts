import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import { z } from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { deriveKey, type EntryCipher, entryCipher, KEY_BYTES, SCRYPT_COST } from './cipher.ts'
import type { KeyStore } from './key-store.ts'

const HEADER = 'store.json'
const KEY = 'store.key'
const SALT_BYTES = 32

// The bounds keep a damaged header from asking for more memory than there is, or for next to no work.
const headerSchema = z.strictObject({
  format: z.literal('polyveil-key-store-1'),
  protection: z.discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('passphrase'),
      salt: z.string().regex(/^[0-9a-f]{64}$/),
      N: z
        .int()
        .min(2 ** 14)
        .max(2 ** 20),
      r: z.int().min(8).max(16),
      p: z.int().min(1).max(4),
    }),
    z.strictObject({ kind: z.literal('keyFile') }),
  ]),
})
type Header = z.infer<typeof headerSchema>

/**
 * The cipher of a store, whose header is kept beside the entries, and without a passphrase its key, too. They are made when
 * they are not there.
 *
 * @throws CONFIG_INVALID when the store is protected otherwise, or its header or key is damaged
 */
export async function openStore(kept: KeyStore, passphrase: string | undefined): Promise<EntryCipher> {
  const { protection } = await header(kept, passphrase)
  if (protection.kind === 'keyFile') {
    if (passphrase === undefined) return entryCipher(await keptKey(kept))
    throw invalid(
      'The key store was made without a passphrase; open it without one or choose another place for a new one',
    )
  }
  if (passphrase === undefined) {
    throw invalid('The key store is protected by a passphrase; give it, or in Node set POLYVEIL_PASSPHRASE')
  }
  const { salt, N, r, p } = protection
  return entryCipher(await deriveKey(passphrase, hexToBytes(salt), { N, r, p }))
}

async function header(kept: KeyStore, passphrase: string | undefined): Promise<Header> {
  const fresh: Header = {
    format: 'polyveil-key-store-1',
    protection:
      passphrase === undefined
        ? { kind: 'keyFile' }
        : { kind: 'passphrase', salt: bytesToHex(randomBytes(SALT_BYTES)), ...SCRYPT_COST },
  }
  const bytes =
    (await kept.get(HEADER)) ?? (await kept.add(HEADER, utf8ToBytes(`${JSON.stringify(fresh)}\n`)))
  return parseHeader(new TextDecoder().decode(bytes))
}

function parseHeader(text: string): Header {
  try {
    return headerSchema.parse(JSON.parse(text))
  } catch {
    throw invalid(`The key store's ${HEADER} is damaged, or of another version`)
  }
}

async function keptKey(kept: KeyStore): Promise<Uint8Array> {
  const key = (await kept.get(KEY)) ?? (await kept.add(KEY, randomBytes(KEY_BYTES)))
  if (key.length !== KEY_BYTES) throw invalid(`The key store's ${KEY} is damaged`)
  return key
}

const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length))

const invalid = (message: string): PolyVeilError => new PolyVeilError('CONFIG_INVALID', message)
