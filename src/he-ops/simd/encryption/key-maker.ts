import { digitCount, digitRange } from '../../../circuit/parameters/parameters.ts'
import type { KeySetMaker, PackedRlwe } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { type ScaledSecrets, scaledSecrets } from './secret.ts'
import type { SymmetricEncryptor } from './symmetric-encryptor.ts'

/**
 * Makes a client's keys with the kernels. They equal node-seal's in form (see `seal/keys/switching.ts`):
 * encryptions of zero over all primes, with P * g_j * s' added to the first polynomial. Holds multiples of
 * the secret key until `delete`.
 */
export class KernelKeyMaker implements KeySetMaker {
  readonly #context: SimdContext
  readonly #encryptor: SymmetricEncryptor
  readonly #scaled: ScaledSecrets
  /** P * sigma(s) modulo the data primes, for the current Galois key. */
  readonly #rotated: number

  /**
   * @param encryptor under the secret key
   * @param negated address of -s modulo all primes, in Montgomery form
   */
  constructor(context: SimdContext, encryptor: SymmetricEncryptor, negated: number) {
    this.#context = context
    this.#encryptor = encryptor
    this.#scaled = scaledSecrets(context, negated)
    this.#rotated = context.heap.allocate(context.parameters.primes.length * context.limbBytes)
  }

  publicKey(): PackedRlwe {
    return this.#encryptor.encrypt(this.#context.moduli.length)
  }

  relinKey(): PackedRlwe[] {
    return this.#switchingKey(this.#scaled.square)
  }

  galoisKey(element: number): PackedRlwe[] {
    const { galois, call, limbBytes, parameters, ring } = this.#context
    const table = galois.table(element)
    for (let i = 0; i < parameters.primes.length; i++) {
      const at = i * limbBytes
      call('permute', {
        out: this.#rotated + at,
        a: this.#scaled.secret + at,
        table,
        patterns: galois.patterns,
        size: ring,
      })
    }
    return this.#switchingKey(this.#rotated)
  }

  delete(): void {
    const { heap, parameters, ring } = this.#context
    for (const address of [this.#scaled.secret, this.#scaled.square, this.#rotated]) {
      heap.words(address, parameters.primes.length * ring).fill(0)
      heap.free(address)
    }
  }

  /** @param target address of P * s' modulo the data primes, in NTT form */
  #switchingKey(target: number): PackedRlwe[] {
    const { limbBytes, moduli, parameters } = this.#context
    return Array.from({ length: digitCount(parameters) }, (_, digit) => {
      const { start, end } = digitRange(parameters, digit)
      return this.#encryptor.encrypt(moduli.length, (i) =>
        i >= start && i < end ? target + i * limbBytes : undefined,
      )
    })
  }
}
