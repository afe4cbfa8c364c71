import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import { deriveKey, type EntryCipher, entryCipher, KEY_BYTES, SCRYPT_COST } from './cipher.ts'
import {
  CHECK_FILE,
  type EntryPlace,
  HEADER_FILE,
  isEntryFile,
  isOldEntryFile,
  KEY_FILE,
} from './entry-place.ts'
import { opensOldEntries } from './old-entries.ts'

const CHECK_TEXT = 'the key of this store is right'
const SALT_BYTES = 32

// The bounds keep a damaged header from demanding too much memory, or too little work.
const headerSchema = z.strictObject({
  format: z.literal('polyveil-key-store-1'),
  protection: z.discriminatedUnion('kind', [
    z
      .strictObject({
        kind: z.literal('passphrase'),
        salt: z.string().regex(/^[0-9a-f]{64}$/),
        N: z
          .int()
          .min(2 ** 14)
          .max(2 ** 20),
        r: z.int().min(8).max(16),
        p: z.int().min(1).max(4),
      })
      .refine(({ N, r }) => Number.isInteger(Math.log2(N)) && 128 * N * r <= 2 ** 30),
    z.strictObject({ kind: z.literal('keyFile') }),
  ]),
})
type Header = z.infer<typeof headerSchema>

export interface OpenedStore {
  readonly cipher: EntryCipher
  /** Header, key and check value as they were found, which identify the store. */
  readonly files: readonly string[]
}

export interface OpenOptions {
  /** Whether to make the store if it does not exist. */
  readonly make: boolean
  /**
   * The name of an entry that the caller is about to use; in a store of PolyVeil 0.1 it helps to check the
   * key.
   */
  readonly asked?: string
}

/**
 * Opens the cipher of a store. The header, the check value and, without a passphrase, the key are kept beside
 * the entries. Nothing is written under a key that does not open the check value. If the check value is
 * missing, as in a store of PolyVeil 0.1, it is made once an entry has been decrypted.
 *
 * @returns undefined when the store does not exist and `make` is false
 * @throws CONFIG_INVALID when the passphrase is wrong, the store is protected otherwise, or its header, key
 *   or check value is damaged or missing; when a new store would use a key file that it has not made
 */
export async function openStore(
  place: EntryPlace,
  passphrase: string | undefined,
  { make, asked }: OpenOptions,
): Promise<OpenedStore | undefined> {
  // Entries are listed before the check value is read: another process writes its check value before any
  // entry.
  const entries = (await place.names()).filter((file) => isEntryFile(file) || isOldEntryFile(file))
  const check = await place.get(CHECK_FILE)
  const isNew = entries.length === 0 && check === undefined
  if (isNew && !make) return undefined
  if (isNew) await place.make()
  const cipher = await entryCipher(await rawKey(place, passphrase, isNew))
  const opensEntry = (): Promise<boolean> => opensAnEntry(place, cipher, entries, asked)
  if (check !== undefined) {
    if (await isCheck(cipher, check)) return opened(place, cipher)
    throw (await opensEntry()) ? damagedCheck() : wrongKey(passphrase)
  }
  if (!isNew && !(await opensEntry())) throw wrongKey(passphrase)
  const sealed = await cipher.encrypt(CHECK_FILE, utf8ToBytes(CHECK_TEXT))
  if (!(await isCheck(cipher, await place.add(CHECK_FILE, sealed)))) throw wrongKey(passphrase)
  return opened(place, cipher)
}

/** A store whose key is right; only then anything is deleted. */
async function opened(place: EntryPlace, cipher: EntryCipher): Promise<OpenedStore> {
  await place.tidy()
  return { cipher, files: await storeFiles(place) }
}

/** Whether a place still has the store that was opened there: it may have been deleted, or made anew. */
export async function isSameStore(place: EntryPlace, { files }: OpenedStore): Promise<boolean> {
  const found = await storeFiles(place)
  return found.every((file, i) => file === files[i])
}

/** Header, key and check value in hex; empty where there is none. */
const storeFiles = (place: EntryPlace): Promise<string[]> =>
  Promise.all(
    [HEADER_FILE, KEY_FILE, CHECK_FILE].map(async (file) => {
      const bytes = await place.get(file)
      return bytes === undefined ? '' : bytesToHex(bytes)
    }),
  )

