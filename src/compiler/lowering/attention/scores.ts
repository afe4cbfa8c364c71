import type { ValueId } from '../../../circuit/types.ts'
import type { NodeOf } from '../../graph/graph.ts'
import type { CircuitBuilder } from '../builder/circuit-builder.ts'
import type { Packed } from '../packed.ts'
import { babyStep } from '../strategy.ts'
import { type Diagonals, farSlots, nearSlots, scoresLayout } from './diagonals.ts'
import { eachHeadGroup } from './heads.ts'
import { type LaneMoves, skewed, skewedLane, turned } from './lane-moves.ts'
import { atOneLevel, sumOfProducts } from './products.ts'

/**
 * Lowers the scores of attention. For each turn of a block's lanes, lane l of the query has channel l + turn
 * at position t, and lane l of the key has the same channel at the position whose score lane l gets. The sum
 * of their products over all turns is the dot product, so that no lanes have to be added up. With q1 + i q2
 * in a slot, the real part of q conj(k) is the sum over both channels.
 *
 * @returns real scores on packed diagonals (`diagonals.ts`), below the level of the operands; not clean
 */
export function lowerScores(moves: LaneMoves, query: Packed, key: Packed, node: NodeOf<'scores'>): Packed {
  const { builder, diagonals } = moves
  const { layout } = query
  const values = eachHeadGroup(builder, layout, diagonals, [query, key], (q, k) =>
    scoresOfGroup(moves, node, q, k),
  )
  return { layout: scoresLayout(layout, diagonals), values, clean: false }
}

/** @param query ciphertexts of a head group, as those of the key */
function scoresOfGroup(
  moves: LaneMoves,
  { gain, offset }: NodeOf<'scores'>,
  query: readonly ValueId[],
  key: readonly ValueId[],
): ValueId[] {
  const { builder, strategy, diagonals } = moves
  const [left, right] = atOneLevel(builder, [
    query.flatMap((value) => turnsOfQuery(moves, value)),
    key.flatMap((value) => turnsOfKey(moves, builder.conjugate(value))),
  ])
  return diagonals.groups.map(({ near, far }) => {
    const product = sumOfProducts(
      builder,
      left.map((q, i) => [
        babyStep(builder, strategy, q, -far, farSlots(diagonals, 1)),
        babyStep(builder, strategy, right[i], near, nearSlots(diagonals, 1)),
      ]),
    )
    return shifted(builder, scaledRealPart(builder, product, gain), offset)
  })
}

const turnsOfQuery = (moves: LaneMoves, value: ValueId): ValueId[] =>
  turnsOf(moves.diagonals).map((turn) => turned(moves, value, turn, 1))

function turnsOfKey(moves: LaneMoves, value: ValueId): ValueId[] {
  const own = skewed(moves, value)
  return turnsOf(moves.diagonals).map((turn) => turned(moves, own, turn, skewedLane(moves.diagonals)))
}

const turnsOf = ({ block }: Diagonals): number[] => Array.from({ length: block }, (_, turn) => turn)

/** gain * (z + conj z) / 2, by constants that encoding does not round where the gain is a power of two. */
function scaledRealPart(builder: CircuitBuilder, value: ValueId, gain: number): ValueId {
  const half = gain / 2
  const scale = 2 ** Math.max(0, Math.ceil(-Math.log2(Math.abs(half))))
  const constant = {
    period: 1,
    gain: Math.abs(half),
    exact: Number.isInteger(half * scale),
    make: () => Float64Array.of(half),
  }
  const terms = [() => value, () => builder.conjugate(value)].map((own) => ({ value: own, constant }))
  return builder.rescaleToWaterline(builder.dot(terms, scale)!)
}

/** value + offset in all slots. */
const shifted = (builder: CircuitBuilder, value: ValueId, offset: number): ValueId =>
  builder.addPlain(value, { period: 1, gain: Math.abs(offset), make: () => Float64Array.of(offset) })
