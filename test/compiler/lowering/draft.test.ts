import t from 'tap'
import { refreshModulusBits, refreshRounds } from '../../../src/circuit/refresh.ts'
import { fold } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { type BuilderOutput, CircuitBuilder } from '../../../src/compiler/lowering/builder/circuit-builder.ts'
import { planCuts } from '../../../src/compiler/lowering/cuts.ts'
import { everywhere } from '../../../src/compiler/lowering/strategy.ts'
import { insertRepacks } from '../../../src/compiler/passes/insert-repacks.ts'
import { DRAFT_LEVELS, DraftChain } from '../../../src/compiler/planner/modulus/chain.ts'
import { inputLayout, policyFor } from '../../../src/compiler/planner/search/search.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import { simdCosts } from '../../../src/schedule/cost.ts'
import { circuitSeconds } from '../../../src/schedule/cost-model.ts'
import { golden } from '../harness.ts'

const RING = 8192

/** Lowers a golden network in segments of four levels. */
async function lowered(name: string, output: BuilderOutput) {
  const { network } = await golden(name)
  const folded = fold(prepareInput(networkGraph(network), network.config.preprocessing).graph)
  const graph = insertRepacks(folded, RING / 2)
  const layout = inputLayout(graph, RING / 2)
  const policy = policyFor({ step: 28, waterline: 26, margin: 4 }, 8, 1.5)
  const builder = new CircuitBuilder(new DraftChain(RING, { least: 20, most: 30 }), policy, output)
  const refreshLevel = DRAFT_LEVELS - 4
  const { head } = planCuts(builder, graph, { layout, strategies: everywhere(CHAINS), refreshLevel })
  return { builder, result: head.value }
}

/** Operations and terms of each kind in each layer. */
function countsOf({ ops, counts, layers }: CircuitBuilder): Record<string, number> {
  const found: Record<string, number> = {}
  const add = (key: string, count: number): void => {
    found[key] = (found[key] ?? 0) + count
  }
  ops.forEach((op, id) => {
    const { name } = layers[op.layer]
    add(`${name} ${op.kind}`, counts[id])
    if (op.kind === 'dot') add(`${name} terms`, counts[id] * op.terms.length)
  })
  return found
}

for (const name of [
  'one_shot',
  'micro_t',
  'micro_s',
  'micro_lr',
  'micro_monet',
  'micro_dttn',
  'micro_dttn_product',
  'micro_attn',
]) {
  t.test(`a draft of ${name} has the counts of its circuit`, async (t) => {
    const draft = await lowered(name, 'draft')
    const whole = await lowered(name, 'circuit')
    t.ok(whole.builder.counts.every((count) => count === 1))
    t.ok(draft.builder.ops.length <= whole.builder.ops.length)
    t.strictSame(countsOf(draft.builder), countsOf(whole.builder))
    t.strictSame(refreshRounds(draft.builder), refreshRounds(whole.builder))
    t.strictSame(draft.builder.type(draft.result), whole.builder.type(whole.result))
    const bits = ({ builder: { ops, counts } }: typeof draft) =>
      refreshModulusBits({ ops, counts, parameters: { ring: RING } })
    t.ok(Math.abs(bits(draft) - bits(whole)) < 1e-9)
    const seconds = ({ builder: { ops, counts }, result }: typeof draft) =>
      circuitSeconds(
        { ops, counts, result, ring: RING, specialPrimes: 1, unusedLevels: DRAFT_LEVELS - 8 },
        simdCosts(),
      )
    t.ok(Math.abs(seconds(draft) / seconds(whole) - 1) < 1e-3, `${seconds(draft)}, ${seconds(whole)}`)
  })
}
