import { PolyVeilError } from '../../errors/index.ts'
import type { PackedFullRlwe, PackedRlwe } from '../../wire/index.ts'
import { type DrawFlooding, freshFlooding } from '../flooding.ts'
import { Turns } from '../turns.ts'
import type { CircuitProgram } from './circuit-program.ts'
import type { ConstantStore } from './constants/constant-store.ts'
import type { SimdContext } from './context.ts'
import {
  completeIngress,
  type Output,
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

/** Bytes of kernel memory that a session takes, without its keys. */
export interface SessionMemory {
  /** Encoded constants, shared by all sessions of the circuit. */
  readonly constants: number
  /** Values, temporaries, scratch and tables of the program. */
  readonly program: number
}

/** Callbacks and options of a run. */
export interface SessionControl extends RunControl {
  /**
   * Draws the noise that is added to the logits, after the last round; by default fresh noise from the
   * platform.
   */
  readonly flooding?: DrawFlooding
  /** Resolves when `shouldStop` becomes true, so that a run that waits for its turn ends at once. */
  readonly stopped?: Promise<unknown>
  /** Called with true when the run waits for its client, and with false when it goes on. */
  readonly onWaiting?: (isWaiting: boolean) => void
  /**
   * False: the run waits for each round as soon as it is sent, for clients that work on the calling thread.
   * Default true: the run continues with operations that do not depend on the round.
   */
  readonly overlap?: boolean
}

/** A circuit ready to run under one client's keys. */
export interface SimdSession {
  readonly memory: SessionMemory
  /**
   * Runs the circuit on fresh encryptions, after the session's earlier runs. The calling thread computes too.
   * While the run waits for its client, other sessions of the engine run.
   *
   * @param pairs one for each input, at the level and scale of `circuit.input`; every residue is checked. Not
   *   changed; read when this run starts
   * @param client that refreshes values; needed by circuits with refresh rounds
   * @returns the result, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, ExecutionStopped, WORKER_LOST, and errors of `control`; the session stays
   *   usable. INTERNAL once the session is freed; CONFIG_INVALID when the circuit needs a client and there is
   *   none; errors of the client
   */
  run(pairs: readonly PackedRlwe[], control?: SessionControl, client?: RefreshPairs): Promise<PackedFullRlwe>
  /**
   * Checks pairs before they are passed to `run` or returned by its client.
   * @throws TENSOR_MALFORMED when a residue is out of range
   */
  check(pairs: readonly PackedRlwe[]): void
  /** Frees the program: at once, or after the last run that was started. */
  free(): void
}

/**
 * The client's part in a refresh round: it decrypts the masked values, and encrypts the same integers at the
 * highest level. It is called for the next round before an earlier one is over, where the next one does not
 * depend on it.
 *
 * @param masked one ciphertext for each refresh of the round, at the refresh level: masked, and re-randomised
 *   under the client's public key
 * @returns as many fresh encryptions of the same integers, in the same order
 */
export type RefreshPairs = (
  round: number,
  masked: readonly PackedFullRlwe[],
) => Promise<readonly PackedRlwe[]>

/** Dependencies of a session. */
export interface SessionParts {
  readonly context: SimdContext
  readonly constants: ConstantStore
  /** Compiled with an egress. */
  readonly program: CircuitProgram
  readonly loader: PairLoader
  readonly seeds: SeedExpander
  readonly pool: ThreadPool
  /** Frees everything that the session owns; a second disposal does nothing. */
  readonly owned: DisposableStack
}

/** Runs a circuit's program segment by segment, while the client refreshes values between segments. */
export class CircuitSession implements SimdSession {
  readonly memory: SessionMemory
  readonly #parts: SessionParts
  readonly #alone: <T>(run: () => Promise<T>) => Promise<T>
  /** The session's runs are sequential, because they share one program's memory. */
  readonly #turns = new Turns()
  #runs = 0
  #isFreed = false

  /** @param alone runs its argument when nothing else runs in the engine */
  constructor(parts: SessionParts, alone: <T>(run: () => Promise<T>) => Promise<T>) {
    const { arena, scratch, tables } = parts.program.sizes
    this.#parts = parts
    this.#alone = alone
    this.memory = { constants: parts.constants.bytes, program: arena + scratch + tables }
  }

  async run(
    pairs: readonly PackedRlwe[],
    control?: SessionControl,
    client: RefreshPairs = noClient,
  ): Promise<PackedFullRlwe> {
    if (this.#isFreed) throw new PolyVeilError('INTERNAL', 'A freed session is run')
    this.#runs++
    try {
      return await this.#turns.take(() => this.#run(pairs, control, client), control)
    } finally {
      this.#runs--
      this.#release()
    }
  }

  free(): void {
    this.#isFreed = true
    this.#release()
  }

  /** Frees the program, unless a run may still use it. */
  #release(): void {
    if (this.#isFreed && this.#runs === 0) this.#parts.owned.dispose()
  }

  async #run(
    pairs: readonly PackedRlwe[],
    control: SessionControl | undefined,
    client: RefreshPairs,
  ): Promise<PackedFullRlwe> {
    const { context, program, loader } = this.#parts
    const output = program.output!
    requireInputs(program, pairs)
    pairs.forEach((pair, i) => {
      const [c0, c1] = program.inputs[i].polynomials
      loader.load(pair, c0, c1)
    })
    try {
      await this.#runSegments(control, client)
      return readEgress(context, output.packed, output.level)
    } finally {
      wipeFlooding(context, output)
    }
  }

  check(pairs: readonly PackedRlwe[]): void {
    for (const pair of pairs) this.#parts.loader.check(pair)
  }

  /**
   * Runs the program segment by segment: each ends at a stop, where a round is sent, waited for or taken in.
   */
  async #runSegments(control: SessionControl | undefined, client: RefreshPairs): Promise<void> {
    const { pool, program } = this.#parts
    const rounds = new RoundsUnderWay(this.#parts, client, control?.onWaiting)
    let from = 0
    try {
      for (const [i, to] of program.program.stops.entries()) {
        // The last segment ends with the program, at no stop. Its noise may depend on the client's replies.
        const stop: Stop | undefined = program.stops[i]
        if (stop === undefined) this.#drawFlooding(program.output!, control?.flooding ?? freshFlooding)
        if (stop?.kind === 'send') rounds.expectMasks(stop.round)
        if (to > from) await this.#alone(() => pool.run(program.program, control, { from, to }))
        from = to
        if (stop !== undefined) await rounds[stop.kind](stop.round)
        if (control?.overlap === false) await rounds.waitForAll()
      }
    } finally {
      rounds.wipe()
    }
  }

  #drawFlooding(output: Output, draw: DrawFlooding): void {
    const noise = draw(output.logits.count, output.floodingBound)
    writeFlooding(this.#parts.context, output, noise)
    noise.fill(0)
  }
}

/** The rounds of one run that are under way, with a method for each kind of stop. */
class RoundsUnderWay implements Record<Stop['kind'], (round: number) => void | Promise<void>> {
  readonly #parts: SessionParts
  readonly #client: RefreshPairs
  /** The client's fresh encryptions, by round. */
  readonly #fresh = new Map<number, Promise<readonly PackedRlwe[]>>()
  /** Rounds that the client has answered. */
  readonly #answered = new Set<number>()
  /** Rounds that may have masks in memory. */
  readonly #masked = new Set<number>()

  readonly #onWaiting: (isWaiting: boolean) => void

  constructor(parts: SessionParts, client: RefreshPairs, onWaiting: (isWaiting: boolean) => void = () => {}) {
    this.#parts = parts
    this.#client = client
    this.#onWaiting = onWaiting
  }

  /** Called before the segment that draws a round's masks, so that `wipe` knows of them if it fails. */
  expectMasks(round: number): void {
    this.#masked.add(round)
  }

  /** Sends a round's masked values to the client, and does not wait for its fresh encryptions. */
  send(round: number): void {
    const { context, program } = this.#parts
    const { out, level } = program.refreshes[round]
    const masked = out.map(({ polynomials }) => readEgress(context, polynomials, level))
    const fresh = this.#client(round, masked)
    // A failure is reported by `wait`; until then it is no unhandled rejection.
    fresh.then(
      () => this.#answered.add(round),
      () => {},
    )
    this.#fresh.set(round, fresh)
  }

  /** Waits for a round's fresh encryptions, and copies them to where the next segment reads them. */
  async wait(round: number): Promise<void> {
    const { context, program } = this.#parts
    stageIngress(context, program.refreshes[round], await this.#answerTo(round))
  }

  /** Checks the fresh encryptions that the segment before has taken in, and ends the round. */
  async takeIn(round: number): Promise<void> {
    const { context, seeds, program } = this.#parts
    completeIngress(context, seeds, program.refreshes[round], await this.#fresh.get(round)!)
    this.#end(round)
  }

  /** Waits until the client has answered every round that was sent. */
  async waitForAll(): Promise<void> {
    for (const round of this.#fresh.keys()) await this.#answerTo(round)
  }

  /**
   * Overwrites the masks of all rounds: each run draws its own, and none outlives the run, however it ends.
   */
  wipe(): void {
    for (const round of this.#masked) this.#end(round)
  }

  async #answerTo(round: number): Promise<readonly PackedRlwe[]> {
    const fresh = this.#fresh.get(round)!
    if (this.#answered.has(round)) return fresh
    this.#onWaiting(true)
    try {
      return await fresh
    } finally {
      this.#onWaiting(false)
    }
  }

  #end(round: number): void {
    const { context, program } = this.#parts
    wipeMasks(context, program.refreshes[round])
    this.#fresh.delete(round)
    this.#masked.delete(round)
  }
}

const noClient: RefreshPairs = () => {
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'The circuit has refresh rounds, and there is no client to take part in them',
  )
}

/** With an input missing, a run would compute with the values of the run before. */
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
