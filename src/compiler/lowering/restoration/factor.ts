import type { ComplexVector, ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder, TermDraft } from '../builder/circuit-builder.ts'
import { giantSum } from '../strategy.ts'
import { rotated, scaled } from './diagonals.ts'
import type { RestorationShape } from './shape.ts'
import type { TransformFactor } from './transform.ts'

/**
 * Baby steps of a factor: about as many as giant steps, but more where they share one decomposition. A power
 * of two, so that both transforms use the same keys.
 */
function babiesOf({ shifts }: TransformFactor, { babySteps }: RestorationShape['rotations']): number {
  const count = 2 ** Math.ceil(Math.log2(shifts.at(-1)! + 1))
  const root = 2 ** Math.ceil(Math.log2(count) / 2)
  return babySteps === 'direct' ? 2 * root : root
}

/**
 * Lowers a factor of the transform, by baby steps and giant steps: with shift k = (g B + b) units, the sum
 * over g of the rotation by g B units of the sum over b of the diagonal, rotated back, times the value
 * rotated by b units.
 *
 * @param gain of the diagonals
 * @returns at the value's level, at its scale times `constantScale`
 */
export function lowerFactor(
  builder: CircuitBuilder,
  value: ValueId,
  factor: TransformFactor,
  rotations: RestorationShape['rotations'],
  constantScale: number,
  gain = 1,
): ValueId {
  const { unit, period, shifts } = factor
  const babies = babiesOf(factor, rotations)
  const parts = new Map<number, ValueId>()
  for (const [giant, own] of Map.groupBy(shifts, (shift) => Math.floor(shift / babies))) {
    const terms = own.map((shift): TermDraft => {
      const baby = shift - giant * babies
      const make = (): ComplexVector => {
        const { slots, diagonals } = factor.map()
        return scaled(rotated(diagonals.get((shift * unit) % slots)!, -giant * babies * unit), gain)
      }
      return {
        value: () =>
          rotations.babySteps === 'chain'
            ? builder.rotateBy(value, baby, unit)
            : builder.rotate(value, baby * unit),
        constant: { period, gain: 1, exact: true, make },
      }
    })
    parts.set(giant, builder.dot(terms, constantScale)!)
  }
  return giantSum(builder, rotations, parts, babies * unit)
}
