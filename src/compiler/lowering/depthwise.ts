import { lanesIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { ConvNode } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import { withChannels, withStride } from '../packing/choose.ts'
import { guardsSuffice, missesMap, type Tap, tapsOf } from '../packing/taps.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import type { Operands } from './ciphertexts.ts'
import { isZeroInLanes, outerConstant, type Part, periodicConstant, positionFactors } from './constants.ts'
import { type Half, halfGain, halfWeight, roundingVariance } from './halves.ts'
import { inputChannel, type LaneRead, laneReads } from './lane-reads.ts'
import { layerValues } from './layer-values.ts'
import type { Form, Packed } from './packed.ts'
import { giantSum, type RotationStrategy, tapSteps } from './strategy.ts'

/**
 * Lowers a convolution with one filter for each output channel. With several outputs for each input, a
 * ciphertext of outputs reads every ciphertext that has its inputs, moved by whole lanes. The separable
 * strategy makes columns baby steps of the input and rows giant steps of the output: a k x k kernel takes 2
 * (k - 1) rotations. The direct strategy takes k^2 - 1 rotations of the input. The weights are full-size
 * plaintexts where the node scales positions, or where the guards do not do the padding. Full-size weights
 * make the output clean. The two channels of a lane are not added to one another where they keep their parts
 * of the slot, so that weights are real, or imaginary.
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
  const strided = withStride(input.layout, node.stride, node.shape[1], node.shape[2])
  const layout = node.groups === node.shape[0] ? strided : withChannels(strided, node.shape[0])
  const full = needsFullWeights(builder, input, node)
  const factors = tapFactors(builder, input, layout, node)
  const filtering = { builder, input, layout, node, strategy, full, factors, constantScale }
  const sumOfHalf = strategy.depthwise === 'direct' ? sumOfTaps : sumOfRows
  const reads = Array.from({ length: layout.ciphertexts }, (_, index) =>
    laneReads(input.layout, layout, index),
  )
  const sumOf = (index: number) => (half: Half) =>
    sumOfHalf({ ...filtering, reads: reads[index], index }, half)
  const made = layerValues(builder, layout, form, {
    operands: operandsOf(reads, input.values),
    from: input.layout.parts,
    constantScale,
    sumOf,
    sourceOf: (index) => input.values[reads[index][0].index],
  })
  return { layout, ...made, clean: full }
}

/**
 * The values that each output ciphertext reads, and a number that is equal where they are moved equally. In a
 * draft, outputs are replicates of each other only where all of these are equal.
 */
function operandsOf(reads: readonly (readonly LaneRead[])[], values: readonly ValueId[]): Operands {
  const most = Math.max(...reads.map(({ length }) => length))
  const rows = Array.from({ length: most }, (_, k) =>
    reads.map((own) => (own[k] === undefined ? undefined : values[own[k].index])),
  )
  const shifts = reads.map((own) => own.map(({ shift }) => shift).join())
  return [...rows, shifts.map((own) => shifts.indexOf(own))]
}

/** Whether the channels that a slot's parts are made from have the same parts of their slots. */
export const keepsParts = ({ groups, shape }: ConvNode): boolean => groups === shape[0] || groups % 2 === 0

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
  /** Input ciphertexts that the output ciphertext reads. */
  readonly reads: readonly LaneRead[]
  /** Index of the output ciphertext. */
  readonly index: number
}

/** An input ciphertext, moved by whole lanes and then by a tap. */
function moved({ builder, input }: Filtering, { index, shift }: LaneRead, tap: Tap): ValueId {
  return builder.rotate(builder.rotate(input.values[index], shift), tapSteps(input.layout, tap))
}

function sumOfTaps(filtering: Filtering, half: Half): ValueId | undefined {
  const { builder, node, reads, constantScale } = filtering
  const terms = reads.flatMap((read) =>
    tapsOf(node).map((tap) => ({
      value: () => moved(filtering, read, tap),
      constant: weights(filtering, read, tap, 0, half),
    })),
  )
  return builder.dot(terms, constantScale)
}

function sumOfRows(filtering: Filtering, half: Half): ValueId | undefined {
  const { builder, input, node, strategy, reads, constantScale } = filtering
  const rows = Map.groupBy(tapsOf(node), (tap) => tap.dy)
  const unit = rowUnit([...rows.keys()])
  const parts = new Map<number, ValueId>()
  for (const [dy, taps] of rows) {
    const terms = reads.flatMap((read) =>
      taps.map((tap) => ({
        value: () => moved(filtering, read, { ...tap, dy: 0 }),
        constant: weights(filtering, read, tap, tapSteps(input.layout, { ...tap, dx: 0 }), half),
      })),
    )
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
  read: LaneRead,
  tap: Tap,
  steps: number,
  half: Half,
): ConstantDraft {
  const { interleave } = layout
  const { parts } = input.layout
  const lanes = lanesIn(layout, index)
  const weightOf = laneWeights(input.layout, layout, node, index, read, tap, half)
  const isDiagonal = keepsParts(node)
  const gain = halfGain(cachedRootMeanSquare(node.weight), half, parts, isDiagonal)
  const rounding = roundingVariance(half, parts, isDiagonal)
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

/** The weight of each lane of an output ciphertext that is made from one read, by its parts. */
function laneWeights(
  input: Layout,
  output: Layout,
  { weight, kernel }: ConvNode,
  ciphertext: number,
  { index, shift }: LaneRead,
  tap: Tap,
  half: Half,
): (lane: number, part: Part) => number {
  const firstOut = ciphertext * output.channelsPerCiphertext
  const firstIn = index * input.channelsPerCiphertext
  const lastIn = Math.min(input.channels, firstIn + input.channelsPerCiphertext)
  const elementOf = (co: number, ci: number): number =>
    co < output.channels && ci < lastIn && inputChannel(co, input.channels) === ci
      ? weight[(co * kernel + tap.ky) * kernel + tap.kx]
      : 0
  return (lane, part) => {
    const co = firstOut + lane * output.parts
    const ci = firstIn + (lane + shift) * input.parts
    return halfWeight(half, part, input.parts, (to, from) =>
      ci < firstIn ? 0 : elementOf(co + to, ci + from),
    )
  }
}
