import { digitCount, digitRange } from '../../../circuit/parameters/parameters.ts'
import { bitLength } from '../../../circuit/parameters/primes.ts'
import { type PackedRlwe, packedBytes, SEED_BYTES } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import {
  emitZeroEncryptions,
  type ZeroEncryption,
  zeroEncryptionScratch,
} from '../operations/encrypt-zero.ts'
import { type LinkedProgram, linkProgram, type ProgramRunner } from '../threads/run.ts'
import { readPacked } from '../values/packed-limbs.ts'

/**
 * Makes key switching keys from any secret s' to a secret s: encryptions of zero under s over all primes of a
 * context, with P * g_j * s' added to the first polynomial. The encryptions of a key, one for each digit, are
 * made together with all threads of a runner.
 */
export class SwitchingKeyMaker {
  /** Address of P * s' modulo the data primes, in NTT form, which the caller writes before `make`. */
  readonly target: number
  readonly #context: SimdContext
  readonly #runner: ProgramRunner
  readonly #encryptions: readonly ZeroEncryption[]
  readonly #program: LinkedProgram

  /**
   * @param runner on the context's memory
   * @param negated address of -s modulo all primes, in Montgomery form
   */
  constructor(context: SimdContext, runner: ProgramRunner, negated: number) {
    const { heap, limbBytes, parameters } = context
    this.#context = context
    this.#runner = runner
    this.target = heap.allocate(parameters.primes.length * limbBytes)
    this.#encryptions = Array.from({ length: digitCount(parameters) }, (_, digit) => this.#encryption(digit))
    this.#program = linkProgram(context, runner.threads, zeroEncryptionScratch(context), (builder) =>
      emitZeroEncryptions(builder, context, negated, this.#encryptions),
    )
  }

  /**
   * The key from the s' of `target`.
   *
   * @throws errors of the runner
   */
  async make(): Promise<PackedRlwe[]> {
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

  /** Overwrites `target`. */
  wipe(): void {
    const { heap, parameters, ring } = this.#context
    heap.words(this.target, parameters.primes.length * ring).fill(0)
  }

  /** Overwrites `target`, and frees all memory. */
  delete(): void {
    const { heap } = this.#context
    this.wipe()
    heap.free(this.target)
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
    const addends = moduli.map((_, i) => (i >= start && i < end ? this.target + i * limbBytes : undefined))
    const errors = heap.allocate(limbBytes)
    return { seed, rejected: seed + SEED_BYTES, errors, to: heap.allocate(packed), addends }
  }

  #made({ seed, to }: ZeroEncryption): PackedRlwe {
    const { heap, moduli } = this.#context
    return {
      limbs: readPacked(this.#context, to, moduli.length),
      seed: heap.bytes(seed, SEED_BYTES).slice(),
    }
  }
}
