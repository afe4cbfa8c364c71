import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import * as z from 'zod'
import { PolyVeilError } from '../../errors/index.ts'
import {
  type KeyOnServer,
  keySetEntriesOf,
  keySetEntry,
  keySetListEntry,
  parametersOfEntry,
  placeOfKeySet,
  placeOfKeySetList,
  secretKeyEntry,
} from './entry-names.ts'
import type { KeyStore } from './key-store.ts'

/** Key sets that are remembered for one secret key on one server. */
const MAX_REMEMBERED = 64

// PolyVeil 0.1 wrote only id and elements.
const keySetSchema = z.object({
  id: z.string().max(128),
  galoisElements: z.array(z.int()),
  server: z.string().optional(),
  parametersDigest: z.string().optional(),
  expires: z.string().optional(),
  /** Time of the upload by the client's clock, in ISO 8601. */
  uploaded: z.string().optional(),
})

/** Earlier versions keep all key sets of one secret key on one server in one entry, the latest first. */
const listSchema = z.array(keySetSchema).max(MAX_REMEMBERED)

/** A key set that a client has uploaded. Its id is a secret, which allows to use and delete the set. */
export type RememberedKeySet = Readonly<z.infer<typeof keySetSchema>>

/** A secret key, which may be deleted, with the key sets that were made with it. */
export interface BookedKey {
  /** Absent when the secret key is deleted and PolyVeil 0.1 made its key sets. */
  readonly parametersDigest?: string
  /** Whether the store has the secret key. Without it the key sets are useless and can be deleted. */
  readonly hasSecretKey: boolean
  readonly fingerprint: string
  readonly servers: readonly BookedServer[]
}

/** The key sets of one secret key on one server. */
export interface BookedServer {
  /** Digest of the server's address. */
  readonly digest: string
  readonly keySets: readonly RememberedKeySet[]
}

/**
 * Entries of a key store about keys and key sets. It asks no server. Several processes may share the store:
 * no method reads an entry in order to write it back.
 */
export class KeyBook {
  readonly #store: KeyStore

  constructor(store: KeyStore) {
    this.#store = store
  }

  /**
   * The key sets on a server that were made with one secret key, the latest first.
   *
   * @throws CONFIG_INVALID when an entry is damaged
   */
  async keySets(place: KeyOnServer): Promise<readonly RememberedKeySet[]> {
    await this.#splitList(place)
    const prefix = keySetEntriesOf(place)
    const names = (await this.#store.names()).filter((name) => name.startsWith(prefix))
    return latestFirst(await Promise.all(names.map((name) => this.#keySet(name))))
  }

  /** Remembers a key set that has just been uploaded. Of too many, the oldest are forgotten. */
  async remember(place: KeyOnServer, keySet: RememberedKeySet): Promise<void> {
    await this.#add(place, { ...keySet, uploaded: new Date().toISOString() })
    const tooMany = (await this.keySets(place)).slice(MAX_REMEMBERED)
    for (const { id } of tooMany) await this.forget(place, id)
  }

  async forget(place: KeyOnServer, id: string): Promise<void> {
    await this.#splitList(place)
    await this.#store.delete(keySetEntry(place, digestOf(id)))
  }

  /**
   * All keys of the store with their key sets.
   *
   * @param server digest of a server whose lists are also looked up by name, since those of PolyVeil 0.1
   *   cannot be listed
   */
  async keys(server?: string): Promise<BookedKey[]> {
    const secrets = await this.#secretKeys()
    if (server !== undefined) {
      for (const fingerprint of secrets.keys()) await this.#splitList({ server, fingerprint })
    }
    const servers = await this.#servers()
    const fingerprints = new Set([...secrets.keys(), ...servers.keys()])
    return [...fingerprints].map((fingerprint) => {
      const own = servers.get(fingerprint) ?? []
      const parametersDigest =
        secrets.get(fingerprint) ?? own.flatMap(({ keySets }) => keySets)[0]?.parametersDigest
      return { parametersDigest, hasSecretKey: secrets.has(fingerprint), fingerprint, servers: own }
    })
  }

  /**
   * Deletes a secret key. The entries about its key sets stay, so that they can be deleted on their servers.
   */
  async deleteSecretKey(parametersDigest: string): Promise<void> {
    await this.#store.delete(secretKeyEntry(parametersDigest))
  }

  /** Servers with key sets, by the fingerprints of their secret keys. */
  async #servers(): Promise<Map<string, BookedServer[]>> {
    for (const name of await this.#store.names()) {
      const place = placeOfKeySetList(name)
      if (place) await this.#splitList(place)
    }
    const places = new Map<string, KeyOnServer>()
    for (const name of await this.#store.names()) {
      const place = placeOfKeySet(name)
      if (place) places.set(keySetEntriesOf(place), place)
    }
    const servers = new Map<string, BookedServer[]>()
    for (const place of places.values()) {
      const booked = { digest: place.server, keySets: await this.keySets(place) }
      servers.set(place.fingerprint, [...(servers.get(place.fingerprint) ?? []), booked])
    }
    return servers
  }

  /** Moves the key sets of an earlier version's list to entries of their own. */
  async #splitList(place: KeyOnServer): Promise<void> {
    const name = keySetListEntry(place)
    const list = await this.#store.get(name)
    if (list === undefined) return
    for (const keySet of parsed(listSchema, list)) await this.#add(place, keySet)
    await this.#store.delete(name)
  }

  async #add(place: KeyOnServer, keySet: RememberedKeySet): Promise<void> {
    await this.#store.add(keySetEntry(place, digestOf(keySet.id)), utf8ToBytes(JSON.stringify(keySet)))
  }

  /** @returns undefined when another process has deleted it */
  async #keySet(name: string): Promise<RememberedKeySet | undefined> {
    const entry = await this.#store.get(name)
    return entry && parsed(keySetSchema, entry)
  }

  /** Digests of parameters by the fingerprints of their secret keys. */
  async #secretKeys(): Promise<Map<string, string>> {
    const secrets = new Map<string, string>()
    for (const name of await this.#store.names()) {
      const parametersDigest = parametersOfEntry(name)
      if (parametersDigest === undefined) continue
      const frame = await this.#store.get(name)
      if (frame === undefined) continue
      secrets.set(fingerprintOf(frame), parametersDigest)
      frame.fill(0)
    }
    return secrets
  }
}

function latestFirst(keySets: readonly (RememberedKeySet | undefined)[]): RememberedKeySet[] {
  const time = ({ uploaded, expires }: RememberedKeySet): string => uploaded ?? expires ?? ''
  return keySets.filter((keySet) => keySet !== undefined).sort((a, b) => (time(a) < time(b) ? 1 : -1))
}

/** @throws CONFIG_INVALID when an entry does not have the schema's form */
function parsed<T>(schema: z.ZodType<T>, entry: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(entry)))
  } catch (cause) {
    throw new PolyVeilError('CONFIG_INVALID', 'An entry about uploaded keys is damaged', {}, { cause })
  }
}

const digestOf = (text: string): string => bytesToHex(sha256(utf8ToBytes(text)))

/** Names a secret key without revealing it: a digest of more than 128 bits of entropy. */
export const fingerprintOf = (frame: Uint8Array): string => bytesToHex(sha256(frame))

/** The name of a server in entries. */
export const serverDigestOf = (href: string): string => digestOf(href)

/** The name of a key set in a server's log: the first characters of its id's digest. */
export const keySetName = (id: string): string => digestOf(id).slice(0, 12)
