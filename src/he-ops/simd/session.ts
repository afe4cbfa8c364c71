import { PolyVeilError } from '../../errors/index.ts'
import type { PackedFullRlwe, PackedRlwe } from '../../wire/index.ts'
import { type DrawFlooding, freshFlooding } from '../flooding.ts'
import type { CircuitProgram } from './circuit-program.ts'
import type { ConstantStore } from './constants/constant-store.ts'
import type { SimdContext } from './context.ts'
import {
  completeIngress,
  type Output,
  type RefreshRound,
  readEgress,
  type Stop,
  stageIngress,
  wipeFlooding,
  wipeMasks,
  writeFlooding,
} from './egress.ts'
import type { RunControl, ThreadPool } from './threads/thread-pool.ts'
import type { PairLoader } from './values/pair-loader.ts'
import type { SeedExpander } from './values/seeds.ts'

/** Bytes of kernel memory that a session takes, beside its keys. */
export interface SessionMemory {
  /** Encoded constants, shared by all sessions of the circuit. */
  readonly constants: number
  /** Values, temporaries, scratch and tables: the most that a run needs at once. */
  readonly program: number
}

/** How the caller follows and ends a run. */
export interface SessionControl extends RunControl {
  /**
   * Draws the noise that is added to the logits, once all rounds are over; by default it is fresh, from the
   * platform's generator.
   */
  readonly flooding?: DrawFlooding
  /**
   * False: whenever values have left, they are waited for. For clients that work on the calling thread.
   * Default true.
   */
  readonly overlap?: boolean
}

/** A circuit ready to run under one client's keys. */
export interface SimdSession {
  readonly memory: SessionMemory
  /**
   * Runs the circuit on fresh encryptions, once the session's earlier runs have ended. The calling thread
   * computes too. While a client is waited for, other sessions of the engine run.
   *
   * @param pairs one for each input, at the level and scale of `circuit.input`; every residue is checked; not
   *   changed, and read when it is this run's turn
   * @param client that refreshes values; needed by circuits with rounds
   * @returns the result, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, ExecutionStopped, WORKER_LOST, and what `control` throws; the session stays
   *   usable. INTERNAL once the session is freed; CONFIG_INVALID without the client that is needed; whatever
   *   the client throws
   */
  run(pairs: readonly PackedRlwe[], control?: SessionControl, client?: RefreshClient): Promise<PackedFullRlwe>
  /**
   * Checks pairs before `run` or its client hands them over. @throws TENSOR_MALFORMED when a residue is out
   * of range
   */
  check(pairs: readonly PackedRlwe[]): void
  /** Gives the program back, at once or when the last run that was asked for has ended. */
  free(): void
}

/**
 * The client in a refresh: decrypts, and encrypts anew at the highest level. It is called for the next round
 * before an earlier one is over, where that does not depend on it.
 *
 * @param masked one ciphertext for each refresh of the round, at the refresh level: masked, and re-randomised
 *   under the client's public key
 * @returns as many fresh encryptions of the same integers
 */
export type RefreshClient = (
  round: number,
  masked: readonly PackedFullRlwe[],
) => Promise<readonly PackedRlwe[]>

/** What a session works with. */
export interface SessionParts {
  readonly context: SimdContext
  readonly constants: ConstantStore
  /** With a border. */
  readonly program: CircuitProgram
  readonly loader: PairLoader
  readonly seeds: SeedExpander
  readonly pool: ThreadPool
  /** Frees all that is the session's own; disposing of it again does nothing. */
  readonly owned: DisposableStack
}

/** Runs a circuit's program, stretch by stretch, while the client refreshes what leaves between them. */
export class CircuitSession implements SimdSession {
  readonly memory: SessionMemory
  readonly #parts: SessionParts
  readonly #alone: <T>(run: () => Promise<T>) => Promise<T>
  /** Runs of a session follow one another: its memory is that of one. */
  #last: Promise<unknown> = Promise.resolve()
  #runs = 0
  #isFreed = false

  /** @param alone runs what it is given when nothing else is running in the engine */
  constructor(parts: SessionParts, alone: <T>(run: () => Promise<T>) => Promise<T>) {
    const { arena, scratch, tables } = parts.program.sizes
    this.#parts = parts
    this.#alone = alone
    this.memory = { constants: parts.constants.bytes, program: arena + scratch + tables }
  }

