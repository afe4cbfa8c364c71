import { channelsIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { ConvNode } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import { withChannels, withStride } from '../packing/choose.ts'
import { guardsSuffice, missesMap, type Tap, tapsOf, wrap } from '../packing/taps.ts'
import type { CircuitBuilder, TermDraft } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext, replicateGroups } from './ciphertexts.ts'
import { fullConstant, periodicConstant, rotatedBack } from './constants.ts'
import type { Packed } from './packed.ts'
import { giantSum, halfOf, type RotationStrategy, tapAndBabyStep } from './strategy.ts'

/**
 * Lowers a convolution that mixes channels. Output channel co reads input channel ci by a rotation of ci - co
 * slots within the interleaved channels, and each tap by a rotation of whole positions. The rotations are
 * split into baby steps of the inputs and giant steps of the outputs (Halevi and Shoup, CRYPTO 2018, section
 * 4).
 *
 * @param constantScale scale of the weights
 * @returns output at the input's level, at the input's scale times `constantScale`; clean if no tap writes to
 *   the guards
 */
export function lowerDense(
  builder: CircuitBuilder,
  input: Packed,
  node: ConvNode,
  strategy: RotationStrategy,
  constantScale: number,
): Packed {
  const taps = tapsOf(node)
  const layout = withChannels(
    withStride(input.layout, node.stride, node.shape[1], node.shape[2]),
    node.shape[0],
  )
  const masked = isMaskedDense(builder, input, node)
  const mixing = {
    builder,
    input,
    layout,
    node,
    taps,
    strategy,
    constantScale,
    masked,
    size: cachedRootMeanSquare(node.weight),
  }
  const values = eachCiphertext(builder, layout, [], (out) => lowerOutput(mixing, out))
  return { layout, values, clean: masked || (input.clean && !isSpatial(taps) && node.stride === 1) }
}

/** Whether the weights are full-size plaintexts, which have zeros where a tap reads beyond the map. */
export function isMaskedDense(builder: CircuitBuilder, input: Packed, node: ConvNode): boolean {
  const taps = tapsOf(node)
  const positions = builder.chain.slots / input.layout.interleave
  return isSpatial(taps) && !(input.clean && guardsSuffice(input.layout, taps, node.stride, positions))
}

const isSpatial = (taps: readonly Tap[]): boolean => taps.some(({ dy, dx }) => dy !== 0 || dx !== 0)

interface Mixing {
  readonly builder: CircuitBuilder
  readonly input: Packed
  readonly layout: Layout
  readonly node: ConvNode
  readonly taps: readonly Tap[]
  readonly strategy: RotationStrategy
  readonly constantScale: number
  /** As `isMaskedDense`. */
  readonly masked: boolean
  /** Root mean square of the weights. */
  readonly size: number
}

/** Lowers one output ciphertext: a sum over giant steps of rotated dots. */
function lowerOutput(mixing: Mixing, out: number): ValueId {
  const { builder, input, layout, strategy, constantScale } = mixing
  const { babies } = strategy
  const outputs = channelsIn(layout, out)
  const lowest = Math.floor((1 - outputs + halfOf(babies)) / babies)
  const highest = Math.floor((input.layout.channelsPerCiphertext - 1 + halfOf(babies)) / babies)
  const parts = new Map<number, ValueId>()
  for (let giant = lowest; giant <= highest; giant++) {
    const part = builder.dot(giantTerms(mixing, out, giant), constantScale)
    if (part !== undefined) parts.set(giant, part)
  }
  return giantSum(builder, strategy, parts, babies)
}

function giantTerms(mixing: Mixing, out: number, giant: number): TermDraft[] {
  const { builder, input, layout, taps, strategy } = mixing
  const { babies } = strategy
  const terms: TermDraft[] = []
  const outputs = channelsIn(layout, out)
  for (const replicates of replicateGroups(builder, input.layout, [input.values])) {
    const [index] = replicates
    const source = input.values[index]
    const inputs = channelsIn(input.layout, index)
    for (const tap of taps) {
      for (let baby = -halfOf(babies); baby < babies - halfOf(babies); baby++) {
        const shift = giant * babies + baby
        if (shift <= -outputs || shift >= inputs) continue
        terms.push({
          value: () => tapAndBabyStep(builder, strategy, source, input.layout, tap, baby),
          constant: weights(mixing, out, index, tap, shift, giant * babies),
          times: replicates.length,
        })
      }
    }
  }
  return terms
}

function weights(
  { builder, input, layout, node, masked, size }: Mixing,
  out: number,
  index: number,
  tap: Tap,
  shift: number,
  giantSteps: number,
): ConstantDraft {
  const firstOut = out * layout.channelsPerCiphertext
  const firstIn = index * input.layout.channelsPerCiphertext
  const outputs = channelsIn(layout, out)
  const inputs = channelsIn(input.layout, index)
  const perGroup = node.weight.length / (node.shape[0] * node.kernel ** 2)
  const weightOf = (local: number): number => {
    const from = local + shift
    if (local >= outputs || from < 0 || from >= inputs) return 0
    const row = (firstOut + local) * perGroup + firstIn + from
    return node.weight[(row * node.kernel + tap.ky) * node.kernel + tap.kx]
  }
  const read = Math.min(outputs, inputs - shift) - Math.max(0, -shift)
  const gain = size * Math.sqrt(read / outputs)
  const isZero = (): boolean => {
    if (masked && missesMap(tap, node.stride, input.layout, layout)) return true
    for (let local = 0; local < outputs; local++) if (weightOf(local) !== 0) return false
    return true
  }
  if (!masked) {
    const period = layout.interleave
    return {
      period,
      gain,
      isZero,
      make: () => periodicConstant(period, (slot) => weightOf(wrap(slot - giantSteps, period))),
    }
  }
  const { height, width } = input.layout
  const make = () => {
    const inPlace = fullConstant(builder.chain.slots, layout, out, (c, y, x) => {
      const sy = y * node.stride + tap.dy
      const sx = x * node.stride + tap.dx
      return sy >= 0 && sy < height && sx >= 0 && sx < width ? weightOf(c - firstOut) : 0
    })
    return rotatedBack(inPlace, giantSteps)
  }
  return { period: builder.chain.slots, gain, isZero, make }
}
