import t from 'tap'
import { fold } from '../../../../src/compiler/fold.ts'
import { networkGraph } from '../../../../src/compiler/graph/build.ts'
import {
  everywhere,
  type RotationStrategy,
  type Strategies,
} from '../../../../src/compiler/lowering/strategy.ts'
import { insertRepacks } from '../../../../src/compiler/passes/insert-repacks.ts'
import type { Candidate } from '../../../../src/compiler/planner/search/candidate.ts'
import { candidatesOf } from '../../../../src/compiler/planner/search/draft.ts'
import { chooseStrategies } from '../../../../src/compiler/planner/search/group-strategies.ts'
import { cheapest, costOf } from '../../../../src/compiler/planner/search/objective.ts'
import { inputLayout, policyFor } from '../../../../src/compiler/planner/search/search.ts'
import { CHAINS } from '../../../../src/compiler/planner/search/strategies.ts'
import { targetNamed } from '../../../../src/compiler/planner/target/target.ts'
import { prepareInput } from '../../../../src/compiler/prepare-input.ts'
import { golden } from '../../harness.ts'

const RING = 8192
const { network } = await golden('micro_t')
const folded = fold(prepareInput(networkGraph(network), network.config.preprocessing).graph)
const graph = insertRepacks(folded, RING / 2)
const layout = inputLayout(graph, RING / 2)
const sizes = { least: 20, most: 30 }

const draft = (strategies: Strategies): Candidate[] =>
  candidatesOf(graph, {
    ring: RING,
    batch: 1,
    layout,
    sizes,
    policy: policyFor({ step: 28, waterline: 26, margin: 4 }, 8, 1.5),
    strategies,
    target: targetNamed('simd'),
    precisionBits: 8,
    segment: { levels: 3, primeBits: 30 },
  })

const best = (strategies: Strategies): number => costOf('latency', cheapest(draft(strategies), 'latency')!)

t.test('each interleave group gets its own strategy after few drafts', async (t) => {
  const tried: RotationStrategy[] = []
  const strategies = chooseStrategies('simd', 'latency', (strategy) => {
    tried.push(strategy)
    return draft(everywhere(strategy))
  })
  t.equal(strategies.byInterleave.size, draft(strategies)[0].groups.size)
  t.ok(strategies.byInterleave.size > 1)
  t.equal(
    new Set(tried.map((strategy) => JSON.stringify(strategy))).size,
    tried.length,
    'each strategy is drafted once',
  )
  // Baby steps and giant steps are tried with the same taps for all groups, then taps with the best steps of
  // each group.
  const babies = tried.filter(({ taps, depthwise }) => taps === 'separable' && depthwise === 'separable')
  t.ok(tried.length <= babies.length + 3 * strategies.byInterleave.size, `${tried.length} drafts`)
  for (const strategy of tried) t.ok(best(strategies) <= best(everywhere(strategy)) + 1e-12)
})

t.test('the cost of a group does not depend on the strategies of other groups', async (t) => {
  const strategies = chooseStrategies('simd', 'latency', (strategy) => draft(everywhere(strategy)))
  draft(strategies).forEach((candidate, index) => {
    for (const [interleave, group] of candidate.groups) {
      const alone = draft(everywhere(strategies.byInterleave.get(interleave)!))[index]
      const { seconds, steps } = alone.groups.get(interleave)!
      t.ok(Math.abs(group.seconds / seconds - 1) < 1e-9)
      t.strictSame(group.steps, steps)
      t.strictSame(candidate.chain, alone.chain)
    }
    const sum = [...candidate.groups.values()].reduce((total, { seconds }) => total + seconds, 0)
    t.ok(Math.abs(sum / candidate.seconds - 1) < 1e-9)
  })
})

t.test('strategies keep to a limit on keys, and chains are left where none does', async (t) => {
  const keysOf = (strategies: Strategies): number => draft(strategies)[0].keyBytes
  const choose = (most: number): Strategies =>
    chooseStrategies(
      'simd',
      'latency',
      (strategy) => draft(everywhere(strategy)),
      ({ keyBytes }) => keyBytes <= most,
    )
  const free = chooseStrategies('simd', 'latency', (strategy) => draft(everywhere(strategy)))
  const chains = keysOf(everywhere(CHAINS))
  const limit = (keysOf(free) + chains) / 2
  t.ok(keysOf(free) > limit)
  t.ok(keysOf(choose(limit)) <= limit)
  t.ok(best(choose(limit)) <= best(everywhere(CHAINS)))
  for (const strategy of choose(0).byInterleave.values()) t.strictSame(strategy, CHAINS)
})
