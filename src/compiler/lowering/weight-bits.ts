import { periodForBatch } from '../../circuit/image-batch.ts'
import { channelsIn } from '../../circuit/layout.ts'
import { encodingNoise } from '../../he-ops/noise.ts'
import type { ConvNode, NodeOf } from '../graph/graph.ts'
import { withChannels } from '../packing/choose.ts'
import type { CircuitBuilder } from './builder.ts'
import { isMaskedDense } from './dense.ts'
import { needsFullWeights } from './depthwise.ts'
import type { Packed } from './packed.ts'

/**
 * Errors of masked weights differ from position to position, and pooling averages them out; those of periodic weights are
 * the same everywhere, and stay.
 */
const SCATTERED_BITS = 2
/**
 * In a trained network of 73 products the rounding of position scales was most of the logits' error, several times what the
 * noise model makes of it, which takes errors for independent. A quarter of these weights' coefficients round to zero; that
 * what is cut off is alike in all channels, so that they do not average it out, would explain it, and has not been shown.
 */
const SMOOTH_BITS = 2

type Weighted = ConvNode | NodeOf<'diagonal'> | NodeOf<'repack'>

/** What the output slots of a layer sum up. */
interface Sum {
  readonly terms: number
  /** Of the weights, in the slots of one image. */
  readonly period: number
}

/**
 * log2 of the scale at which a layer's weights are encoded: just so large that what their rounding does to an output, for
 * messages near 1, is an error of 2^-rounding. A layer of many terms takes more bits than one of few, and plaintexts of full
 * size, each of whose coefficients is rounded, more than periodic ones.
 */
export function weightBits(builder: CircuitBuilder, node: Weighted, input: Packed): number {
  const { terms, period } = sumOf(builder, node, input)
  const isScattered = period === builder.chain.slots
  const extra = hasPositionScale(node) ? SMOOTH_BITS : isScattered ? -SCATTERED_BITS : 0
  const rounding = builder.policy.rounding + extra
  return rounding + Math.log2(Math.sqrt(terms) * encodingNoise(periodForBatch(period, builder.batch)))
}

const hasPositionScale = (node: Weighted): boolean =>
  node.kind === 'diagonal' || (node.kind === 'conv' && node.position !== undefined)

function sumOf(builder: CircuitBuilder, node: Weighted, input: Packed): Sum {
  const { slots } = builder.chain
  const { layout } = input
  switch (node.kind) {
    case 'diagonal':
      return { terms: 1, period: slots }
    case 'repack':
      // Every column of every ciphertext that goes into one has a way of its own.
      return {
        terms: node.shape[2] * Math.ceil(slots / (layout.interleave * node.shape[1] * node.shape[2])),
        period: slots,
      }
    case 'conv': {
      const taps = node.kernel ** 2
      if (node.groups !== 1) {
        const isFull = needsFullWeights(builder, input, node)
        return { terms: taps, period: isFull ? slots : layout.interleave }
      }
      const shifts = channelsIn(layout, 0) + channelsIn(withChannels(layout, node.shape[0]), 0) - 1
      const period = isMaskedDense(builder, input, node) ? slots : layout.interleave
      return { terms: taps * layout.ciphertexts * shifts, period }
    }
  }
}
