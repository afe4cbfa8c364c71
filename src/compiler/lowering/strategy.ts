import type { Layout, ValueId } from '../../circuit/types.ts'
import type { Tap } from '../packing/taps.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { hornerSum } from './horner.ts'

/**
 * How layers spend rotations. Rotations of one value are cheap where the engine hoists (they share one
 * decomposition), but each step has a Galois key of its own; chains and Horner's rule do with two keys for
 * any number of steps, one rotation after the other.
 */
export interface RotationStrategy {
  /** Baby steps of channel mixing; as many as there are shifts leave one giant step, which is no rotation. */
  readonly babies: number
  /** Baby steps by a chain of single steps, or each by a rotation of the source. */
  readonly babySteps: 'chain' | 'direct'
  /** Parts of the giant steps summed by Horner's rule, or each rotated by a rotation of its own. */
  readonly giantSteps: 'horner' | 'direct'
  /**
   * Taps of convolutions that mix channels too: the columns of rotated rows; or each tap rotated from the
   * source; or each tap together with each baby step by one rotation of the source.
   */
  readonly taps: 'separable' | 'direct' | 'joint'
  /**
   * Taps of depthwise convolutions: columns as baby steps and rows as giant steps; or each rotated from the
   * source.
   */
  readonly depthwise: 'separable' | 'direct'
}

/**
 * The strategies of a circuit's layers, by how many channels the tensors that they read have interleaved: the
 * more there are, the more shifts there are between channels. Layers of equal interleave have one strategy
 * and share their keys.
 */
export interface Strategies {
  /** Of every interleave that is not listed. */
  readonly usual: RotationStrategy
  readonly byInterleave: ReadonlyMap<number, RotationStrategy>
}

/** One strategy for all layers. */
export const everywhere = (usual: RotationStrategy): Strategies => ({ usual, byInterleave: new Map() })

/** The strategy of a layer. @param input layout of the tensor that it reads */
export const strategyFor = ({ usual, byInterleave }: Strategies, { interleave }: Layout): RotationStrategy =>
  byInterleave.get(interleave) ?? usual

/** Baby steps lie around 0, so that neighbours in both directions share the keys of one step. */
export const halfOf = (babies: number): number => Math.floor(babies / 2)

/** Slots between a tap's input and its output. */
export const tapSteps = ({ interleave, rowStride, columnStride }: Layout, { dy, dx }: Tap): number =>
  (dy * rowStride + dx * columnStride) * interleave

/** The source rotated by `baby` single slots. */
export const babyStep = (
  builder: CircuitBuilder,
  { babySteps }: RotationStrategy,
  source: ValueId,
  baby: number,
): ValueId => (babySteps === 'chain' ? builder.rotateBy(source, baby, 1) : builder.rotate(source, baby))

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
 * Row and column of a tap one after the other: taps of one row share the row's rotation, and few keys serve
 * all.
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
 * @param parts values by their k, at least one; all of one level and scale
 */
export function giantSum(
  builder: CircuitBuilder,
  { giantSteps }: RotationStrategy,
  parts: ReadonlyMap<number, ValueId>,
  unit: number,
): ValueId {
  if (giantSteps === 'horner') return hornerSum(builder, parts, unit)
  return [...parts]
    .map(([k, part]) => builder.rotate(part, k * unit))
    .reduce((sum, id) => builder.add(sum, id))
}
