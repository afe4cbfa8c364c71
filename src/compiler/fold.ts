import { estimateRanges, type Measured, measureRanges, type Range } from './analysis/ranges.ts'
import { measureSensitivities } from './analysis/sensitivity.ts'
import { estimateSensitivities } from './analysis/sensitivity-prior.ts'
import { seededSigns } from './analysis/signs.ts'
import type { Graph } from './graph/graph.ts'
import { alignHeads } from './passes/align-heads.ts'
import { hoistBiases } from './passes/bias.ts'
import { foldChannelScales } from './passes/channel-scale.ts'
import { cleanGuards } from './passes/clean-guards.ts'
import { composeTaps } from './passes/compose-taps.ts'
import { delayBiases } from './passes/delay-biases.ts'
import { equalise } from './passes/equalise.ts'
import { flushTinyWeights } from './passes/flush-tiny-weights.ts'
import { foldGate } from './passes/gate.ts'
import { gatherPositions } from './passes/gather-positions.ts'
import { expandNorm } from './passes/norm.ts'
import { pairFlips } from './passes/pair-flips.ts'
import { hoistPositionScales } from './passes/position.ts'
import { foldSigmoidScale } from './passes/sigmoid-scale.ts'
import { foldSlice } from './passes/slice.ts'

/**
 * Runs the folding passes. The result has convolutions, taps, diagonals, biases, sums, products, attention
 * and the head only. Every message is near 1, and every node has a sensitivity.
 *
 * @param calibration preprocessed images in the graph's input shape. Without images, ranges come from poly-BN
 *   statistics, and sensitivities are estimated
 */
export const fold = (graph: Graph, calibration: readonly Float64Array[] = []): Graph =>
  foldMeasured(graph, calibration).graph

/** A folded graph, and the agreement of each image with the poly-BN statistics. */
export interface Folded extends Pick<Measured, 'agreements'> {
  readonly graph: Graph
}

/** As `fold`, with the agreements of the images. */
export function foldMeasured(graph: Graph, calibration: readonly Float64Array[]): Folded {
  const useful = flushTinyWeights(graph, calibration[0] ?? imageOfSigns(graph))
  const expanded = delayBiases(
    gatherPositions(
      expandNorm(composeTaps(alignHeads(foldSlice(pairFlips(foldGate(foldSigmoidScale(useful))))))),
    ),
  )
  const inUnits = (ranges: readonly Range[]): Graph =>
    cleanGuards(hoistBiases(hoistPositionScales(foldChannelScales(equalise(expanded, ranges)))))
  if (calibration.length === 0) {
    return { graph: estimateSensitivities(inUnits(estimateRanges(expanded))), agreements: [] }
  }
  const { ranges, deviation, agreements } = measureRanges(expanded, calibration)
  const measured = measureSensitivities(inUnits(ranges), calibration)
  return { graph: withDeviation(measured, deviation), agreements }
}

/** An image of values of 1 and -1, which have the size of a preprocessed image's. */
function imageOfSigns({ nodes }: Graph): Float64Array {
  const { shape } = nodes.find(({ kind }) => kind === 'input')!
  return Float64Array.from({ length: shape[0] * shape[1] * shape[2] }, seededSigns(3))
}

/** Sets the head's `rms` to the deviation of an image's logits. */
const withDeviation = ({ nodes, output }: Graph, rms: number): Graph => ({
  nodes: nodes.map((node, id) => (id === output ? { ...node, rms } : node)),
  output,
})
