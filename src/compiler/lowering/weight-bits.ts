import { periodForBatch } from '../../circuit/image-batch.ts'
import { encodingNoise } from '../../he-ops/noise.ts'
import { type ConvNode, type NodeOf, sensitivityOf } from '../graph/graph.ts'
import { knownRootMeanSquare } from '../graph/statistics.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { isMaskedDense } from './dense.ts'
import { needsFullWeights } from './depthwise.ts'
import type { Packed } from './packed.ts'

/** Rounding errors stay below a weight's size by so many bits, however little the logits would mind. */
const LEAST_BITS = 3

type Weighted = ConvNode | NodeOf<'diagonal'> | NodeOf<'repack'>

/**
 * log2 of the scale at which a layer's weights are encoded: just so large that what their rounding does to
 * the logits is an error of 2^-rounding. All layers are given the same share of the logits' error, so that
 * those take few bits whose weights matter little.
 */
export function weightBits(builder: CircuitBuilder, node: Weighted, input: Packed): number {
  const { slots } = builder.chain
  const period = periodOfWeights(builder, node, input)
  const { weights, scattered } = sensitivityOf(node)
  const error = encodingNoise(periodForBatch(period, builder.batch))
  const wanted = wantedBits(builder.policy.rounding, period === slots ? scattered : weights, error)
  return Math.max(wanted, LEAST_BITS + Math.log2(error / sizeOf(node)))
}

/**
 * The same of weights of a known sensitivity and encoding error. Scales are in the manifest, which is to say
 * as little as can be of the weights: the sensitivity counts as a power of two.
 */
export const wantedBits = (rounding: number, sensitivity: number, error: number): number =>
  rounding + Math.round(2 * Math.log2(sensitivity)) / 2 + Math.log2(error)

/** Root mean square of the weights as they are encoded. */
function sizeOf(node: Weighted): number {
  switch (node.kind) {
    case 'conv':
      return knownRootMeanSquare(node.weight) * (node.position ? knownRootMeanSquare(node.position) : 1)
    case 'diagonal':
      return knownRootMeanSquare(node.channel) * knownRootMeanSquare(node.position)
    case 'repack':
      return 1
  }
}

/** In the slots of one image. */
function periodOfWeights(builder: CircuitBuilder, node: Weighted, input: Packed): number {
  const { slots } = builder.chain
  if (node.kind !== 'conv') return slots
  const isFull =
    node.groups === 1 ? isMaskedDense(builder, input, node) : needsFullWeights(builder, input, node)
  return isFull ? slots : input.layout.interleave
}
