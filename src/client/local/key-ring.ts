import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import type { SecretKey } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { createKernelMemory, instantiateKernels } from '../../he-ops/kernels/kernels.ts'
import { createSealContext, type SealContext } from '../../he-ops/seal/context.ts'
import {
  exportSecretKey,
  generateSecretKey,
  importSecretKey,
  secretResidues,
} from '../../he-ops/seal/keys.ts'
import { loadSeal } from '../../he-ops/seal/runtime.ts'
import { createSimdContext, type SimdContext } from '../../he-ops/simd/context.ts'
import { Heap } from '../../he-ops/simd/heap.ts'
import { Lifter } from '../../he-ops/simd/refresh/lift.ts'
import type { KeyStore } from '../keys/key-store.ts'

/** A secret key in use, with the context that it belongs to. Both live on node-seal's heap. */
export interface UnlockedKey {
  readonly context: SealContext
  readonly secretKey: SecretKey
  /** Names the secret key without telling anything of it: a digest over 128 bits of entropy and more. */
  readonly fingerprint: string
  /** What decrypts masked tensors, by their level. It holds the secret key a second time, in kernel memory. */
  readonly lifters: Map<number, Lifter>
}

/** A secret key and what refresh rounds need of it; good until the caller awaits something. */
export interface RefreshTools extends Pick<UnlockedKey, 'context' | 'secretKey'> {
  readonly lifter: Lifter
}

/** The secret keys of a store, one for each set of parameters: made when first needed, unlocked once. */
export class KeyRing {
  readonly #store: KeyStore
  readonly #unlocked = new Map<string, Promise<UnlockedKey>>()
  /** Tables of the primes in kernel memory, by the digest of their parameters. */
  readonly #kernels = new Map<string, Promise<SimdContext>>()

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
    const kernels = await this.#kernelContext(parameters)
    const { context, secretKey, lifters } = await this.unlockExisting(parameters)
    let lifter = lifters.get(level)
    if (lifter === undefined) {
      const residues = secretResidues(context, secretKey)
      lifter = new Lifter(kernels, residues, level)
      residues.fill(0)
      lifters.set(level, lifter)
    }
    return { context, secretKey, lifter }
  }

  #kernelContext(parameters: CkksParameters): Promise<SimdContext> {
    const { digest } = parameters
    const present = this.#kernels.get(digest)
    if (present) return present
    const context = newKernelContext(parameters)
    this.#kernels.set(digest, context)
    context.catch(() => this.#kernels.delete(digest))
    return context
  }

  async #load(parameters: CkksParameters): Promise<UnlockedKey> {
    const context = createSealContext(await loadSeal(), parameters)
    try {
      const name = entryName(parameters)
      const frame = (await this.#store.get(name)) ?? (await this.#store.add(name, newSecretKey(context)))
      const secretKey = importSecretKey(context, frame)
      const fingerprint = bytesToHex(sha256(frame))
      frame.fill(0)
      return { context, secretKey, fingerprint, lifters: new Map() }
    } catch (error) {
      context.delete()
      throw error
    }
  }

  /** Frees all keys, having overwritten those in kernel memory. The ring can be used again. */
  close(): void {
    const unlocked = [...this.#unlocked.values()]
    this.#unlocked.clear()
    this.#kernels.clear()
    for (const key of unlocked) key.then(free, () => {})
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

/** On memory that is not shared: browsers give the other to few pages. */
async function newKernelContext(parameters: CkksParameters): Promise<SimdContext> {
  const memory = createKernelMemory('unshared')
  return createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
}

function free({ context, secretKey, lifters }: UnlockedKey): void {
  for (const lifter of lifters.values()) lifter.free()
  secretKey.delete()
  context.delete()
}
