import type { ComplexVector, ValueId } from '../../../circuit/types.ts'
import type { CircuitBuilder, TermDraft } from '../builder/circuit-builder.ts'
import { giantSum } from '../strategy.ts'
import { rotated, scaled } from './diagonals.ts'
import type { TransformRotations } from './shape.ts'
import type { TransformFactor } from './transform.ts'

/** Baby steps of a factor: a power of two, so that both transforms use the same keys. */
function babiesOf({ shifts }: TransformFactor, { babiesForGiant = 1 }: TransformRotations): number {
  const count = 2 ** Math.ceil(Math.log2(shifts.at(-1)! + 1))
  const root = 2 ** Math.ceil(Math.log2(count) / 2)
  return babiesForGiant * root
}

/** The value rotated by `baby` steps, of fewer than `babies`, of `unit` slots. */
function babyStep(
  builder: CircuitBuilder,
  value: ValueId,
  { babySteps }: TransformRotations,
  baby: number,
  babies: number,
  unit: number,
): ValueId {
  if (babySteps === 'chain') return builder.rotateBy(value, baby, unit)
  const few = babySteps === 'direct' ? babies : 2 ** Math.ceil(Math.log2(babies) / 2)
  const rest = baby % few
  return builder.rotate(builder.rotate(value, (baby - rest) * unit), rest * unit)
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
  rotations: TransformRotations,
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
        value: () => babyStep(builder, value, rotations, baby, babies, unit),
        constant: { period, gain: 1, exact: true, make },
      }
    })
    parts.set(giant, builder.dot(terms, constantScale)!)
  }
  return giantSum(builder, rotations, parts, babies * unit)
}