async function rawKey(
  place: EntryPlace,
  passphrase: string | undefined,
  isNew: boolean,
): Promise<Uint8Array> {
  const { protection } = await header(place, passphrase, isNew)
  if (protection.kind === 'keyFile') {
    if (passphrase === undefined) return keptKey(place, isNew)
    throw invalid(
      'The key store was made without a passphrase; open it without one or choose another place for a new one',
    )
  }
  if (passphrase === undefined) {
    throw invalid('The key store is protected by a passphrase; give it, or in Node set POLYVEIL_PASSPHRASE')
  }
  const { salt, N, r, p } = protection
  return deriveKey(passphrase, hexToBytes(salt), { N, r, p })
}

/** Whether the cipher has the key of entries whose check value is missing. */
async function opensAnEntry(
  place: EntryPlace,
  cipher: EntryCipher,
  entries: readonly string[],
  asked: string | undefined,
): Promise<boolean> {
  for (const file of entries.filter(isEntryFile)) {
    const sealed = await place.get(file)
    const bytes = sealed && (await cipher.decrypt(file, sealed).catch(() => undefined))
    bytes?.fill(0)
    if (bytes) return true
  }
  return opensOldEntries(place, cipher, entries, asked)
}

/** Whether a check value is the fixed text under the cipher's key. */
async function isCheck(cipher: EntryCipher, check: Uint8Array): Promise<boolean> {
  const found = await cipher.decrypt(CHECK_FILE, check).catch(() => undefined)
  return found !== undefined && new TextDecoder().decode(found) === CHECK_TEXT
}

const damagedCheck = (): PolyVeilError =>
  invalid(
    `The key store's ${CHECK_FILE} is damaged, and its entries are not; delete ${CHECK_FILE}, and it is made anew`,
  )

const wrongKey = (passphrase: string | undefined): PolyVeilError =>
  passphrase === undefined
    ? invalid(
        `The key store's ${KEY_FILE} is not the key of its entries, or the store is damaged; nothing was written`,
      )
    : new PolyVeilError(
        'CONFIG_INVALID',
        'The passphrase of the key store is wrong, or the store is damaged; nothing was written. Give the passphrase that ' +
          'the store was made with, in Node by POLYVEIL_PASSPHRASE too',
        { field: 'passphrase' },
      )

async function header(place: EntryPlace, passphrase: string | undefined, isNew: boolean): Promise<Header> {
  const fresh: Header = {
    format: 'polyveil-key-store-1',
    protection:
      passphrase === undefined
        ? { kind: 'keyFile' }
        : { kind: 'passphrase', salt: bytesToHex(randomBytes(SALT_BYTES)), ...SCRYPT_COST },
  }
  // A header is written before its key, so that a key without a header is not of this store.
  const keyBefore = await place.get(KEY_FILE)
  const found = await place.get(HEADER_FILE)
  if (found === undefined && !isNew) throw missing(HEADER_FILE)
  if (found === undefined && keyBefore !== undefined) {
    throw invalid(
      `There is a file ${KEY_FILE}, and no key store that it belongs to; move it, or choose another place`,
    )
  }
  const bytes = found ?? (await place.add(HEADER_FILE, utf8ToBytes(`${JSON.stringify(fresh)}\n`)))
  return parseHeader(new TextDecoder().decode(bytes))
}

function parseHeader(text: string): Header {
  try {
    return headerSchema.parse(JSON.parse(text))
  } catch {
    throw invalid(`The key store's ${HEADER_FILE} is damaged, or of another version`)
  }
}

async function keptKey(place: EntryPlace, isNew: boolean): Promise<Uint8Array> {
  const found = await place.get(KEY_FILE)
  if (found === undefined && !isNew) throw missing(KEY_FILE)
  const key = found ?? (await place.add(KEY_FILE, randomBytes(KEY_BYTES)))
  if (key.length !== KEY_BYTES) throw invalid(`The key store's ${KEY_FILE} is damaged`)
  return key
}

/** The error for a missing header or key. Making a new one would hide that the entries are lost. */
const missing = (file: string): PolyVeilError =>
  invalid(`The key store has entries, but its ${file} is missing; put it back, or choose another place`)

const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length))

const invalid = (message: string): PolyVeilError => new PolyVeilError('CONFIG_INVALID', message)
