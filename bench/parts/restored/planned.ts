import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import { foldMeasured } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { parametersOf } from '../../../src/compiler/planner/modulus/chain.ts'
import type { RestorationPlan } from '../../../src/compiler/planner/search/restoration.ts'
import { searchRestored } from '../../../src/compiler/planner/search/search-restored.ts'
import { DEFAULT_TARGET, targetNamed } from '../../../src/compiler/planner/target/target.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import type { Network } from '../../../src/models/index.ts'

/** The choices for restorations of the best plan of a network. */
export interface PlannedRestoration {
  readonly parameters: CkksParameters
  readonly plan: RestorationPlan
  /** Levels of the network between two restorations. */
  readonly networkLevels: number
}

/**
 * Drafts plans of a network whose server restores levels, in one ring.
 *
 * @throws DEPTH_EXCEEDED when no plan fits
 */
export function plannedRestoration(
  network: Network,
  ring: number,
  precisionBits: number,
): PlannedRestoration {
  const target = targetNamed(DEFAULT_TARGET)
  const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
  const [best] = searchRestored(foldMeasured(prepared.graph, []).graph, {
    target,
    rings: [ring],
    batch: 1,
    objective: 'latency',
    precisionBits,
    maxPrimeBits: target.primeSizes.most,
  })
  const { levels, restoration } = best.plan.segment!
  return { parameters: parametersOf(best.chain, best.special), plan: restoration!, networkLevels: levels }
}
