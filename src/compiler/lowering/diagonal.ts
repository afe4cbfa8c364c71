import type { ValueId } from '../../circuit/types.ts'
import { channelBias } from '../graph/channel-bias.ts'
import type { NodeOf } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { fullConstant, isZeroInLanes, outerConstant, type Part, positionFactors } from './constants.ts'
import { channelHalf, type Half, halfGain, roundingVariance } from './halves.ts'
import { layerValues } from './layer-values.ts'
import { type Form, mapValues, type Packed } from './packed.ts'

/**
 * Lowers channel[c] * position[hw] * x with one full-size plaintext for each half of each ciphertext. There
 * is one half only where the channels of each lane have one factor.
 *
 * @param constantScale scale of the plaintexts
 * @returns output at the input's level, at the input's scale times `constantScale`; clean
 */
export function lowerDiagonal(
  builder: CircuitBuilder,
  input: Packed,
  node: NodeOf<'diagonal'>,
  constantScale: number,
  form: Form,
): Packed {
  const { layout } = input
  const { parts } = layout
  const size = cachedRootMeanSquare(node.channel) * cachedRootMeanSquare(node.position)
  let positions: Float64Array | undefined
  const makePositions = () =>
    positionFactors(builder.chain.slots, layout, 0, (y, x) => node.position[y * layout.width + x])
  const scales = (half: Half, index: number): ConstantDraft => {
    const scaleOf = (lane: number, part: Part): number =>
      channelHalf(half, part, layout, index, lane, (c) => node.channel[c])
    const make = () => {
      positions ??= makePositions()
      return outerConstant(layout, index, positions, scaleOf)
    }
    return {
      period: builder.chain.slots,
      gain: halfGain(size, half, parts, true),
      rounding: roundingVariance(half, parts, true),
      isZero: () => isZeroInLanes(layout, index, scaleOf),
      make,
    }
  }
  const sumOf =
    (index: number) =>
    (half: Half): ValueId | undefined =>
      builder.dot([{ value: () => input.values[index], constant: scales(half, index) }], constantScale)
  const made = layerValues(builder, layout, form, {
    operands: [input.values],
    from: parts,
    constantScale,
    sumOf,
    sourceOf: (index) => input.values[index],
  })
  return { layout, ...made, clean: true }
}

/**
 * Lowers x + bias, at the level and scale of x. The guards are unchanged. Offsets that are the same at all
 * positions are stored once for each channel.
 */
export function lowerBias(builder: CircuitBuilder, input: Packed, node: NodeOf<'bias'>): Packed {
  const { layout } = input
  const { channels, channelsPerCiphertext, parts, height, width } = layout
  const offsets = lazily(() => channelBias(node))
  const inside = lazily(() => positionFactors(builder.chain.slots, layout, 0, () => 1))
  const isSplit = input.imaginary !== undefined
  return mapValues(builder, input, (value, index, channel) => {
    const channelAt = (lane: number, part: Part): number | undefined => {
      if (isSplit ? part === 1 : part >= parts) return undefined
      const c = index * channelsPerCiphertext + lane * parts + (isSplit ? channel : part)
      return c < channels ? c : undefined
    }
    const make = () => {
      const uniform = offsets()
      if (uniform !== undefined) {
        return outerConstant(
          layout,
          index,
          inside(),
          (lane, part) => uniform[channelAt(lane, part) ?? -1] ?? 0,
        )
      }
      return fullConstant(builder.chain.slots, layout, index, (lane, part, y, x) => {
        const c = channelAt(lane, part)
        return c === undefined ? 0 : node.bias[(c * height + y) * width + x]
      })
    }
    return builder.addPlain(value, {
      period: builder.chain.slots,
      gain: cachedRootMeanSquare(node.bias) * (isSplit ? 1 : Math.sqrt(parts)),
      rounding: isSplit ? 1 : 1 / parts,
      make,
    })
  })
}

/** A value that is computed when it is first asked for. Drafts never ask. */
function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}
