import '../errors/require-node.ts'

import type { Network } from '../models/network.ts'
import type { Preprocessing } from '../preprocessing/types.ts'
import { fold } from './fold.ts'
import { networkGraph } from './graph/build.ts'
import { evaluate } from './graph/evaluate.ts'
import { prepareInput } from './prepare-input.ts'

export type { Objective, RefreshChoice } from './choices.ts'
export { type Compiled, compile } from './compile.ts'
export type { CompileOptions } from './options.ts'
export type { OtherWay } from './planner/search/ways.ts'
export type { Link } from './planner/target/refresh-cost.ts'
export type { TargetName } from './planner/target/target.ts'
export { type LayerReport, type PlanReport, planReport } from './report.ts'
export type { RestorationReport } from './restoration-report.ts'

/**
 * Returns a function that evaluates the folded graph of a network in the clear, for comparison with the float
 * reference. The function takes a preprocessed image [3, H, W] and returns its logits.
 */
export function foldedNetwork(
  network: Network,
  preprocessing: Preprocessing | null,
): (image: Float64Array) => Float64Array {
  const prepared = prepareInput(networkGraph(network), preprocessing)
  const graph = fold(prepared.graph)
  return (image) => evaluate(graph, prepared.pack(image))
}
