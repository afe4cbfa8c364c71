import { lanesIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { ConvNode } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import { withStride } from '../packing/choose.ts'
import { guardsSuffice, missesMap, type Tap, tapsOf } from '../packing/taps.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { isZeroInLanes, outerConstant, type Part, periodicConstant, positionFactors } from './constants.ts'
import { channelHalf, type Half, halfGain, roundingVariance } from './halves.ts'
import { layerValues } from './layer-values.ts'
import type { Form, Packed } from './packed.ts'
import { giantSum, type RotationStrategy, tapSteps } from './strategy.ts'

/**
 * Lowers a depthwise convolution. The separable strategy makes columns baby steps of the input and rows giant
 * steps of the output: a k x k kernel takes 2 (k - 1) rotations. The direct strategy takes k^2 - 1 rotations
 * of the input. The weights are full-size plaintexts where the node scales positions, or where the guards do
 * not do the padding. Full-size weights make the output clean. The two channels of a lane are not added to
 * one another, so that weights are real, or imaginary.
 *
 * @param constantScale scale of the weights
 * @returns output at the input's level, at the input's scale times `constantScale`
 */
export function lowerDepthwise(
  builder: CircuitBuilder,
  input: Packed,
  node: ConvNode,
  strategy: RotationStrategy,
  constantScale: number,
  form: Form,
): Packed {
  const layout = withStride(input.layout, node.stride, node.shape[1], node.shape[2])
  const full = needsFullWeights(builder, input, node)
  const factors = tapFactors(builder, input, layout, node)
  const filtering = { builder, input, layout, node, strategy, full, factors, constantScale }
  const sumOfHalf = strategy.depthwise === 'direct' ? sumOfTaps : sumOfRows
  const sumOf = (index: number) => (half: Half) =>
    sumOfHalf({ ...filtering, source: input.values[index], index }, half)
  const made = layerValues(builder, layout, form, [input.values], input.layout.parts, sumOf)
  return { layout, ...made, clean: full }
}

/** Whether the weights have to be full-size plaintexts; otherwise they are periodic. */
export function needsFullWeights(builder: CircuitBuilder, input: Packed, node: ConvNode): boolean {
  if (node.position !== undefined || !input.clean) return true
  const positions = builder.chain.slots / input.layout.interleave
  return !guardsSuffice(input.layout, tapsOf(node), node.stride, positions)
}

/**
 * The factors of a tap's weights at each position: 0 where the tap reads beyond the map, and the node's scale
 * elsewhere. `steps` are the slots of the giant step.
 */
type TapFactors = (tap: Tap, steps: number) => Float64Array | undefined

/** Memoises the factors of each tap and giant step, because all ciphertexts share them. */
function tapFactors(builder: CircuitBuilder, input: Packed, layout: Layout, node: ConvNode): TapFactors {
  const { height, width } = input.layout
  const known = new Map<string, Float64Array | undefined>()
  return (tap, steps) => {
    const key = `${tap.dy}:${tap.dx}:${steps}`
    if (known.has(key)) return known.get(key)
    const made = positionFactors(builder.chain.slots, layout, steps / layout.interleave, (y, x) => {
      const sy = y * node.stride + tap.dy
      const sx = x * node.stride + tap.dx
      if (sy < 0 || sy >= height || sx < 0 || sx >= width) return 0
      return node.position?.[y * layout.width + x] ?? 1
    })
    known.set(key, made)
    return made
  }
}

interface Filtering {
  readonly builder: CircuitBuilder
  readonly input: Packed
  readonly layout: Layout
  readonly node: ConvNode
  readonly strategy: RotationStrategy
  readonly full: boolean
  readonly factors: TapFactors
  readonly constantScale: number
  readonly source: ValueId
  readonly index: number
}

function sumOfTaps(filtering: Filtering, half: Half): ValueId | undefined {
  const { builder, input, node, source, constantScale } = filtering
  const terms = tapsOf(node).map((tap) => ({
    value: () => builder.rotate(source, tapSteps(input.layout, tap)),
    constant: weights(filtering, tap, 0, half),
  }))
  return builder.dot(terms, constantScale)
}

function sumOfRows(filtering: Filtering, half: Half): ValueId | undefined {
  const { builder, input, node, strategy, source, constantScale } = filtering
  const rows = Map.groupBy(tapsOf(node), (tap) => tap.dy)
  const unit = rowUnit([...rows.keys()])
  const parts = new Map<number, ValueId>()
  for (const [dy, taps] of rows) {
    const terms = taps.map((tap) => ({
      value: () => builder.rotate(source, tapSteps(input.layout, { ...tap, dy: 0 })),
      constant: weights(filtering, tap, tapSteps(input.layout, { ...tap, dx: 0 }), half),
    }))
    const part = builder.dot(terms, constantScale)
    if (part !== undefined) parts.set(dy / unit, part)
  }
  if (parts.size === 0) return undefined
  return giantSum(builder, strategy, parts, unit * input.layout.rowStride * input.layout.interleave)
}

/** Greatest common divisor of the rows' distances. */
function rowUnit(rows: readonly number[]): number {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  return rows.reduce((unit, dy) => gcd(unit, Math.abs(dy)), 0) || 1
}

function weights(
  { builder, input, layout, node, full, factors, index }: Filtering,
  tap: Tap,
  steps: number,
  half: Half,
): ConstantDraft {
  const { interleave, parts } = layout
  const lanes = lanesIn(layout, index)
  const weightOf = (lane: number, part: Part): number =>
    channelHalf(
      half,
      part,
      layout,
      index,
      lane,
      (c) => node.weight[(c * node.kernel + tap.ky) * node.kernel + tap.kx],
    )
  const gain = halfGain(cachedRootMeanSquare(node.weight), half, parts, true)
  const rounding = roundingVariance(half, parts, true)
  const isZero = (): boolean =>
    (full && missesMap(tap, node.stride, input.layout, layout)) || isZeroInLanes(layout, index, weightOf)
  if (!full) {
    // The steps are whole positions, so a periodic constant that is rotated back is unchanged.
    return {
      period: interleave,
      gain,
      rounding,
      isZero,
      make: () => periodicConstant(interleave, (lane, part) => (lane < lanes ? weightOf(lane, part) : 0)),
    }
  }
  const make = () => outerConstant(layout, index, factors(tap, steps), weightOf)
  return {
    period: builder.chain.slots,
    gain: gain * (node.position ? cachedRootMeanSquare(node.position) : 1),
    rounding,
    isZero,
    make,
  }
}
