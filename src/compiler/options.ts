import { PolyVeilError, printable } from '../errors/index.ts'
import type { Network } from '../models/network.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import type { SimdSpeeds } from '../schedule/cost.ts'
import { ENGINE_NAMES } from '../schedule/engine-name.ts'
import {
  OBJECTIVES,
  type Objective,
  REFRESH_CHOICES,
  type RefreshChoice,
  requireNoContradiction,
} from './choices.ts'
import type { Link } from './planner/target/refresh-cost.ts'
import type { TargetName } from './planner/target/target.ts'

export interface CompileOptions {
  /** Name under which the circuit is served. */
  readonly model: string
  readonly labels?: readonly string[]
  /** How clients turn pictures into inputs; null when the circuit takes preprocessed tensors only. */
  readonly preprocessing: Preprocessing | null
  /**
   * Images that share the ciphertexts, a power of two; 1 by default. With `auto`, the largest batch that
   * costs hardly more than one image, because the other images take slots that would be empty.
   */
  readonly batch?: number | 'auto'
  /**
   * Rings to consider; by default those up to 32768, or those that raise moduli where the server restores
   * levels.
   */
  readonly rings?: readonly number[]
  /** Bits by which the error of the logits lies below their root mean square; 8.5 by default. */
  readonly precisionBits?: number
  readonly objective?: Objective
  /**
   * Who restores levels. With `auto`, the default, the client refreshes values where one shot does not fit or
   * costs more for the objective. With `server` the server restores levels by itself (bootstrapping).
   */
  readonly refresh?: RefreshChoice
  /**
   * Whether the client is offline between its query and the answer; false by default. With `auto` the plan is
   * then one shot where that fits, and otherwise the server restores levels.
   */
  readonly offlineClient?: boolean
  /** The engine to plan for. */
  readonly target?: TargetName
  /**
   * Speeds of the SIMD engine's kernels on the machine that will execute the circuit; by default those of the
   * reference machine.
   */
  readonly speeds?: SimdSpeeds
  /** The link between client and server, which refreshes wait for. By default both are on one machine. */
  readonly link?: Link
  /** Size of the largest prime, in bits; by default the largest that the target's arithmetic supports. */
  readonly maxPrimeBits?: number
  /**
   * Preprocessed images, each [C, H, W] of the network. Without images, ranges come from poly-BN statistics.
   */
  readonly calibration?: readonly Float64Array[]
}

/** Default precision: an error of 0.004 on logits of deviation 1.5. */
export const DEFAULT_PRECISION_BITS = 8.5

// Checks of options from callers without types. A misspelt one would otherwise be a default, or end in a
// TypeError deep inside. Rings and batches are checked with the network, in `ringsFor`.

const CHOICES: Readonly<Record<'objective' | 'refresh' | 'target', readonly string[]>> = {
  objective: OBJECTIVES,
  refresh: REFRESH_CHOICES,
  target: ENGINE_NAMES,
}

/**
 * @throws CONFIG_INVALID when a choice does not exist, two choices contradict each other, a number is none or
 *   out of range, or a calibration image has another size than the network's input
 */
export function checkOptions(network: Network, options: CompileOptions): void {
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = options[name as keyof typeof CHOICES]
    if (value !== undefined && !choices.includes(value))
      throw invalid(`${name} is ${printable(String(value))}; it is one of ${choices.join(', ')}`)
  }
  requireBoolean('offlineClient', options.offlineClient)
  requireNoContradiction(options)
  requireNumber('precisionBits', options.precisionBits, (bits) => bits > 0)
  requireNumber('maxPrimeBits', options.maxPrimeBits, Number.isInteger)
  requireNumber('link.roundTripMs', options.link?.roundTripMs, (time) => time >= 0)
  requireNumber('link.megabitsPerSecond', options.link?.megabitsPerSecond, (rate) => rate > 0)
  const size = 3 * network.height * network.width
  const other = (options.calibration ?? []).findIndex(({ length }) => length !== size)
  if (other >= 0) {
    throw invalid(
      `Calibration image ${other} has ${options.calibration![other].length} values; the network takes ` +
        `3 x ${network.height} x ${network.width} = ${size}`,
    )
  }
}

function requireBoolean(name: string, value: boolean | undefined): void {
  if (value === undefined || typeof value === 'boolean') return
  throw invalid(`${name} is ${printable(String(value))}; it is true or false`)
}

function requireNumber(name: string, value: number | undefined, fits: (value: number) => boolean): void {
  if (value === undefined || (Number.isFinite(value) && fits(value))) return
  throw invalid(`${name} is ${printable(String(value))}, which is out of range`)
}

const invalid = (message: string): PolyVeilError => new PolyVeilError('CONFIG_INVALID', message)
