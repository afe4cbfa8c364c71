import type { ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder, TermDraft } from '../builder/circuit-builder.ts'
import type { ConstantDraft } from '../builder/constant-pool.ts'
import { periodicConstant } from '../constants.ts'
import { babyStep, giantSum, type RotationStrategy } from '../strategy.ts'
import type { Diagonals } from './diagonals.ts'

// Moves of lanes within blocks. All blocks of a ciphertext move in the same way, so masks have the period of
// a block, and their plaintexts are small.

/** What all moves of a product have in common. */
export interface LaneMoves {
  readonly builder: CircuitBuilder
  readonly strategy: RotationStrategy
  readonly diagonals: Diagonals
  /** Scale of the masks. */
  readonly maskScale: number
}

/** A mask of a factor in some lanes of each block, and zeros in the others. */
export function laneMask(
  { diagonals: { block } }: LaneMoves,
  isIn: (lane: number) => boolean,
  factor = 1,
): ConstantDraft {
  const count = Array.from({ length: block }, (_, lane) => lane).filter(isIn).length
  return {
    period: block,
    gain: factor * Math.sqrt(count / block),
    isZero: () => count === 0,
    make: () => periodicConstant(block, (lane, part) => (part === 0 && isIn(lane) ? factor : 0)),
  }
}

/** Lane l of each block reads its own lane, l units of positions to the right. @returns rescaled */
export function skewed(moves: LaneMoves, source: ValueId): ValueId {
  const { builder, strategy, diagonals, maskScale } = moves
  const { lanes, unitSlots } = diagonals
  // Where a block has more lanes than there are units, positions wrap around.
  const terms = Array.from({ length: lanes }, (_, step): TermDraft => {
    return {
      value: () => babyStep(builder, strategy, source, step, unitSlots),
      constant: laneMask(moves, (lane) => lane % lanes === step),
    }
  })
  return builder.rescaleToWaterline(builder.dot(terms, maskScale)!)
}

/**
 * Lane l of each block reads lane l + turn, which wraps around within the block.
 *
 * @param slotsPerLane slots from a lane to the next one that it reads
 * @param isIn the lanes that are written; the others become zero
 * @returns rescaled
 */
export function turned(
  moves: LaneMoves,
  source: ValueId,
  turn: number,
  slotsPerLane: number,
  isIn: (lane: number) => boolean = () => true,
): ValueId {
  const { builder, strategy, diagonals, maskScale } = moves
  const { block } = diagonals
  const termOf = (shift: number, reads: (lane: number) => boolean): TermDraft => ({
    value: () => babyStep(builder, strategy, source, shift, slotsPerLane),
    constant: laneMask(moves, (lane) => isIn(lane) && reads(lane)),
  })
  const terms = [
    termOf(turn, (lane) => lane + turn < block),
    termOf(turn - block, (lane) => lane + turn >= block),
  ]
  return builder.rescaleToWaterline(builder.dot(terms, maskScale)!)
}

/**
 * Slots from a lane of a skewed value to the next lane at the same skew: one lane forth, and one unit of
 * positions back.
 */
export const skewedLane = ({ unitSlots }: Diagonals): number => 1 - unitSlots

/**
 * The sum over turns of the values, each turned back by its own index: the inverse of turning for all of
 * them.
 *
 * @param values by turn, one for each lane of a block
 * @param factor that the sum is multiplied by
 * @returns value at the sources' level, at their scale times that of the masks
 */
export function turnedBack(moves: LaneMoves, values: readonly ValueId[], factor: number): ValueId {
  const { builder, strategy, diagonals, maskScale } = moves
  const { block } = diagonals
  const scale = maskScale / factor
  const parts = new Map<number, ValueId>()
  values.forEach((value, turn) => {
    // Elements that turning moved to the left go back to the right, and the others to the left.
    const shifts: [shift: number, isIn: (lane: number) => boolean][] = [
      [-turn, (lane) => lane + turn < block],
      [block - turn, (lane) => lane + turn >= block],
    ]
    for (const [shift, isIn] of shifts) {
      const part = builder.dot([{ value: () => value, constant: laneMask(moves, isIn, factor) }], scale)
      if (part !== undefined) parts.set(shift, part)
    }
  })
  return giantSum(builder, strategy, parts, 1)
}
