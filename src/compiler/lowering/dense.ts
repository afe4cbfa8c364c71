import { lanesIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { ConvNode } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import { withChannels, withStride } from '../packing/choose.ts'
import { guardsSuffice, missesMap, type Tap, tapsOf, wrap } from '../packing/taps.ts'
import type { CircuitBuilder, TermDraft } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { replicateGroups } from './ciphertexts.ts'
import { fullConstant, isZeroInLanes, type Part, periodicConstant, rotatedBack } from './constants.ts'
import { type Half, halfGain, halfWeight, roundingVariance } from './halves.ts'
import { layerValues } from './layer-values.ts'
import type { Form, Packed } from './packed.ts'
import { giantSum, halfOf, type RotationStrategy, tapAndBabyStep } from './strategy.ts'

/**
 * Lowers a convolution that mixes channels. A lane of the output reads a lane of the input by a rotation of
 * their distance, and each tap by a rotation of whole positions. The rotations are split into baby steps of
 * the inputs and giant steps of the outputs (Halevi and Shoup, CRYPTO 2018, section 4). `halves.ts` has the
 * weights of the two channels in a lane.
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
  form: Form,
): Packed {
  const taps = tapsOf(node)
  const layout = withChannels(
    withStride(input.layout, node.stride, node.shape[1], node.shape[2]),
    node.shape[0],
    node.block,
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
  const sumOf = (out: number) => (half: Half) => lowerHalf(mixing, out, half)
  const made = layerValues(builder, layout, form, {
    operands: [],
    from: input.layout.parts,
    constantScale,
    sumOf,
    sourceOf: () => input.values[0],
  })
  return { layout, ...made, clean: masked || (input.clean && !isSpatial(taps) && node.stride === 1) }
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

/** The sum of one half for an output ciphertext: over giant steps, of rotated dots. */
function lowerHalf(mixing: Mixing, out: number, half: Half): ValueId | undefined {
  const { builder, input, layout, strategy, constantScale } = mixing
  const { babies } = strategy
  const outputs = lanesIn(layout, out)
  const lanes = lanesIn(input.layout, 0)
  const lowest = Math.floor((1 - outputs + halfOf(babies)) / babies)
  const highest = Math.floor((lanes - 1 + halfOf(babies)) / babies)
  const parts = new Map<number, ValueId>()
  for (let giant = lowest; giant <= highest; giant++) {
    const part = builder.dot(giantTerms(mixing, out, giant, half), constantScale)
    if (part !== undefined) parts.set(giant, part)
  }
  return parts.size === 0 ? undefined : giantSum(builder, strategy, parts, babies)
}

function giantTerms(mixing: Mixing, out: number, giant: number, half: Half): TermDraft[] {
  const { builder, input, layout, taps, strategy } = mixing
  const { babies } = strategy
  const terms: TermDraft[] = []
  const outputs = lanesIn(layout, out)
  for (const replicates of replicateGroups(builder, input.layout, [input.values])) {
    const [index] = replicates
    const source = input.values[index]
    const inputs = lanesIn(input.layout, index)
    for (const tap of taps) {
      for (let baby = -halfOf(babies); baby < babies - halfOf(babies); baby++) {
        const shift = giant * babies + baby
        if (shift <= -outputs || shift >= inputs) continue
        const block = { out, index, tap, shift, half }
        terms.push({
          value: () => tapAndBabyStep(builder, strategy, source, input.layout, tap, baby),
          constant: weights(mixing, block, giant * babies),
          times: replicates.length,
        })
      }
    }
  }
  return terms
}

/** The weights of one term: lane l of the output reads lane l + shift of the input at a tap. */
interface Block {
  /** Index of the output ciphertext. */
  readonly out: number
  /** Index of the input ciphertext. */
  readonly index: number
  readonly tap: Tap
  readonly shift: number
  readonly half: Half
}

/** @param giantSteps slots by which the sum that has the term is rotated */
function weights(mixing: Mixing, block: Block, giantSteps: number): ConstantDraft {
  const { builder, input, layout, node, masked, size } = mixing
  const { out, index, tap, shift, half } = block
  const outputs = lanesIn(layout, out)
  const inputs = lanesIn(input.layout, index)
  const { parts } = input.layout
  const weightOf = laneWeights(mixing, block)
  const read = Math.min(outputs, inputs - shift) - Math.max(0, -shift)
  const gain = halfGain(size, half, parts, false) * Math.sqrt(read / outputs)
  const rounding = roundingVariance(half, parts, false)
  const isZero = (): boolean => {
    if (masked && missesMap(tap, node.stride, input.layout, layout)) return true
    return isZeroInLanes(layout, out, weightOf)
  }
  if (!masked) {
    const period = layout.interleave
    return {
      period,
      gain,
      rounding,
      isZero,
      make: () => periodicConstant(period, (slot, part) => weightOf(wrap(slot - giantSteps, period), part)),
    }
  }
  const { height, width } = input.layout
  const make = () => {
    const inPlace = fullConstant(builder.chain.slots, layout, out, (lane, part, y, x) => {
      const sy = y * node.stride + tap.dy
      const sx = x * node.stride + tap.dx
      return sy >= 0 && sy < height && sx >= 0 && sx < width ? weightOf(lane, part) : 0
    })
    return rotatedBack(inPlace, giantSteps)
  }
  return { period: builder.chain.slots, gain, rounding, isZero, make }
}

/** The weight of each lane of an output ciphertext, by its parts. */
function laneWeights(
  { input, layout, node }: Mixing,
  { out, index, tap, shift, half }: Block,
): (lane: number, part: Part) => number {
  const { parts } = input.layout
  const firstOut = out * layout.channelsPerCiphertext
  const firstIn = index * input.layout.channelsPerCiphertext
  const outputs = lanesIn(layout, out)
  const inputs = lanesIn(input.layout, index)
  const perGroup = node.weight.length / (node.shape[0] * node.kernel ** 2)
  const elementOf = (co: number, ci: number): number =>
    co < layout.channels && ci < input.layout.channels
      ? node.weight[((co * perGroup + ci) * node.kernel + tap.ky) * node.kernel + tap.kx]
      : 0
  return (lane, part) => {
    const from = lane + shift
    if (lane >= outputs || from < 0 || from >= inputs) return 0
    const co = firstOut + lane * layout.parts
    const ci = firstIn + from * parts
    return halfWeight(half, part, parts, (to, read) => elementOf(co + to, ci + read))
  }
}
