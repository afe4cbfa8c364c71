import { digitCount } from '../../../circuit/parameters/parameters.ts'
import { type PackedRlwe, SEED_BYTES } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { aligned } from '../memory/ranges.ts'
import { linkProgram, type ProgramRunner } from '../threads/run.ts'
import { emitPairLoads, NOTES_BYTES, type PairLoad, pairLoadScratch, prepare } from '../values/load-pair.ts'
import { requireSound } from '../values/pair-loader.ts'
import { SeedExpander } from '../values/seeds.ts'
import type { SwitchingKey } from './switching-key.ts'

/** Loads key switching keys from frames to kernel memory, with all threads. */
export class KeyLoader {
  readonly #context: SimdContext
  readonly #runner: ProgramRunner
  readonly #seeds: SeedExpander
  /** Staging memory for the pairs of one key: notes, seed, packed residues. */
  readonly #staging: number

  constructor(context: SimdContext, runner: ProgramRunner) {
    this.#context = context
    this.#runner = runner
    const { heap, kernels, parameters } = context
    const parts = heap.attempt(() => ({
      seeds: new SeedExpander(heap, kernels),
      staging: heap.allocate(digitCount(parameters) * this.#pairBytes),
    }))
    this.#seeds = parts.seeds
    this.#staging = parts.staging
  }

  /**
   * Unpacks a key, checks every residue that it loads, expands the seeds, and converts everything to the form
   * in which programs read keys.
   *
   * @param pairs over all primes
   * @param key addresses that are written
   * @param table address of the permutation that is applied to the key, if any
   * @throws TENSOR_MALFORMED when a residue is not below its prime; errors of the runner
   */
  async load(pairs: readonly PackedRlwe[], key: SwitchingKey, table: number | undefined): Promise<void> {
    const used = pairs.slice(0, key.digits)
    const loads = used.map((pair, j) => this.#stage(pair, j, key, table))
    const { program, free } = linkProgram(
      this.#context,
      this.#runner.threads,
      pairLoadScratch(this.#context),
      (builder) => emitPairLoads(builder, this.#context, loads),
    )
    try {
      await this.#runner.run(program)
    } finally {
      free()
    }
    used.forEach((pair, j) => {
      this.#complete(pair, loads[j])
    })
  }

  free(): void {
    this.#context.heap.free(this.#staging)
    this.#seeds.free()
  }

  get #pairBytes(): number {
    const { kernels, limbBytes, moduli } = this.#context
    const packed = moduli.length * limbBytes + kernels.UNPACK_SLACK.value
    return aligned(moduli.length * NOTES_BYTES + SEED_BYTES + packed)
  }

  /** Copies a pair to memory that all threads can read. */
  #stage({ limbs, seed }: PackedRlwe, j: number, key: SwitchingKey, table: number | undefined): PairLoad {
    const { heap } = this.#context
    const notes = this.#staging + j * this.#pairBytes
    const seedAt = notes + limbs.length * NOTES_BYTES
    heap.bytes(seedAt, SEED_BYTES).set(seed)
    let address = seedAt + SEED_BYTES
    const placed = key.indices.map((index) => {
      const { bits, bytes } = limbs[index]
      const at = address
      heap.bytes(at, bytes.length).set(bytes)
      address += bytes.length
      return { index, address: at, bits }
    })
    const [first] = key.indices
    return {
      limbs: placed,
      seed: seedAt,
      polynomials: [key.address(j, 0, first), key.address(j, 1, first)],
      table,
      notes,
    }
  }

  /** Reads the notes of a pair. */
  #complete(pair: PackedRlwe, load: PairLoad): void {
    const notes = this.#context.heap.words(load.notes, 2 * load.limbs.length)
    let rejected = 0
    load.limbs.forEach(({ index }, place) => {
      requireSound(notes[2 * place] === 1, index)
      rejected += notes[2 * place + 1]
    })
    if (rejected > 0) this.#expandExactly(pair, load)
  }

  /** Expands the second polynomial again, for seeds with a rejected word. */
  #expandExactly(pair: PackedRlwe, { limbs, polynomials, table }: PairLoad): void {
    const { heap, call, limbBytes, ring } = this.#context
    const primes = pair.limbs.map(({ prime }) => prime)
    const scratch = heap.allocate(limbBytes)
    const expanded = this.#seeds.expandExactly(pair.seed, primes, ring)
    limbs.forEach(({ index }, place) => {
      const to = polynomials[1] + place * limbBytes
      const from = table === undefined ? to : scratch
      heap.words(from, ring).set(Uint32Array.from(expanded[index], Number))
      prepare(call, this.#context, index, from, to, table)
    })
    heap.free(scratch)
  }
}
