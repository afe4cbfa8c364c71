import type { Layout, ValueId } from '../../circuit/types.ts'
import type { Tap } from '../packing/taps.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { hornerSum } from './horner.ts'

/**
 * The rotations of a layer. Direct rotations of one value are cheap where the engine hoists (they share one
 * decomposition), but each step needs its own Galois key. Chains and Horner's rule need two keys for any
 * number of steps, but each rotation needs the result of the one before.
 */
export interface RotationStrategy {
  /** Number of baby steps of channel mixing. With as many as there are shifts, no giant step is rotated. */
  readonly babies: number
  /** A chain of single steps, or one rotation of the source for each baby step. */
  readonly babySteps: 'chain' | 'direct'
  /** Horner's rule over the giant steps, or one rotation for each giant step. */
  readonly giantSteps: 'horner' | 'direct'
  /**
   * Taps of convolutions that mix channels. `separable`: the source is rotated to each row, and the row to
   * each column. `direct`: the source is rotated to each tap. `joint`: the source is rotated to each pair of
   * a tap and a baby step.
   */
  readonly taps: 'separable' | 'direct' | 'joint'
  /**
   * Taps of depthwise convolutions. `separable`: columns are baby steps and rows are giant steps. `direct`:
   * the source is rotated to each tap.
   */
  readonly depthwise: 'separable' | 'direct'
}

/**
 * The rotation strategies of a circuit's layers, by the interleave of the tensor that a layer reads: the
 * number of shifts between channels grows with it. Layers of equal interleave have the same strategy and
 * share their keys.
 */
export interface Strategies {
  /** The strategy of every interleave that is not in `byInterleave`. */
  readonly usual: RotationStrategy
  readonly byInterleave: ReadonlyMap<number, RotationStrategy>
}

/** The same strategy for all layers. */
export const everywhere = (usual: RotationStrategy): Strategies => ({ usual, byInterleave: new Map() })

/** The strategy of a layer that reads a tensor of the given layout. */
export const strategyFor = ({ usual, byInterleave }: Strategies, { interleave }: Layout): RotationStrategy =>
  byInterleave.get(interleave) ?? usual

/** Number of negative baby steps. Baby steps lie around 0, so that chains in both directions are short. */
export const halfOf = (babies: number): number => Math.floor(babies / 2)

/** Slots between the input and the output of a tap. */
export const tapSteps = ({ interleave, rowStride, columnStride }: Layout, { dy, dx }: Tap): number =>
  (dy * rowStride + dx * columnStride) * interleave

/** The source rotated by `baby` steps of `unit` slots. */
export const babyStep = (
  builder: CircuitBuilder,
  { babySteps }: RotationStrategy,
  source: ValueId,
  baby: number,
  unit = 1,
): ValueId =>
  babySteps === 'chain' ? builder.rotateBy(source, baby, unit) : builder.rotate(source, baby * unit)

/** The source rotated by a tap and a baby step. */
export function tapAndBabyStep(
  builder: CircuitBuilder,
  strategy: RotationStrategy,
  source: ValueId,
  layout: Layout,
  tap: Tap,
  baby: number,
): ValueId {
  const steps = tapSteps(layout, tap)
  if (strategy.taps === 'joint') return builder.rotate(source, steps + baby)
  const moved =
    strategy.taps === 'direct' ? builder.rotate(source, steps) : rowThenColumn(builder, source, layout, tap)
  return babyStep(builder, strategy, moved, baby)
}

/**
 * The source rotated by the row and then by the column of a tap. Taps of one row share the row's rotation.
 */
function rowThenColumn(
  builder: CircuitBuilder,
  source: ValueId,
  { interleave, rowStride, columnStride }: Layout,
  { dy, dx }: Tap,
): ValueId {
  const row = builder.rotate(source, dy * rowStride * interleave)
  return builder.rotate(row, dx * columnStride * interleave)
}

/**
 * Sum over k of rotate(parts[k], k * unit).
 *
 * @param parts values by k, at least one; all of one level and scale
 */
export function giantSum(
  builder: CircuitBuilder,
  { giantSteps }: Pick<RotationStrategy, 'giantSteps'>,
  parts: ReadonlyMap<number, ValueId>,
  unit: number,
): ValueId {
  if (giantSteps === 'horner') return hornerSum(builder, parts, unit)
  return [...parts]
    .map(([k, part]) => builder.rotate(part, k * unit))
    .reduce((sum, id) => builder.add(sum, id))
}
