import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { ClientKey } from '../../he-ops/client/client-key.ts'
import { createClientKey, sampleSecretKey } from '../../he-ops/client/create.ts'
import { decodeSecretKey, encodeSecretKey } from '../../wire/index.ts'
import { keyStoreArgument } from '../arguments.ts'
import { secretKeyEntry } from '../keys/entry-names.ts'
import { fingerprintOf } from '../keys/key-book.ts'
import type { KeyStore } from '../keys/key-store.ts'

/**
 * The secret keys of a store, one for each set of parameters. Each is made on first use and unlocked once.
 */
export class KeyRing {
  readonly #store: KeyStore
  readonly #unlocked = new Map<string, Promise<ClientKey>>()

  /** @throws CONFIG_INVALID when it is no key store */
  constructor(store: KeyStore) {
    this.#store = keyStoreArgument(store, 'new KeyRing(keys)')
  }

  /**
   * The key for these parameters.
   *
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH when the stored key is damaged; errors of the store
   */
  unlock(parameters: CkksParameters): Promise<ClientKey> {
    const { digest } = parameters
    const present = this.#unlocked.get(digest)
    if (present) return present
    const key = this.#load(parameters)
    this.#unlocked.set(digest, key)
    key.catch(() => this.#unlocked.delete(digest))
    return key
  }

  /**
   * The existing key for these parameters. A new key could not decrypt any ciphertext, so none is made.
   *
   * @throws KEYS_MISSING when the store does not have it; errors of `unlock`
   */
  async unlockExisting(parameters: CkksParameters): Promise<ClientKey> {
    const { digest } = parameters
    const present = this.#unlocked.has(digest) || (await this.#store.get(secretKeyEntry(parameters.digest)))
    if (present) return this.unlock(parameters)
    throw new PolyVeilError('KEYS_MISSING', 'The key store has no secret key for these parameters', {
      parametersDigest: digest,
    })
  }

  /**
   * The key for these parameters, if the store still has it. Another program may have deleted or replaced it,
   * and then it must not be published again.
   *
   * @throws KEYS_MISSING when it does not; the next `unlock` takes the store's key, or makes one. Errors of
   *   `unlock`
   */
  async unlockCurrent(parameters: CkksParameters): Promise<ClientKey> {
    const key = await this.unlock(parameters)
    const frame = await this.#store.get(secretKeyEntry(parameters.digest))
    const isCurrent = frame !== undefined && fingerprintOf(frame) === key.fingerprint
    frame?.fill(0)
    if (isCurrent) return key
    this.#unlocked.delete(parameters.digest)
    key.delete()
    throw new PolyVeilError(
      'KEYS_MISSING',
      'The secret key was deleted or replaced in the key store meanwhile; begin again',
      { parametersDigest: parameters.digest },
      {
        remedy:
          "Call again: the store's key is used, or a new one is made and uploaded. Key sets of the old one expire.",
      },
    )
  }

  /**
   * Makes sure that an unlocked key is still the store's. A browser's storage, for example, can be cleared
   * while a page is open.
   *
   * @throws KEYS_MISSING when it is not, as `unlockCurrent`; errors of the store
   */
  async requireCurrent(parameters: CkksParameters): Promise<void> {
    if (!this.#store.temporary && this.#unlocked.has(parameters.digest)) await this.unlockCurrent(parameters)
  }

  async #load(parameters: CkksParameters): Promise<ClientKey> {
    const name = secretKeyEntry(parameters.digest)
    const frame =
      (await this.#store.get(name)) ?? (await this.#store.add(name, await newSecretKey(parameters)))
    const secret = decodeSecretKey(parameters, frame)
    const fingerprint = fingerprintOf(frame)
    frame.fill(0)
    return createClientKey(parameters, secret, fingerprint)
  }

  /**
   * Deletes the secret key for these parameters from the store, and frees it. Ciphertexts under it cannot be
   * decrypted any more; the next `unlock` makes a new key.
   *
   * @param parametersDigest of the parameters
   */
  async delete(parametersDigest: string): Promise<void> {
    await this.#store.delete(secretKeyEntry(parametersDigest))
    const unlocked = this.#unlocked.get(parametersDigest)
    this.#unlocked.delete(parametersDigest)
    await unlocked?.then(
      (key) => key.delete(),
      () => {},
    )
  }

  /** Frees all keys. The ring can be used again. */
  close(): void {
    const unlocked = [...this.#unlocked.values()]
    this.#unlocked.clear()
    // A key that could not be made, or whose memory node-seal has lost, cannot be freed.
    for (const key of unlocked) key.then((each) => each.delete()).catch(() => {})
  }
}

async function newSecretKey(parameters: CkksParameters): Promise<Uint8Array> {
  const secret = await sampleSecretKey(parameters)
  const frame = encodeSecretKey(parameters, secret)
  secret.fill(0)
  return frame
}
