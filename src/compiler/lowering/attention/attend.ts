import type { ValueId } from '../../../circuit/types.ts'
import type { NodeOf } from '../../graph/graph.ts'
import type { Packed } from '../packed.ts'
import { babyStep, giantSum } from '../strategy.ts'
import { farSlots, nearSlots } from './diagonals.ts'
import { eachHeadGroup } from './heads.ts'
import { type LaneMoves, skewed, skewedLane, turned, turnedBack } from './lane-moves.ts'
import { atOneLevel, type Factors, sumOfProducts } from './products.ts'

/**
 * Lowers the sum of values, weighted by scores. Lane l of the scores has a key of its own. For each turn,
 * lane l of the value has channel l + turn at the position of that key, as `lowerScores` has keys. The
 * products of a turn are added up over all groups of pairs; then the lanes of each turn go back to the places
 * of their channels.
 *
 * @param scores on packed diagonals, real
 * @param value clean: scores of positions outside the map are not zero
 * @returns output in the value's layout, at one scale for all ciphertexts, not rescaled; not clean
 */
export function lowerAttend(moves: LaneMoves, scores: Packed, value: Packed, node: NodeOf<'attend'>): Packed {
  if (!value.clean) throw new Error('Attention sums over all positions and needs clean values')
  const { layout } = value
  const { builder, diagonals } = moves
  const values = eachHeadGroup(builder, layout, diagonals, [scores, value], (weights, own) =>
    own.map((ciphertext) => weightedSum(moves, node.gain, weights, ciphertext)),
  )
  return { layout, values, clean: false }
}

/** @param weights ciphertexts of scores of a head group */
function weightedSum(moves: LaneMoves, gain: number, weights: readonly ValueId[], value: ValueId): ValueId {
  const { builder } = moves
  const [scores, turns] = atOneLevel(builder, [weights, turnsOfValue(moves, value)])
  const sums = turns.map((own) => sumOverGroups(moves, scores, own))
  return turnedBack(moves, sums, gain)
}

/** Lanes without scores become zero. */
function turnsOfValue(moves: LaneMoves, value: ValueId): ValueId[] {
  const { block, lanes } = moves.diagonals
  const own = skewed(moves, value)
  return Array.from({ length: block }, (_, turn) =>
    turned(moves, own, turn, skewedLane(moves.diagonals), (lane) => lane < lanes),
  )
}

/** The sum of scores times values over all groups of pairs, with the rows of each group moved back. */
function sumOverGroups(
  { builder, strategy, diagonals }: LaneMoves,
  scores: readonly ValueId[],
  value: ValueId,
): ValueId {
  const byFar = new Map<number, Factors[]>()
  diagonals.groups.forEach(({ near, far }, index) => {
    const moved = babyStep(builder, strategy, value, near, nearSlots(diagonals, 1))
    byFar.set(far, [...(byFar.get(far) ?? []), [scores[index], moved]])
  })
  const parts = new Map([...byFar].map(([far, factors]) => [far, sumOfProducts(builder, factors)]))
  return giantSum(builder, strategy, parts, farSlots(diagonals, 1))
}
