import { periodForBatch } from '../../circuit/image-batch.ts'
import { channelsIn, lanesIn } from '../../circuit/layout.ts'
import type { ValueId } from '../../circuit/types.ts'
import { encodingNoise } from '../../he-ops/noise.ts'
import { type NodeOf, sensitivityOf } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import { answerSlots } from '../packing/choose.ts'
import { wrap } from '../packing/taps.ts'
import type { CircuitBuilder, TermDraft } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { replicateGroups } from './ciphertexts.ts'
import { periodicConstant } from './constants.ts'
import { halfGain, halfWeight, realOutput, roundingVariance } from './halves.ts'
import { almostZero } from './layer-values.ts'
import type { Packed } from './packed.ts'
import { babyStep, giantSum, halfOf, type RotationStrategy } from './strategy.ts'
import { wantedBits } from './weight-bits.ts'

/**
 * The encrypted logits: one value, with logit k in every slot s with s mod period = k, and zero in others.
 */
export interface LoweredHead {
  readonly value: ValueId
  readonly period: number
}

/**
 * Lowers average pooling and the dense layer as one sum over all slots. Each slot of a ciphertext holds one
 * element, and exactly one rotation reads the slot for each of `period` outputs. Then all slots of equal
 * residue modulo the period are summed, after which every slot holds a logit or zero.
 *
 * @param input clean
 */
export function lowerHead(
  builder: CircuitBuilder,
  input: Packed,
  node: NodeOf<'head'>,
  strategy: RotationStrategy,
): LoweredHead {
  if (!input.clean) throw new Error('The head sums over all slots and needs clean guards')
  const period = answerSlots(node.bias.length)
  const constantScale = 2 ** headBits(builder, input, node, period)
  const { babies } = strategy
  const parts = new Map<number, ValueId>()
  for (let giant = 0; giant * babies - halfOf(babies) < period; giant++) {
    const terms = giantTerms(builder, input, node, { period, strategy, giant })
    const part = builder.dot(terms, constantScale)
    if (part !== undefined) parts.set(giant, part)
  }
  const sum =
    parts.size === 0
      ? almostZero(builder, input.values[0], constantScale)
      : giantSum(builder, strategy, parts, babies)
  const mixed = builder.rescaleToWaterline(sum)
  // The imaginary part of the result is zero by construction: it shows an overflow of this sum, and none
  // before. The slots without a logit show overflows everywhere.
  const summed = realOutput(builder, input.layout.parts, sumOverResidues(builder, mixed, period))!
  const bias = {
    period,
    gain: cachedRootMeanSquare(node.bias),
    make: () => periodicConstant(period, (k, part) => (part === 0 ? (node.bias[k] ?? 0) : 0)),
  }
  return { value: builder.addPlain(summed, bias), period }
}

/** Least ratio of the weights to their rounding errors, in bits. */
const LEAST_BITS = 8

/**
 * log2 of the scale of the head's weights. `weightBits` has the rule.
 *
 * @param outputs period of the logits
 */
function headBits(builder: CircuitBuilder, input: Packed, node: NodeOf<'head'>, outputs: number): number {
  const { height, width, interleave } = input.layout
  const rounding = roundingVariance('first', input.layout.parts, false)
  const error =
    encodingNoise(periodForBatch(Math.max(outputs, interleave), builder.batch)) * Math.sqrt(rounding)
  // Weights that are all zero take the scale of weights of size 1.
  const size = (cachedRootMeanSquare(node.weight) || 1) / (height * width)
  const wanted = wantedBits(builder.policy.rounding, sensitivityOf(node).weights, error)
  return Math.max(wanted, LEAST_BITS + Math.log2(error / size))
}

interface Step {
  readonly period: number
  readonly strategy: RotationStrategy
  readonly giant: number
}

function giantTerms(builder: CircuitBuilder, input: Packed, node: NodeOf<'head'>, step: Step): TermDraft[] {
  const { period, strategy, giant } = step
  const { babies } = strategy
  const terms: TermDraft[] = []
  for (const replicates of replicateGroups(builder, input.layout, [input.values])) {
    const [index] = replicates
    const source = input.values[index]
    for (let baby = -halfOf(babies); baby < babies - halfOf(babies); baby++) {
      const shift = giant * babies + baby
      if (shift < 0 || shift >= period) continue
      terms.push({
        value: () => babyStep(builder, strategy, source, baby),
        constant: weights(input, node, index, shift, step),
        times: replicates.length,
      })
    }
  }
  return terms
}

function weights(
  input: Packed,
  node: NodeOf<'head'>,
  index: number,
  shift: number,
  step: Step,
): ConstantDraft {
  const { layout } = input
  const classes = node.bias.length
  const channels = node.weight.length / classes
  const area = layout.height * layout.width
  const longest = Math.max(step.period, layout.interleave)
  const lanes = lanesIn(layout, index)
  const make = () =>
    periodicConstant(longest, (slot, part) => {
      // The giant step rotates this slot to `target`. The product there reads slot target + shift of the
      // source.
      const target = wrap(slot - step.giant * step.strategy.babies, longest)
      const k = target % step.period
      const lane = wrap(target + shift, layout.interleave)
      if (k >= classes || lane >= lanes) return 0
      const first = index * layout.channelsPerCiphertext + lane * layout.parts
      return halfWeight('first', part, layout.parts, (_, from) =>
        first + from < channels ? node.weight[k * channels + first + from] / area : 0,
      )
    })
  const used = channelsIn(layout, index) / (layout.interleave * layout.parts)
  const gain =
    halfGain(cachedRootMeanSquare(node.weight) / area, 'first', layout.parts, false) * Math.sqrt(used)
  return { period: longest, gain, rounding: roundingVariance('first', layout.parts, false), make }
}

/** Adds all slots that are equal modulo `period`. The distance of the rotations doubles each time. */
function sumOverResidues(builder: CircuitBuilder, value: ValueId, period: number): ValueId {
  let sum = value
  for (let step = period; step < builder.chain.slots; step *= 2)
    sum = builder.add(sum, builder.rotate(sum, step))
  return sum
}
