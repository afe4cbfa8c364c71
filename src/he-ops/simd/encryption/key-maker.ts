import { PolyVeilError } from '../../../errors/index.ts'
import type { KeySetMaker, PackedRlwe, RaiseKeyName } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import type { ProgramRunner } from '../threads/run.ts'
import { EphemeralSecret } from './ephemeral-secret.ts'
import { type ScaledSecrets, scaledSecrets, writeScaled } from './secret.ts'
import { SwitchingKeyMaker } from './switching-key-maker.ts'
import type { SymmetricEncryptor } from './symmetric-encryptor.ts'

/**
 * Makes a client's keys with the kernels. They equal node-seal's in form (see `seal/keys/switching.ts`).
 * Holds multiples of the secret key until `delete`.
 */
export class KernelKeyMaker implements KeySetMaker {
  readonly #context: SimdContext
  readonly #runner: ProgramRunner
  readonly #encryptor: SymmetricEncryptor
  /** Address of -s modulo all primes, in Montgomery form. */
  readonly #negated: number
  readonly #scaled: ScaledSecrets
  readonly #switching: SwitchingKeyMaker

  /**
   * @param runner on the context's memory
   * @param encryptor under the secret key
   * @param negated address of -s modulo all primes, in Montgomery form
   */
  constructor(context: SimdContext, runner: ProgramRunner, encryptor: SymmetricEncryptor, negated: number) {
    this.#context = context
    this.#runner = runner
    this.#encryptor = encryptor
    this.#negated = negated
    this.#scaled = scaledSecrets(context, negated)
    this.#switching = new SwitchingKeyMaker(context, runner, negated)
  }

  publicKey(): PackedRlwe {
    return this.#encryptor.encrypt(this.#context.moduli.length)
  }

  /** @throws errors of the runner */
  relinKey(): Promise<PackedRlwe[]> {
    const { call, parameters, ring } = this.#context
    const size = parameters.primes.length * ring
    call('copy', { out: this.#switching.target, a: this.#scaled.square, size })
    return this.#switching.make()
  }

  /** @throws errors of the runner */
  galoisKey(element: number): Promise<PackedRlwe[]> {
    const { galois, call, limbBytes, parameters, ring } = this.#context
    const table = galois.table(element)
    for (let i = 0; i < parameters.primes.length; i++) {
      const at = i * limbBytes
      call('permute', {
        out: this.#switching.target + at,
        a: this.#scaled.secret + at,
        table,
        patterns: galois.patterns,
        size: ring,
      })
    }
    return this.#switching.make()
  }

  /**
   * Samples an ephemeral secret, makes both keys, and overwrites the secret.
   *
   * @throws INTERNAL where the parameters have no raise level; errors of the runner
   */
  async raiseKeys(): Promise<Readonly<Record<RaiseKeyName, PackedRlwe[]>>> {
    const { ephemeral } = this.#context
    if (ephemeral === undefined) {
      throw new PolyVeilError('INTERNAL', 'Parameters without a raise level have no ephemeral secret')
    }
    const secret = new EphemeralSecret(this.#context)
    try {
      return { down: await this.#downKey(ephemeral, secret), up: await this.#upKey(secret) }
    } finally {
      secret.delete()
    }
  }

  delete(): void {
    const { heap, parameters, ring } = this.#context
    for (const address of [this.#scaled.secret, this.#scaled.square]) {
      heap.words(address, parameters.primes.length * ring).fill(0)
      heap.free(address)
    }
    this.#switching.delete()
  }

  /** The key from the secret key to the ephemeral secret, in the context of the latter. */
  async #downKey(context: SimdContext, secret: EphemeralSecret): Promise<PackedRlwe[]> {
    const { heap, limbBytes, moduli, ring } = context
    const negated = heap.allocate(moduli.length * limbBytes)
    // Montgomery form is a factor of 2^32.
    for (let i = 0; i < moduli.length; i++) secret.write(context, i, -(2n ** 32n), negated + i * limbBytes)
    const switching = new SwitchingKeyMaker(context, this.#runner, negated)
    try {
      writeScaled(context, this.#negated, switching.target)
      return await switching.make()
    } finally {
      switching.delete()
      heap.words(negated, moduli.length * ring).fill(0)
      heap.free(negated)
    }
  }

  /** The key from the ephemeral secret to the secret key. */
  async #upKey(secret: EphemeralSecret): Promise<PackedRlwe[]> {
    const { limbBytes, parameters } = this.#context
    const special = parameters.specialPrimes.reduce((product, prime) => product * prime, 1n)
    try {
      for (let i = 0; i < parameters.primes.length; i++) {
        secret.write(this.#context, i, special, this.#switching.target + i * limbBytes)
      }
      return await this.#switching.make()
    } finally {
      this.#switching.wipe()
    }
  }
}
