import { type PackedFullRlwe, type PackedRlwe, SEED_BYTES } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import {
  type Reencryption,
  ReencryptionEmitter,
  type ReencryptionSpec,
  reencryptionScratch,
} from '../operations/reencrypt.ts'
import { type LinkedProgram, linkProgram, type ProgramRunner } from '../threads/run.ts'
import { packedAt, writePacked } from '../values/packed-limbs.ts'
import { requireSound } from '../values/pair-loader.ts'

/** Ciphertexts for each thread in one run: enough to make the cost of starting a run negligible. */
const CIPHERTEXTS_PER_THREAD = 8

/** Takes the fresh encryption of an index. Its bytes are valid during the call. */
export type TakeFresh = (index: number, fresh: PackedRlwe) => void

/** Refreshes ciphertexts from one level to another, with all threads of a runner, in memory of its own. */
export class Refresher {
  readonly #context: SimdContext
  readonly #runner: ProgramRunner
  readonly #spec: ReencryptionSpec
  readonly #slots: readonly Reencryption[]
  readonly #program: LinkedProgram

  /**
   * @param runner on the context's memory
   * @param negated address of -s modulo all primes, in Montgomery form
   * @param from level of masked ciphertexts
   * @param to level of fresh encryptions, not lower
   */
  constructor(context: SimdContext, runner: ProgramRunner, negated: number, from: number, to: number) {
    this.#context = context
    this.#runner = runner
    this.#spec = { fromPrimes: from + 1, toPrimes: to + 1, negated, seedBytes: SEED_BYTES }
    const { threads } = runner
    this.#slots = Array.from({ length: CIPHERTEXTS_PER_THREAD * threads }, () => this.#slot())
    this.#program = linkProgram(context, threads, reencryptionScratch(context, this.#spec), (builder) => {
      const emitter = new ReencryptionEmitter(builder, context, this.#spec)
      for (let start = 0; start < this.#slots.length; start += threads) {
        emitter.phase(this.#slots.slice(start, start + threads))
      }
    })
  }

  /**
   * @param masked at the lower level; every residue is checked
   * @param take called once for each index with a fresh encryption of the same integers, which is valid
   *   during the call
   * @throws TENSOR_MALFORMED when a residue is not below its prime; errors of the runner
   */
  async refresh(masked: readonly PackedFullRlwe[], take: TakeFresh): Promise<void> {
    let waiting = [...masked.keys()]
    while (waiting.length > 0) {
      const batch = waiting.slice(0, this.#slots.length)
      batch.forEach((index, slot) => {
        this.#stage(masked[index], this.#slots[slot])
      })
      const to = Math.ceil(batch.length / this.#runner.threads)
      await this.#runner.run(this.#program.program, {}, { from: 0, to })
      const again = batch.filter((index, slot) => {
        const made = this.#made(this.#slots[slot])
        if (made) take(index, made)
        return made === undefined
      })
      waiting = [...again, ...waiting.slice(batch.length)]
    }
  }

  #slot(): Reencryption {
    const { heap, limbBytes } = this.#context
    const { fromPrimes, toPrimes } = this.#spec
    // A limb is large enough for its packed residues and the bytes behind them that unpacking may read.
    const [c0, c1] = [0, 1].map(() => heap.allocate(limbBytes * fromPrimes))
    const seed = heap.allocate(aligned(SEED_BYTES) + 4 * (2 * fromPrimes + toPrimes))
    const sound = seed + aligned(SEED_BYTES)
    const to = heap.allocate(limbBytes * toPrimes)
    return { from: [c0, c1], to, seed, sound, rejected: sound + 8 * fromPrimes }
  }

  #stage({ limbs, second }: PackedFullRlwe, { from }: Reencryption): void {
    writePacked(this.#context, from[0], limbs)
    writePacked(this.#context, from[1], second)
  }

  /**
   * A fresh encryption, in kernel memory. In about one of 2^16 encryptions a word of the seed's stream is
   * rejected, and would be replaced from elsewhere in the stream. Such an encryption is discarded; this rule
   * depends only on the public seed.
   *
   * @returns nothing when the encryption must be made again
   */
  #made({ to, seed, sound, rejected }: Reencryption): PackedRlwe | undefined {
    const { heap } = this.#context
    const { fromPrimes, toPrimes } = this.#spec
    heap.words(sound, 2 * fromPrimes).forEach((isSound, i) => {
      requireSound(isSound === 1, i % fromPrimes)
    })
    if (heap.words(rejected, toPrimes).some((count) => count > 0)) return undefined
    return { limbs: packedAt(this.#context, to, toPrimes), seed: heap.bytes(seed, SEED_BYTES) }
  }
}