  async run(
    pairs: readonly PackedRlwe[],
    control?: SessionControl,
    client: RefreshClient = noClient,
  ): Promise<PackedFullRlwe> {
    if (this.#isFreed) throw new PolyVeilError('INTERNAL', 'A freed session is run')
    this.#runs++
    const result = this.#last.then(() => this.#run(pairs, control, client))
    this.#last = result.catch(() => {})
    try {
      return await result
    } finally {
      this.#runs--
      this.#release()
    }
  }

  free(): void {
    this.#isFreed = true
    this.#release()
  }

  /** Nothing is given back that a run may still be at work on. */
  #release(): void {
    if (this.#isFreed && this.#runs === 0) this.#parts.owned.dispose()
  }

  async #run(
    pairs: readonly PackedRlwe[],
    control: SessionControl | undefined,
    client: RefreshClient,
  ): Promise<PackedFullRlwe> {
    const { context, program, loader } = this.#parts
    const output = program.output!
    requireInputs(program, pairs)
    pairs.forEach((pair, i) => {
      const [c0, c1] = program.inputs[i].polynomials
      loader.load(pair, c0, c1)
    })
    try {
      await this.#stretches(control, client)
      return readEgress(context, output.packed, output.level)
    } finally {
      wipeFlooding(context, output)
    }
  }

  check(pairs: readonly PackedRlwe[]): void {
    for (const pair of pairs) this.#parts.loader.check(pair)
  }

  /** Runs the program from stop to stop, with rounds under way between them. */
  async #stretches(control: SessionControl | undefined, client: RefreshClient): Promise<void> {
    const { pool, program } = this.#parts
    const rounds = new Rounds(this.#parts, client)
    try {
      let from = 0
      for (const [i, to] of program.program.stops.entries()) {
        rounds.approach(program.stops[i])
        if (i === program.stops.length)
          this.#drawFlooding(program.output!, control?.flooding ?? freshFlooding)
        if (to > from) await this.#alone(() => pool.run(program.program, control, { from, to }))
        if (i < program.stops.length) await rounds.stop(program.stops[i])
        if (control?.overlap === false) await rounds.allBack()
        from = to
      }
    } finally {
      rounds.forget()
    }
  }

  #drawFlooding(output: Output, draw: DrawFlooding): void {
    const noise = draw(output.logits.count, output.floodingBound)
    writeFlooding(this.#parts.context, output, noise)
    noise.fill(0)
  }
}

/** The rounds of one run that are under way. */
class Rounds {
  readonly #parts: SessionParts
  readonly #client: RefreshClient
  readonly #underWay = new Map<number, Promise<readonly PackedRlwe[]>>()
  /** Rounds that may have masks in memory. */
  readonly #masked = new Set<number>()

  constructor(parts: SessionParts, client: RefreshClient) {
    this.#parts = parts
    this.#client = client
  }

  /**
   * Called before the phases that lead to a stop: a round's masks are drawn before its values leave. @param
   * stop none at the end
   */
  approach(stop: Stop | undefined): void {
    if (stop?.kind === 'send') this.#masked.add(stop.round)
  }

  async stop({ kind, round }: Stop): Promise<void> {
    const { context, seeds, program } = this.#parts
    const refresh = program.refreshes[round]
    switch (kind) {
      case 'send':
        this.#leave(round, refresh)
        return
      case 'wait':
        stageIngress(context, refresh, await this.#underWay.get(round)!)
        return
      case 'check':
        completeIngress(context, seeds, refresh, await this.#underWay.get(round)!)
        this.#end(round)
    }
  }

  /** Waits until the client has refreshed whatever has left. */
  async allBack(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }

  /** Masks are drawn anew for each round of each run, and forgotten with it, however it ends. */
  forget(): void {
    for (const round of this.#masked) this.#end(round)
  }

  #leave(round: number, { out, level }: RefreshRound): void {
    const { context } = this.#parts
    const masked = out.map(({ polynomials }) => readEgress(context, polynomials, level))
    const fresh = this.#client(round, masked)
    // Whether it failed is of interest when its values are needed.
    fresh.catch(() => {})
    this.#underWay.set(round, fresh)
  }

  #end(round: number): void {
    const { context, program } = this.#parts
    wipeMasks(context, program.refreshes[round])
    this.#underWay.delete(round)
    this.#masked.delete(round)
  }
}

const noClient: RefreshClient = () => {
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'The circuit has refresh rounds, and there is no client to take part in them',
  )
}

/** A run with less than all inputs would compute with what lies there from the last one. */
function requireInputs({ inputs }: CircuitProgram, pairs: readonly PackedRlwe[]): void {
  const fits =
    pairs.length === inputs.length && pairs.every(({ limbs }, i) => limbs.length === inputs[i].primes)
  if (fits) return
  throw new PolyVeilError(
    'TENSOR_MALFORMED',
    `The circuit takes ${inputs.length} ciphertexts at its input's level`,
    { expected: inputs.length, actual: pairs.length },
  )
}
