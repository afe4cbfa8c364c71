import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { z } from 'zod'
import { keySetsEntry, keySetsOfEntry, parametersOfEntry, secretKeyEntry } from './entry-names.ts'
import type { KeyStore } from './key-store.ts'

/** Key sets that are remembered for one secret key on one server. */
const MAX_REMEMBERED = 64

// The entry about the key sets of one secret key on one server. PolyVeil 0.1 wrote only id and elements.
const rememberedSchema = z
  .array(
    z.object({
      id: z.string().max(128),
      galoisElements: z.array(z.int()),
      server: z.string().optional(),
      parametersDigest: z.string().optional(),
      expires: z.string().optional(),
    }),
  )
  .max(MAX_REMEMBERED)

/** A key set that a client has uploaded. Its id is a secret, which allows to use and delete the set. */
export type RememberedKeySet = Readonly<z.infer<typeof rememberedSchema>[number]>

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

/** Entries of a key store about keys and key sets. It asks no server. */
export class KeyBook {
  readonly #store: KeyStore

  constructor(store: KeyStore) {
    this.#store = store
  }

  /** The key sets on a server that were made with one secret key, the latest first. */
  async keySets(serverDigest: string, fingerprint: string): Promise<readonly RememberedKeySet[]> {
    const entry = await this.#store.get(keySetsEntry(serverDigest, fingerprint))
    return entry ? rememberedSchema.parse(JSON.parse(new TextDecoder().decode(entry))) : []
  }

  /** Replaces the entry about key sets, or deletes it when the list is empty. */
  async remember(
    serverDigest: string,
    fingerprint: string,
    keySets: readonly RememberedKeySet[],
  ): Promise<void> {
    const name = keySetsEntry(serverDigest, fingerprint)
    if (keySets.length === 0) await this.#store.delete(name)
    else await this.#store.put(name, utf8ToBytes(JSON.stringify(keySets.slice(0, MAX_REMEMBERED))))
  }

  async forget(serverDigest: string, fingerprint: string, id: string): Promise<void> {
    const present = await this.keySets(serverDigest, fingerprint)
    const others = present.filter((keySet) => keySet.id !== id)
    if (others.length < present.length) await this.remember(serverDigest, fingerprint, others)
  }

  /**
   * All keys of the store with their key sets.
   *
   * @param serverDigest a server whose entries are also looked up by name, since those of PolyVeil 0.1 cannot
   *   be listed
   */
  async keys(serverDigest?: string): Promise<BookedKey[]> {
    const secrets = await this.#secretKeys()
    if (serverDigest !== undefined) {
      for (const fingerprint of secrets.keys()) await this.keySets(serverDigest, fingerprint)
    }
    const servers = new Map<string, BookedServer[]>()
    for (const name of await this.#store.names()) {
      const entry = keySetsOfEntry(name)
      if (entry === undefined) continue
      const keySets = await this.keySets(entry.server, entry.fingerprint)
      const others = servers.get(entry.fingerprint) ?? []
      servers.set(entry.fingerprint, [...others, { digest: entry.server, keySets }])
    }
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

/** Names a secret key without revealing it: a digest of more than 128 bits of entropy. */
export const fingerprintOf = (frame: Uint8Array): string => bytesToHex(sha256(frame))

/** The name of a server in entries. */
export const serverDigestOf = (href: string): string => bytesToHex(sha256(utf8ToBytes(href)))

/** The name of a key set in a server's log: the first characters of its id's digest. */
export const keySetName = (id: string): string => bytesToHex(sha256(utf8ToBytes(id))).slice(0, 12)
