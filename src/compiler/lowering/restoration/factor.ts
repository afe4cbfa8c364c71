import type { ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder, TermDraft } from '../builder/circuit-builder.ts'
import { giantSum } from '../strategy.ts'
import { modulo, rotated } from './diagonals.ts'
import type { RestorationShape } from './shape.ts'
import type { TransformFactor } from './transform.ts'

/**
 * Baby steps of a factor: about as many as giant steps, but more where they share one decomposition. A power
 * of two, so that both transforms use the same keys.
 */
function babiesOf({ map }: TransformFactor, { babySteps }: RestorationShape['rotations']): number {
  const shifts = 2 ** Math.ceil(Math.log2(map.diagonals.size + 1))
  const root = 2 ** Math.ceil(Math.log2(shifts) / 2)
  return babySteps === 'direct' ? 2 * root : root
}

/**
 * Lowers a factor of the transform, by baby steps and giant steps: with shift k = (g B + b) units, the sum
 * over g of the rotation by g B units of the sum over b of the diagonal, rotated back, times the value rotated
 * by b units.
 *
 * @returns at the value's level, at its scale times `constantScale`
 */
export function lowerFactor(
  builder: CircuitBuilder,
  value: ValueId,
  factor: TransformFactor,
  rotations: RestorationShape['rotations'],
  constantScale: number,
): ValueId {
  const { map, unit } = factor
  const babies = babiesOf(factor, rotations)
  const groups = Map.groupBy(map.diagonals, ([shift]) => Math.floor(shift / unit / babies))
  const parts = new Map<number, ValueId>()
  for (const [giant, diagonals] of [...groups].sort(([a], [b]) => a - b)) {
    const back = modulo(-giant * babies * unit, map.slots)
    const terms = diagonals.map(([shift, diagonal]): TermDraft => {
      const baby = shift / unit - giant * babies
      return {
        value: () =>
          rotations.babySteps === 'chain'
            ? builder.rotateBy(value, baby, unit)
            : builder.rotate(value, baby * unit),
        constant: { period: map.period, gain: 1, exact: true, make: () => rotated(diagonal, back) },
      }
    })
    parts.set(giant, builder.dot(terms, constantScale)!)
  }
  return giantSum(builder, rotations, parts, babies * unit)
}
