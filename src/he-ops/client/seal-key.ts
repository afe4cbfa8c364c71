import type { SecretKey } from 'node-seal'
import { PolyVeilError } from '../../errors/index.ts'
import type { PackedRlwe, Polynomial, Rlwe, SeededRlwe } from '../../wire/index.ts'
import type { ComplexSlots } from '../encoding/decode-periodic.ts'
import { createSealContext, type SealContext } from '../seal/context.ts'
import { decryptPeriodic, encryptSlots } from '../seal/encryptor.ts'
import { generateKeySet, loadSecretKey } from '../seal/keys/index.ts'
import type { RestrictedContexts } from '../seal/restricted-contexts.ts'
import { requireSecret } from '../secret.ts'
import type { ClientKey } from './client-key.ts'

/**
 * A secret key that only uses node-seal, in contexts of as few primes as possible: node-seal needs seconds
 * for a context of all primes.
 */
export class SealClientKey implements ClientKey {
  readonly fingerprint: string
  readonly #secret: Polynomial
  readonly #contexts: RestrictedContexts
  /** By level of their contexts. */
  readonly #restricted = new Map<number, SecretKey>()

  /**
   * @param contexts of the key's parameters; deleted with it
   * @param secret the secret key's residues modulo all primes; overwritten by `delete`
   */
  constructor(contexts: RestrictedContexts, secret: Polynomial, fingerprint: string) {
    this.fingerprint = fingerprint
    this.#secret = secret
    this.#contexts = contexts
  }

  async encryptSlots(
    vectors: readonly Float64Array[],
    level: number,
    scale: number,
  ): Promise<readonly (SeededRlwe | PackedRlwe)[]> {
    return encryptSlots(...this.#at(level), vectors, level, scale)
  }

  decryptPeriodic(pair: Rlwe, level: number, scale: number, period: number): ComplexSlots {
    return decryptPeriodic(...this.#at(level), pair, level, scale, period)
  }

  async refresh(): Promise<never> {
    throw new PolyVeilError('CONFIG_INVALID', 'Refresh rounds take primes of at most 30 bits')
  }

  async *keySet(galoisElements: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    requireSecret(this.#secret)
    const { parameters, seal } = this.#contexts
    const context = createSealContext(seal, parameters, 'highest level')
    const secretKey = this.loadInto(context)
    try {
      yield* generateKeySet(
        context,
        secretKey,
        galoisElements.toSorted((a, b) => a - b),
      )
    } finally {
      secretKey.delete()
      context.delete()
    }
  }

  loadInto(context: SealContext): SecretKey {
    requireSecret(this.#secret)
    return loadSecretKey(context, this.#secret)
  }

  delete(): void {
    this.#secret.fill(0)
    for (const key of this.#restricted.values()) key.delete()
    this.#restricted.clear()
    this.#contexts.delete()
  }

  /** The context of a level, and the key in it. */
  #at(level: number): [SealContext, SecretKey] {
    requireSecret(this.#secret)
    const context = this.#contexts.at(level)
    let key = this.#restricted.get(level)
    if (key === undefined) {
      key = loadSecretKey(context, this.#secret)
      this.#restricted.set(level, key)
    }
    return [context, key]
  }
}
