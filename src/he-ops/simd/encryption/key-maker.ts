import { digitCount, digitRange } from '../../../circuit/parameters/parameters.ts'
import { bitLength } from '../../../circuit/parameters/primes.ts'
import { type KeySetMaker, type PackedRlwe, packedBytes, SEED_BYTES } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import {
  emitZeroEncryptions,
  type ZeroEncryption,
  zeroEncryptionScratch,
} from '../operations/encrypt-zero.ts'
import { type LinkedProgram, linkProgram, type ProgramRunner } from '../threads/run.ts'
import { readPacked } from '../values/packed-limbs.ts'
import { type ScaledSecrets, scaledSecrets } from './secret.ts'
import type { SymmetricEncryptor } from './symmetric-encryptor.ts'

/**
 * Makes a client's keys with the kernels. They equal node-seal's in form (see `seal/keys/switching.ts`):
 * encryptions of zero over all primes, with P * g_j * s' added to the first polynomial. The encryptions of a
 * key switching key, one for each digit, are made together with all threads of a runner. Holds multiples of
 * the secret key until `delete`.
 */
export class KernelKeyMaker implements KeySetMaker {
  readonly #context: SimdContext
  readonly #runner: ProgramRunner
  readonly #encryptor: SymmetricEncryptor
  readonly #scaled: ScaledSecrets
  /** P * s' modulo the data primes, for the current key switching key. */
  readonly #target: number
  readonly #encryptions: readonly ZeroEncryption[]
  readonly #program: LinkedProgram

  /**
   * @param runner on the context's memory
   * @param encryptor under the secret key
   * @param negated address of -s modulo all primes, in Montgomery form
   */
  constructor(context: SimdContext, runner: ProgramRunner, encryptor: SymmetricEncryptor, negated: number) {
    const { heap, limbBytes, parameters } = context
    this.#context = context
    this.#runner = runner
    this.#encryptor = encryptor
    this.#scaled = scaledSecrets(context, negated)
    this.#target = heap.allocate(parameters.primes.length * limbBytes)
    this.#encryptions = Array.from({ length: digitCount(parameters) }, (_, digit) => this.#encryption(digit))
    this.#program = linkProgram(context, runner.threads, zeroEncryptionScratch(context), (builder) =>
      emitZeroEncryptions(builder, context, negated, this.#encryptions),
    )
  }

  publicKey(): PackedRlwe {
    return this.#encryptor.encrypt(this.#context.moduli.length)
  }

  /** @throws errors of the runner */
  relinKey(): Promise<PackedRlwe[]> {
    const { call, parameters, ring } = this.#context
    call('copy', { out: this.#target, a: this.#scaled.square, size: parameters.primes.length * ring })
    return this.#switchingKey()
  }

  /** @throws errors of the runner */
  galoisKey(element: number): Promise<PackedRlwe[]> {
    const { galois, call, limbBytes, parameters, ring } = this.#context
    const table = galois.table(element)
    for (let i = 0; i < parameters.primes.length; i++) {
      const at = i * limbBytes
      call('permute', {
        out: this.#target + at,
        a: this.#scaled.secret + at,
        table,
        patterns: galois.patterns,
        size: ring,
      })
    }
    return this.#switchingKey()
  }

  delete(): void {
    const { heap, parameters, ring } = this.#context
    for (const address of [this.#scaled.secret, this.#scaled.square, this.#target]) {
      heap.words(address, parameters.primes.length * ring).fill(0)
      heap.free(address)
    }
    this.#program.free()
    for (const { seed, errors, to } of this.#encryptions) {
      for (const address of [seed, errors, to]) heap.free(address)
    }
  }

  #encryption(digit: number): ZeroEncryption {
    const { heap, limbBytes, moduli, parameters, ring } = this.#context
    const { start, end } = digitRange(parameters, digit)
    const seed = heap.allocate(SEED_BYTES + 4 * moduli.length)
    const packed = moduli.reduce((bytes, { prime }) => bytes + packedBytes(ring, bitLength(prime)), 0)
    const addends = moduli.map((_, i) => (i >= start && i < end ? this.#target + i * limbBytes : undefined))
    const errors = heap.allocate(limbBytes)
    return { seed, rejected: seed + SEED_BYTES, errors, to: heap.allocate(packed), addends }
  }

  /** The key switching key for P * s' at `#target`. */
  async #switchingKey(): Promise<PackedRlwe[]> {
    const { heap, moduli, ring } = this.#context
    // In about one of 2^16 encryptions a word of the seed's stream is rejected, and would be replaced from
    // elsewhere in the stream. Such a key is discarded; this rule depends on public seeds only.
    for (;;) {
      try {
        await this.#runner.run(this.#program.program)
      } finally {
        for (const { errors } of this.#encryptions) heap.words(errors, ring).fill(0)
      }
      const isWhole = this.#encryptions.every(({ rejected }) =>
        heap.words(rejected, moduli.length).every((count) => count === 0),
      )
      if (isWhole) return this.#encryptions.map((one) => this.#made(one))
    }
  }

  #made({ seed, to }: ZeroEncryption): PackedRlwe {
    const { heap, moduli } = this.#context
    return {
      limbs: readPacked(this.#context, to, moduli.length),
      seed: heap.bytes(seed, SEED_BYTES).slice(),
    }
  }
}
