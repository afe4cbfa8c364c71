import { estimateRanges, type Measured, measureRanges, type Range } from './analysis/ranges.ts'
import { measureSensitivities } from './analysis/sensitivity.ts'
import { estimateSensitivities } from './analysis/sensitivity-prior.ts'
import type { Graph } from './graph/graph.ts'
import { hoistBiases } from './passes/bias.ts'
import { foldChannelScales } from './passes/channel-scale.ts'
import { equalise } from './passes/equalise.ts'
import { foldFlip } from './passes/flip.ts'
import { foldGate } from './passes/gate.ts'
import { expandNorm } from './passes/norm.ts'
import { hoistPositionScales } from './passes/position.ts'
import { foldSigmoidScale } from './passes/sigmoid-scale.ts'
import { foldSlice } from './passes/slice.ts'

/**
 * The folding passes in order: afterwards only convolutions, diagonals, biases, sums, products and the head
 * are left, every message is near 1, and every node says what errors in it do to the logits.
 *
 * @param calibration preprocessed images in the graph's input shape; none: ranges come from poly-BN
 *   statistics, and what errors do is estimated
 */
export const fold = (graph: Graph, calibration: readonly Float64Array[] = []): Graph =>
  foldMeasured(graph, calibration).graph

/**
 * A folded graph with what the images showed of the network; as `Measured` has it, empty where there are
 * none.
 */
export interface Folded extends Pick<Measured, 'agreements'> {
  readonly graph: Graph
}

/** As `fold`. */
export function foldMeasured(graph: Graph, calibration: readonly Float64Array[]): Folded {
  const expanded = expandNorm(foldSlice(foldFlip(foldGate(foldSigmoidScale(graph)))))
  const inUnits = (ranges: readonly Range[]): Graph =>
    hoistBiases(hoistPositionScales(foldChannelScales(equalise(expanded, ranges))))
  if (calibration.length === 0) {
    return { graph: estimateSensitivities(inUnits(estimateRanges(expanded))), agreements: [] }
  }
  const { ranges, deviation, agreements } = measureRanges(expanded, calibration)
  const measured = measureSensitivities(inUnits(ranges), calibration)
  return { graph: withDeviation(measured, deviation), agreements }
}

/** Notes at the head what an image's logits deviate by. */
const withDeviation = ({ nodes, output }: Graph, rms: number): Graph => ({
  nodes: nodes.map((node, id) => (id === output ? { ...node, rms } : node)),
  output,
})
