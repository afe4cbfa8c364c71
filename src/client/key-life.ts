import {
  keyStoreArgument,
  optionArgument,
  optionsArgument,
  refuseUndefined,
  undefinedArgument,
} from './arguments.ts'
import type { KeySets, UploadedKeys } from './key-sets.ts'
import type { KeyOnServer } from './keys/entry-names.ts'
import {
  type BookedKey,
  KeyBook,
  keySetName,
  type RememberedKeySet,
  serverDigestOf,
} from './keys/key-book.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { KeyRing } from './local/key-ring.ts'
import type { LocalModel } from './local/local-model.ts'
import { CALL_OPTIONS, type CallOptions } from './progress.ts'
import { TimeLimit } from './time-limit.ts'
import { deleteKeySet, storedIfPresent } from './transport/key-upload.ts'
import type { Transport } from './transport/transport.ts'

/** A key set that a client has uploaded. */
export interface KeptKeySet {
  /**
   * The first characters of the hash of its id, as in the server's log. The id itself is a secret.
   */
  readonly name: string
  /** Address of its server; absent for key sets that PolyVeil 0.1 uploaded to another server. */
  readonly server?: string
  /** Time in ISO 8601 that the server gave, now or at the upload. */
  readonly expires?: string
  readonly galoisKeys: number
  /**
   * State on the server; `unasked` when it was not asked. A key set that is `gone` has expired or was
   * deleted.
   */
  readonly state: 'stored' | 'incomplete' | 'gone' | 'unasked'
}

/** A secret key with the key sets that were made with it. */
export interface KeptKey {
  /**
   * Digest of the encryption parameters; absent when the secret key is deleted and PolyVeil 0.1 made its key
   * sets.
   */
  readonly parametersDigest?: string
  /** Whether the store has the secret key. Without it the key sets are useless and can be deleted. */
  readonly hasSecretKey: boolean
  readonly keySets: readonly KeptKeySet[]
}

/** Result of a deletion. */
export interface DeletedKeys {
  /** Digests of the parameters whose secret keys are deleted. */
  readonly secretKeys: readonly string[]
  /** Key sets that were deleted on the server; `gone` when it did not have them any more. */
  readonly keySets: readonly KeptKeySet[]
  /**
   * Key sets of these secret keys on other servers. They are useless, and stay until they expire or are
   * deleted there.
   */
  readonly remaining: readonly KeptKeySet[]
}

export interface DeleteOptions extends CallOptions {
  /**
   * Parameters whose keys are deleted; all when absent. Undefined is refused, since a variable may be
   * missing.
   */
  readonly parametersDigests?: readonly string[]
  /** Deletes only key sets whose secret key is deleted, such as those that a rotation left on this server. */
  readonly leftOver?: boolean
}

const DELETE_OPTIONS = ['parametersDigests', 'leftOver', ...CALL_OPTIONS] as const

/** Result of a rotation: the new key set, and remaining key sets of the old key. */
export interface RotatedKeys extends UploadedKeys {
  /**
   * Key sets of the old key on other servers. They are useless, and stay until they expire or are deleted
   * there.
   */
  readonly remaining: readonly KeptKeySet[]
}

/** Lists the keys of a store without asking a server. @throws CONFIG_INVALID when it is no key store */
export async function listKeys(store: KeyStore): Promise<KeptKey[]> {
  const keys = await new KeyBook(keyStoreArgument(store, 'listKeys(keys)')).keys()
  return keys.map((key) => kept(key, (keySet) => shown(keySet, 'unasked')))
}

/**
 * Deletes secret keys from a store. Key sets on servers stay.
 *
 * @param chosen digests of the parameters whose keys are deleted; all keys when the argument is left out
 * @throws CONFIG_INVALID when the argument is there but is no list of digests, such as undefined
 */
export async function deleteKeys(
  store: KeyStore,
  ...chosen: [parametersDigests?: readonly string[]]
): Promise<DeletedKeys> {
  const book = new KeyBook(keyStoreArgument(store, 'deleteKeys(keys)'))
  const [parametersDigests] = chosen
  if (chosen.length > 0) {
    if (parametersDigests === undefined) throw undefinedArgument('The second argument of deleteKeys')
    optionArgument('parametersDigests', parametersDigests)
  }
  const keys = (await book.keys()).filter(isChosen(parametersDigests))
  const secretKeys = secretKeysOf(keys)
  for (const digest of secretKeys) await book.deleteSecretKey(digest)
  const remaining = keys.flatMap(({ servers }) => servers.flatMap(({ keySets }) => keySets))
  return { secretKeys, keySets: [], remaining: remaining.map((keySet) => shown(keySet, 'unasked')) }
}

/** Parts of a connection that `KeyLife` works with. */
export interface KeyLifeParts {
  readonly ring: KeyRing
  readonly keySets: KeySets
  /** A model whose manifest is pinned. */
  readonly model: (name: string, signal?: AbortSignal) => Promise<LocalModel>
  /** Limit on each call's requests about existing key sets. */
  readonly maxSeconds: number
}

/** Lists, rotates and deletes a client's keys on one server. */
export class KeyLife {
  readonly #transport: Transport
  readonly #book: KeyBook
  readonly #ring: KeyRing
  readonly #keySets: KeySets
  readonly #model: KeyLifeParts['model']
  readonly #maxSeconds: number

  constructor(transport: Transport, store: KeyStore, { ring, keySets, model, maxSeconds }: KeyLifeParts) {
    this.#transport = transport
    this.#book = new KeyBook(store)
    this.#ring = ring
    this.#keySets = keySets
    this.#model = model
    this.#maxSeconds = maxSeconds
  }

