import { periodForBatch } from '../../circuit/image-batch.ts'
import { lanesIn, partsFor } from '../../circuit/layout.ts'
import type { Layout } from '../../circuit/types.ts'
import { encodingNoise } from '../../he-ops/noise.ts'
import { type ConvNode, type Node, type NodeOf, sensitivityOf } from '../graph/graph.ts'
import { cachedNonzeros, cachedRootMeanSquare } from '../graph/statistics.ts'
import { meanSquareOfTaps } from '../graph/taps.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { isMaskedDense } from './dense.ts'
import { keepsParts, needsFullWeights } from './depthwise.ts'
import { roundingVariance } from './halves.ts'
import type { Form, Packed } from './packed.ts'

/** Least ratio of a layer's weights to their rounding errors, in bits, whatever the sensitivity. */
const LEAST_BITS = 3

/**
 * Sensitivity that is assumed at least where a layer or one of its output channels has no weights. The
 * sensitivity can be zero there, because it is of first order and a product of two zeros has none.
 */
const USUAL_SENSITIVITY = 1

type Weighted = ConvNode | NodeOf<'diagonal'> | NodeOf<'taps'> | NodeOf<'repack'>

/**
 * log2 of the scale at which a layer's weights are encoded. It is the least scale at which the rounding of
 * the weights makes an error of 2^-rounding in the logits. All layers have the same share of the logits'
 * error, so layers of low sensitivity take few bits.
 */
export function weightBits(builder: CircuitBuilder, node: Weighted, input: Packed, form: Form): number {
  const { slots } = builder.chain
  const period = periodOfWeights(builder, node, input)
  const { weights, scattered } = sensitivityOf(node)
  const error =
    encodingNoise(periodForBatch(period, builder.batch)) * Math.sqrt(roundingOf(node, input.layout, form))
  const wanted =
    wantedBits(builder.policy.rounding, period === slots ? scattered : weights, error) +
    concentrationBits(builder, node, input)
  const size = sizeOf(node)
  const least =
    size === 0 || hasEmptyFilter(node)
      ? wantedBits(builder.policy.rounding, USUAL_SENSITIVITY, error)
      : LEAST_BITS + Math.log2(error / size)
  return Math.max(wanted, least)
}

/**
 * Bits by which the rounding errors of a layer's weights can be larger in the slots that are read than on
 * average. Factors that are zero in most slots have polynomials of a regular form, whose rounding errors are
 * regular, too: at worst, all of the errors' energy is in the slots of the factors. The factors for the
 * border of a map are few.
 */
function concentrationBits({ chain }: CircuitBuilder, node: Weighted, { layout }: Packed): number {
  if (node.kind !== 'taps') return 0
  const positions = node.taps.map(({ position }) => cachedNonzeros(position))
  const fewest = Math.min(...positions.filter((count) => count > 0))
  // A tap has a quarter of the channels.
  const lanes = Math.max(1, lanesIn(layout, 0) / 4)
  return Math.log2(chain.slots / (fewest * lanes)) / 2
}

/** log2 of the scale of the masks that move lanes in attention. `weightBits` has the rule. */
export function maskBits(builder: CircuitBuilder, node: Node, period: number): number {
  const error = encodingNoise(periodForBatch(period, builder.batch))
  const wanted = wantedBits(builder.policy.rounding, sensitivityOf(node).weights, error)
  return Math.max(wanted, LEAST_BITS + Math.log2(error))
}

/**
 * log2 of the scale of weights with a known sensitivity and encoding error. The manifest contains the scales
 * and must not reveal the weights, so the sensitivity is rounded to a power of the square root of 2.
 */
export const wantedBits = (rounding: number, sensitivity: number, error: number): number =>
  rounding + Math.round(2 * Math.log2(sensitivity)) / 2 + Math.log2(error)

/** Variance of the rounding errors of a layer's weights, as `roundingVariance` gives it. */
function roundingOf(node: Weighted, { parts }: Layout, form: Form): number {
  if (node.kind === 'repack') return 1
  const mixes = node.kind === 'conv' && (node.groups === 1 || !keepsParts(node))
  const isJoined = form === 'joined' && partsFor(node.shape[0]) === 2
  return roundingVariance(isJoined ? 'plain' : 'first', parts, !mixes)
}

const emptyFilters = new WeakMap<Float64Array, boolean>()

/** Whether all weights of an output channel are zero. Weights of graphs never change. */
function hasEmptyFilter(node: Weighted): boolean {
  if (node.kind === 'repack' || node.kind === 'taps') return false
  const weights = node.kind === 'conv' ? node.weight : node.channel
  const known = emptyFilters.get(weights) ?? anyFilterIsEmpty(weights, node.shape[0])
  emptyFilters.set(weights, known)
  return known
}

function anyFilterIsEmpty(weights: Float64Array, channels: number): boolean {
  const size = weights.length / channels
  return Array.from({ length: channels }, (_, c) => weights.subarray(c * size, (c + 1) * size)).some(
    (filter) => filter.every((weight) => weight === 0),
  )
}

/** Root mean square of the encoded weights. */
function sizeOf(node: Weighted): number {
  switch (node.kind) {
    case 'conv':
      return cachedRootMeanSquare(node.weight) * (node.position ? cachedRootMeanSquare(node.position) : 1)
    case 'diagonal':
      return cachedRootMeanSquare(node.channel) * cachedRootMeanSquare(node.position)
    case 'taps':
      return Math.sqrt(meanSquareOfTaps(node))
    case 'repack':
      return 1
  }
}

/** Period of the weights in the slots of one image. */
function periodOfWeights(builder: CircuitBuilder, node: Weighted, input: Packed): number {
  const { slots } = builder.chain
  if (node.kind !== 'conv') return slots
  const isFull =
    node.groups === 1 ? isMaskedDense(builder, input, node) : needsFullWeights(builder, input, node)
  return isFull ? slots : input.layout.interleave
}
