import { lanesIn } from '../../circuit/layout.ts'
import type { NodeOf } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { fullConstant, outerConstant, positionFactors } from './constants.ts'
import { channelHalf, type Half, halfGain, joinHalves, roundingVariance } from './halves.ts'
import type { Packed } from './packed.ts'

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
): Packed {
  const { layout } = input
  const parts = { from: layout.parts, to: layout.parts }
  const size = cachedRootMeanSquare(node.channel) * cachedRootMeanSquare(node.position)
  let positions: Float64Array | undefined
  const makePositions = () =>
    positionFactors(builder.chain.slots, layout, 0, (y, x) => node.position[y * layout.width + x])
  const scales = (half: Half, index: number): ConstantDraft => {
    const scaleOf = (lane: number): number => channelHalf(half, layout, index, lane, (c) => node.channel[c])
    const isZero = (): boolean => {
      for (let lane = 0; lane < lanesIn(layout, index); lane++) if (scaleOf(lane) !== 0) return false
      return true
    }
    const make = () => {
      positions ??= makePositions()
      return outerConstant(layout, index, positions, scaleOf)
    }
    return {
      period: builder.chain.slots,
      gain: halfGain(size, parts, true),
      rounding: roundingVariance(parts, true),
      isZero,
      make,
    }
  }
  const values = eachCiphertext(builder, layout, [input.values], (index) => {
    const value = () => input.values[index]
    const scaled = joinHalves(builder, parts, (half) =>
      builder.dot([{ value, constant: scales(half, index) }], constantScale),
    )
    if (scaled === undefined) throw new Error(`All scales of ${node.name} are zero`)
    return scaled
  })
  return { layout, values, clean: true }
}

/** Lowers x + bias, at the level and scale of x. The guards are unchanged. */
export function lowerBias(builder: CircuitBuilder, input: Packed, node: NodeOf<'bias'>): Packed {
  const { layout } = input
  const { channels, channelsPerCiphertext, parts, height, width } = layout
  const values = eachCiphertext(builder, layout, [input.values], (index) => {
    const make = () =>
      fullConstant(builder.chain.slots, layout, index, (lane, part, y, x) => {
        const c = index * channelsPerCiphertext + lane * parts + part
        return part < parts && c < channels ? node.bias[(c * height + y) * width + x] : 0
      })
    return builder.addPlain(input.values[index], {
      period: builder.chain.slots,
      gain: cachedRootMeanSquare(node.bias) * Math.sqrt(parts),
      rounding: 1 / parts,
      make,
    })
  })
  return { ...input, values }
}
