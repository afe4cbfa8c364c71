import { estimateRanges, measureRanges } from './analysis/ranges.ts'
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
 * The folding passes in order: afterwards only convolutions, diagonals, biases, sums, products and the head are left,
 * every message is near 1, and every node says what errors in it do to the logits.
 *
 * @param calibration preprocessed images in the graph's input shape; none: ranges come from poly-BN statistics, and what
 * errors do is estimated
 */
export function fold(graph: Graph, calibration: readonly Float64Array[] = []): Graph {
  const expanded = expandNorm(foldSlice(foldFlip(foldGate(foldSigmoidScale(graph)))))
  const ranges = calibration.length > 0 ? measureRanges(expanded, calibration) : estimateRanges(expanded)
  const folded = hoistBiases(hoistPositionScales(foldChannelScales(equalise(expanded, ranges))))
  return calibration.length > 0 ? measureSensitivities(folded, calibration) : estimateSensitivities(folded)
}