  /**
   * Lists all secret keys of the store with their key sets, and asks the server about its own. Key sets that
   * the server does not have any more are forgotten.
   */
  async list(options: CallOptions = {}): Promise<KeptKey[]> {
    const { signal } = optionsArgument(options, CALL_OPTIONS)
    return this.#limited(signal, (limited) => this.#list(limited))
  }

  async #list(signal: AbortSignal): Promise<KeptKey[]> {
    const result: KeptKey[] = []
    for (const key of await this.#book.keys(this.#server)) {
      const asked = new Map<RememberedKeySet, KeptKeySet>()
      for (const keySet of this.#here(key)) asked.set(keySet, await this.#ask(key, keySet, signal))
      result.push(kept(key, (keySet) => asked.get(keySet) ?? shown(keySet, 'unasked')))
    }
    return result
  }

  /**
   * Replaces the secret key of a model's parameters, which other models of the same parameters share. First
   * the old key and its key sets on this server are deleted; ciphertexts under it cannot be decrypted any
   * more. Then a new key is made and its key set is uploaded.
   *
   * @throws the server's error for a deletion; then only the key sets before it are deleted
   */
  async rotate(model: string, options: CallOptions = {}): Promise<RotatedKeys> {
    optionsArgument(options, CALL_OPTIONS)
    const local = await this.#model(model, options.signal)
    const parametersDigests = [local.parameters.digest]
    const { remaining } = await this.delete({ signal: options.signal, parametersDigests })
    return { ...(await this.#keySets.ensure(local, options)), remaining }
  }

  /**
   * Deletes secret keys in the store, and their key sets on this server.
   *
   * @param given what to delete; all keys when the argument is left out
   * @throws CONFIG_INVALID when the argument, or a field that chooses keys, is there but undefined
   * @throws the server's error; a secret key is deleted only after all of its key sets on this server
   */
  async delete(...given: [options?: DeleteOptions]): Promise<DeletedKeys> {
    if (given.length > 0 && given[0] === undefined) throw undefinedArgument('The argument of keySets.delete')
    const options = optionsArgument(given[0], DELETE_OPTIONS)
    refuseUndefined(options, ['parametersDigests', 'leftOver'])
    const { signal, ...chosen } = options
    return this.#limited(signal, (limited) => this.#delete({ ...chosen, signal: limited }))
  }

  async #delete({ signal, parametersDigests, leftOver = false }: DeleteOptions): Promise<DeletedKeys> {
    const chosen = (await this.#book.keys(this.#server))
      .filter(isChosen(parametersDigests))
      .filter(({ hasSecretKey }) => !(leftOver && hasSecretKey))
    const keySets: KeptKeySet[] = []
    for (const key of chosen) {
      for (const keySet of this.#here(key)) {
        const wasThere = await deleteKeySet(this.#transport, keySet.id, signal)
        await this.#book.forget(this.#on(key), keySet.id)
        keySets.push(shown(keySet, wasThere ? 'stored' : 'gone'))
      }
    }
    const secretKeys = secretKeysOf(chosen)
    for (const digest of secretKeys) {
      await this.#ring.delete(digest)
      this.#keySets.forgetAll(digest)
    }
    const elsewhere = chosen.flatMap(({ servers }) => servers.filter(({ digest }) => digest !== this.#server))
    const remaining = elsewhere.flatMap((server) => server.keySets.map((keySet) => shown(keySet, 'unasked')))
    return { secretKeys, keySets, remaining }
  }

  #limited<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const time = new TimeLimit('requests about keys', this.#maxSeconds, this.#transport.base.origin)
    return time.within(signal, work)
  }

  get #server(): string {
    return serverDigestOf(this.#transport.base.href)
  }

  #on({ fingerprint }: BookedKey): KeyOnServer {
    return { server: this.#server, fingerprint }
  }

  #here({ servers }: BookedKey): readonly RememberedKeySet[] {
    return servers.find(({ digest }) => digest === this.#server)?.keySets ?? []
  }

  async #ask(key: BookedKey, keySet: RememberedKeySet, signal: AbortSignal | undefined): Promise<KeptKeySet> {
    const stored = await storedIfPresent(this.#transport, keySet.id, signal)
    const server = keySet.server ?? this.#transport.address
    if (stored === undefined) {
      await this.#book.forget(this.#on(key), keySet.id)
      return { ...shown(keySet, 'gone'), server }
    }
    const { expires, complete } = stored
    return { ...shown({ ...keySet, expires }, complete ? 'stored' : 'incomplete'), server }
  }
}

const isChosen =
  (digests: readonly string[] | undefined) =>
  ({ parametersDigest }: BookedKey): boolean =>
    digests === undefined || (parametersDigest !== undefined && digests.includes(parametersDigest))

const secretKeysOf = (keys: readonly BookedKey[]): string[] =>
  keys.flatMap(({ hasSecretKey, parametersDigest }) =>
    hasSecretKey && parametersDigest !== undefined ? [parametersDigest] : [],
  )

const kept = (
  { parametersDigest, hasSecretKey, servers }: BookedKey,
  show: (keySet: RememberedKeySet) => KeptKeySet,
): KeptKey => ({
  parametersDigest,
  hasSecretKey,
  keySets: servers.flatMap(({ keySets }) => keySets.map(show)),
})

const shown = (
  { id, server, expires, galoisElements }: RememberedKeySet,
  state: KeptKeySet['state'],
): KeptKeySet => ({ name: keySetName(id), server, expires, galoisKeys: galoisElements.length, state })
