import type { CiphertextType, ModulusChain } from '../../../circuit/laws.ts'

/** The scales of a circuit, in bits. */
export interface ScalePolicy {
  /** Least scale after a rescale (EVA, PLDI 2020, waterline rescaling). */
  readonly waterline: number
  /** A value is rescaled when its scale is at least this many bits above the waterline. */
  readonly step: number
  /** The rounded weights of each layer make an error of 2^-rounding in the logits. */
  readonly rounding: number
  /** Scale of fresh encryptions. */
  readonly input: number
}

/**
 * The modulus chain that scales refer to, and the slots of one copy of one image. In a draft, the prime of a
 * level is chosen at the first rescale from that level.
 */
export interface BuilderChain extends ModulusChain {
  /** Level of inputs and of restored values; by default the highest. */
  readonly inputLevel?: number
  /** Images that share a ciphertext; 1 by default. The operations are those of one image until `widen`. */
  readonly batch?: number
  /**
   * Copies of the image in its slots, a power of two; 1 by default. The slots repeat, so that rotations by
   * less than the slots of a copy turn all copies at once.
   */
  readonly copies?: number
  /** Chooses the prime of a level, of at most `bits` bits, unless it is chosen already. */
  choose?(level: number, bits: number): void
  /** Returns a function that undoes all later choices. */
  mark?(): () => void
}

/**
 * Whether the waterline rule rescales a value: its scale is at least `step` bits above the waterline, and is
 * at the waterline or above after the rescale. In a draft, the prime of the value's level is chosen here if
 * the level has none.
 */
export function canRescale(
  { level, scale }: CiphertextType,
  { waterline, step }: ScalePolicy,
  chain: BuilderChain,
): boolean {
  const spare = Math.log2(scale) - waterline
  if (level === 0 || spare < step) return false
  chain.choose?.(level, spare)
  return scale / Number(chain.primes[level]) >= 2 ** waterline
}
