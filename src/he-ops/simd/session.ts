import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { FullRlwe, PackedRlwe } from '../../wire/index.ts'
import type { CircuitProgram, RefreshRound } from './circuit-program.ts'
import type { ConstantStore } from './constants.ts'
import type { SimdContext } from './context.ts'
import type { PairLoader } from './loader.ts'
import type { OutputKeys } from './output-key.ts'
import type { Mask, Masks } from './refresh/mask.ts'
import type { Crew, RunControl } from './threads/crew.ts'
import type { Value } from './values.ts'

/** Bytes of kernel memory that a session takes, beside its keys. */
export interface SessionMemory {
  /** Encoded constants, shared by all sessions of the circuit. */
  readonly constants: number
  /** Values, temporaries, scratch and tables: the most that a run needs at once. */
  readonly program: number
}

/** A circuit ready to run under one client's keys. */
export interface SimdSession {
  readonly memory: SessionMemory
  /**
   * Runs the circuit on fresh encryptions, once the engine's earlier runs have ended. The calling thread computes too.
   *
   * @param pairs one for each input, at the level and scale of `circuit.input`; every residue is checked; not changed, and
   *   read when it is this run's turn
   * @param client that refreshes values; needed by circuits with rounds
   * @returns the result, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, ExecutionStopped, WORKER_LOST, and what `control` throws; the session stays usable.
   *   INTERNAL once the session is freed; CONFIG_INVALID without the client that is needed; whatever
   *   the client throws
   */
  run(pairs: readonly PackedRlwe[], control?: RunControl, client?: RefreshClient): Promise<FullRlwe>
  /** Checks pairs before `run` or its client hands them over. @throws TENSOR_MALFORMED when a residue is out of range */
  check(pairs: readonly PackedRlwe[]): void
  /** Gives the program back, at once or when the last run that was asked for has ended. */
  free(): void
}

/**
 * The client in a refresh: decrypts, and encrypts anew at the highest level.
 *
 * @param masked one ciphertext for each refresh of the round, at the refresh level: masked, and re-randomised under the
 *   client's public key
 * @returns as many fresh encryptions of the same integers
 */
export type RefreshClient = (round: number, masked: readonly FullRlwe[]) => Promise<readonly PackedRlwe[]>

/** What a session works with. */
export interface SessionParts {
  readonly context: SimdContext
  readonly circuit: Circuit
  readonly outputKeys: OutputKeys
  readonly constants: ConstantStore
  readonly program: CircuitProgram
  readonly loader: PairLoader
  /** Present when the circuit has refreshes. */
  readonly masks: Masks | undefined
  readonly crew: Crew
  /** Frees all that is the session's own; disposing of it again does nothing. */
  readonly owned: DisposableStack
}

/** Runs a circuit's program, stretch by stretch, with the client between them. */
export class CircuitSession implements SimdSession {
  readonly memory: SessionMemory
  readonly #parts: SessionParts
  readonly #alone: <T>(run: () => Promise<T>) => Promise<T>
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
    control?: RunControl,
    client: RefreshClient = noClient,
  ): Promise<FullRlwe> {
    if (this.#isFreed) throw new PolyVeilError('INTERNAL', 'A freed session is run')
    this.#runs++
    try {
      return await this.#alone(() => this.#run(pairs, control, client))
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
    control: RunControl | undefined,
    client: RefreshClient,
  ): Promise<FullRlwe> {
    const { circuit, crew, program } = this.#parts
    const { stops } = program.program
    requireInputs(program, pairs)
    pairs.forEach((pair, i) => {
      this.#load(pair, program.inputs[i])
    })
    let from = 0
    for (const [round, to] of stops.entries()) {
      await crew.run(program.program, control, { from, to })
      from = to
      if (round < program.refreshes.length) await this.#refresh(round, program.refreshes[round], client)
    }
    const { level, scale, flooding } = circuit.output
    return this.#leaving(program.result, level, { scale, flooding })
  }

  check(pairs: readonly PackedRlwe[]): void {
    for (const pair of pairs) this.#parts.loader.check(pair)
  }

  /** Masks are drawn anew for each round of each run, and forgotten with it. */
  async #refresh(round: number, { from, out }: RefreshRound, client: RefreshClient): Promise<void> {
    const { level } = this.#parts.circuit.refresh!
    const masks = from.map(() => this.#parts.masks!.draw())
    try {
      const masked = from.map((value, i) => this.#masked(value, masks[i], level))
      const fresh = await client(round, masked)
      if (fresh.length !== out.length) {
        throw new PolyVeilError(
          'TENSOR_MALFORMED',
          `Round ${round} brings ${fresh.length} ciphertexts, not ${out.length}`,
        )
      }
      out.forEach((value, i) => {
        this.#load(fresh[i], value)
        this.#parts.masks!.apply('subtract', masks[i], value.polynomials[0], value.primes)
      })
    } finally {
      for (const mask of masks) mask.fill(0)
    }
  }

  /** A ciphertext of the value plus a mask, ready to leave; the value stays as it is. */
  #masked({ polynomials: [c0, c1], primes }: Value, mask: Mask, level: number): FullRlwe {
    const { heap, kernels, limbBytes, ring } = this.#parts.context
    const copy = heap.allocate(limbBytes * primes)
    try {
      kernels.copy(copy, c0, ring * primes)
      this.#parts.masks!.apply('add', mask, copy, primes)
      return this.#leaving({ polynomials: [copy, c1], primes, extended: false }, level, {
        scale: 1,
        flooding: 0,
      })
    } finally {
      heap.free(copy)
    }
  }

  #load(pair: PackedRlwe, { polynomials: [c0, c1] }: Value): void {
    this.#parts.loader.load(pair, c0, c1)
  }

  #leaving(value: Value, level: number, options: { scale: number; flooding: number }): FullRlwe {
    const { context, outputKeys } = this.#parts
    const [c0, c1] = value.polynomials.map((polynomial) =>
      halves(context.heap.words(polynomial, context.ring * (level + 1))),
    )
    return outputKeys.rerandomise({ c0, c1 }, level, options)
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

/** 32-bit residues as pairs of halves. */
function halves(residues: Uint32Array): Uint32Array {
  const out = new Uint32Array(2 * residues.length)
  for (let i = 0; i < residues.length; i++) out[2 * i] = residues[i]
  return out
}
