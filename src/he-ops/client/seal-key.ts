import type { SecretKey } from 'node-seal'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { ComplexVector, SlotVector } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { FullRlwe, PackedRlwe, Polynomial, SeededRlwe } from '../../wire/index.ts'
import { createSealContext, type SealContext } from '../seal/context.ts'
import { decryptPeriodic, encryptSlots } from '../seal/encryptor.ts'
import {
  generateKeySet,
  generateSecretKey,
  loadSecretKey,
  noEphemeralSecrets,
  secretPolynomial,
} from '../seal/keys/index.ts'
import { RestrictedContexts } from '../seal/restricted-contexts.ts'
import { loadSeal } from '../seal/runtime.ts'
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

  private constructor(contexts: RestrictedContexts, secret: Polynomial, fingerprint: string) {
    this.fingerprint = fingerprint
    this.#secret = secret
    this.#contexts = contexts
  }

  /**
   * @param secret the secret key's residues modulo all primes; overwritten by `delete`
   * @throws CONFIG_INVALID when the parameters have a raise level
   */
  static async create(
    parameters: CkksParameters,
    secret: Polynomial,
    fingerprint: string,
  ): Promise<SealClientKey> {
    if (parameters.raiseLevel !== undefined) throw noEphemeralSecrets()
    return new SealClientKey(new RestrictedContexts(await loadSeal(), parameters), secret, fingerprint)
  }

  async encryptSlots(
    vectors: readonly SlotVector[],
    level: number,
    scale: number,
  ): Promise<readonly (SeededRlwe | PackedRlwe)[]> {
    return encryptSlots(...this.#at(level), vectors, level, scale)
  }

  async decryptPeriodic(
    pair: FullRlwe,
    level: number,
    scale: number,
    period: number,
  ): Promise<ComplexVector> {
    return decryptPeriodic(...this.#at(level), pair, level, scale, period)
  }

  async refresh(): Promise<never> {
    throw new PolyVeilError('CONFIG_INVALID', 'Refresh rounds take primes of at most 30 bits')
  }

  async *keySet(galoisElements: readonly number[]): AsyncGenerator<Uint8Array, void, undefined> {
    requireSecret(this.#secret)
    const { parameters, seal } = this.#contexts
    const context = createSealContext(seal, parameters, 'highest level')
    const secretKey = loadSecretKey(context, this.#secret)
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

  copySecret(): Polynomial {
    requireSecret(this.#secret)
    return this.#secret.slice()
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

/**
 * Samples a ternary secret key with node-seal, from the platform's CSPRNG, in a context of all primes.
 *
 * @returns residues modulo all primes, in NTT form; the caller overwrites them
 */
export async function sampleBySeal(parameters: CkksParameters): Promise<Polynomial> {
  const context = createSealContext(await loadSeal(), parameters, 'highest level')
  try {
    return sampleIn(context)
  } finally {
    context.delete()
  }
}

function sampleIn(context: SealContext): Polynomial {
  const key = generateSecretKey(context)
  try {
    return secretPolynomial(context, key)
  } finally {
    key.delete()
  }
}
