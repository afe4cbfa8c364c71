import { estimateRanges, measureRanges } from './analysis/ranges.ts'
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
 * and every message is near 1.
 *
 * @param calibration preprocessed images in the graph's input shape; none: ranges come from poly-BN statistics
 */
export function fold(graph: Graph, calibration: readonly Float64Array[] = []): Graph {
  const expanded = expandNorm(foldSlice(foldFlip(foldGate(foldSigmoidScale(graph)))))
  const ranges = calibration.length > 0 ? measureRanges(expanded, calibration) : estimateRanges(expanded)
  return hoistBiases(hoistPositionScales(foldChannelScales(equalise(expanded, ranges))))
}
