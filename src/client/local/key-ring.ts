import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { SecretKey } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import {
  exportSecretKey,
  generateSecretKey,
  importSecretKey,
  secretPolynomial,
  secretResidues,
} from '../../he-ops/seal/keys.ts'
import { loadSeal } from '../../he-ops/seal/runtime.ts'
import { KernelKey } from '../../he-ops/simd/encryption/kernel-key.ts'
import { Lifter } from '../../he-ops/simd/refresh/lift.ts'
import type { KeyStore } from '../keys/key-store.ts'

/** A secret key in use, with the context that it belongs to. Both live on node-seal's heap. */
export interface UnlockedKey {
  readonly context: SealContext
  readonly secretKey: SecretKey
  /** Names the secret key without telling anything of it: a digest over 128 bits of entropy and more. */
  readonly fingerprint: string
}

/** What refresh rounds need; good until the caller awaits something. */
export interface RefreshTools {
  readonly key: KernelKey
  readonly lifter: Lifter
}

/** A secret key in kernel memory, and what decrypts masked tensors with it, by their level. */
interface KernelTools {
  readonly key: KernelKey
  readonly lifters: Map<number, Lifter>
}

/** The secret keys of a store, one for each set of parameters: made when first needed, unlocked once. */
export class KeyRing {
  readonly #store: KeyStore
  readonly #unlocked = new Map<string, Promise<UnlockedKey>>()
  /** By the digest of the parameters. */
  readonly #kernels = new Map<string, Promise<KernelTools>>()

  constructor(store: KeyStore) {
    this.#store = store
  }

  /**
   * The key for these parameters.
   *
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH when the stored key is damaged; whatever the store throws
   */
  unlock(parameters: CkksParameters): Promise<UnlockedKey> {
    const { digest } = parameters
    const present = this.#unlocked.get(digest)
    if (present) return present
    const key = this.#load(parameters)
    this.#unlocked.set(digest, key)
    key.catch(() => this.#unlocked.delete(digest))
    return key
  }

  /**
   * The key for these parameters, which has to be there: a new one decrypts nothing that anybody has encrypted.
   *
   * @throws KEYS_MISSING when the store has none; what `unlock` throws
   */
  async unlockExisting(parameters: CkksParameters): Promise<UnlockedKey> {
    const { digest } = parameters
    const present = this.#unlocked.has(digest) || (await this.#store.get(entryName(parameters)))
    if (present) return this.unlock(parameters)
    throw new PolyVeilError('KEYS_MISSING', 'The key store has no secret key for these parameters', {
      parametersDigest: digest,
    })
  }

  /**
   * What refreshes take, with the key that has to be there.
   *
   * @param level of the masked tensors
   * @throws KEYS_MISSING when the store has none; what `unlock` throws
   */
  async refreshTools(parameters: CkksParameters, level: number): Promise<RefreshTools> {
    const unlocked = await this.unlockExisting(parameters)
    const { key, lifters } = await this.#kernelTools(unlocked)
    let lifter = lifters.get(level)
    if (lifter === undefined) {
      const residues = secretResidues(unlocked.context, unlocked.secretKey)
      lifter = new Lifter(key.context, residues, level)
      residues.fill(0)
      lifters.set(level, lifter)
    }
    return { key, lifter }
  }

  #kernelTools({ context, secretKey }: UnlockedKey): Promise<KernelTools> {
    const { digest } = context.parameters
    const present = this.#kernels.get(digest)
    if (present) return present
    const tools = newKernelTools(context, secretKey)
    this.#kernels.set(digest, tools)
    tools.catch(() => this.#kernels.delete(digest))
    return tools
  }

  async #load(parameters: CkksParameters): Promise<UnlockedKey> {
    const context = createSealContext(await loadSeal(), parameters)
    try {
      const name = entryName(parameters)
      const frame = (await this.#store.get(name)) ?? (await this.#store.add(name, newSecretKey(context)))
      const secretKey = importSecretKey(context, frame)
      const fingerprint = bytesToHex(sha256(frame))
      frame.fill(0)
      return { context, secretKey, fingerprint }
    } catch (error) {
      context.delete()
      throw error
    }
  }

  /** Frees all keys, having overwritten those in kernel memory. The ring can be used again. */
  close(): void {
    const unlocked = [...this.#unlocked.values()]
    const kernels = [...this.#kernels.values()]
    this.#unlocked.clear()
    this.#kernels.clear()
    for (const key of unlocked) key.then(free, () => {})
    for (const tools of kernels) tools.then(({ key }) => key.delete()).catch(() => {})
  }
}

const entryName = ({ digest }: CkksParameters): string => `secret-key/${digest}`

function newSecretKey(context: SealContext): Uint8Array {
  const key = generateSecretKey(context)
  try {
    return exportSecretKey(context, key)
  } finally {
    key.delete()
  }
}

async function newKernelTools(context: SealContext, secretKey: SecretKey): Promise<KernelTools> {
  const secret = secretPolynomial(context, secretKey)
  try {
    return { key: await KernelKey.create(context.parameters, secret), lifters: new Map() }
  } finally {
    secret.fill(0)
  }
}

function free({ context, secretKey }: UnlockedKey): void {
  secretKey.delete()
  context.delete()
}
