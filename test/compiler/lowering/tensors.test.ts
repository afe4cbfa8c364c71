import t, { type Test } from 'tap'
import { unpack } from '../../../src/circuit/layout.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { imageSlots } from '../../../src/client/index.ts'
import { fold } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph } from '../../../src/compiler/graph/graph.ts'
import { CircuitBuilder } from '../../../src/compiler/lowering/builder.ts'
import { Lowering } from '../../../src/compiler/lowering/lower.ts'
import type { Packed } from '../../../src/compiler/lowering/packed.ts'
import { parametersOf } from '../../../src/compiler/planner/chain.ts'
import type { Candidate } from '../../../src/compiler/planner/draft.ts'
import { searchRefreshed } from '../../../src/compiler/planner/search-refreshed.ts'
import { targetNamed } from '../../../src/compiler/planner/target.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { goldenTensors, item } from '../../models/support/golden.ts'
import { golden, maxDifference } from '../harness.ts'

// Every tensor of the golden networks, as the lowered circuit computes it on the clear backend, refreshes and all: against the
// graph, and those that PyTorch wrote down against what it wrote.

/**
 * Golden tensors that are tensors of the folded graph, up to a factor for each channel: what a cell gives to the next one. The
 * last one's is merged with the norm behind it.
 */
const writtenIn = (tensors: ReadonlyMap<string, unknown>): string[] =>
  [...tensors.keys()].filter((key) => {
    const cell = /^cells\.(\d+)$/.exec(key)
    return key === 'stem' || (cell !== null && tensors.has(`cells.${Number(cell[1]) + 1}`))
  })

/** The last node that makes such a tensor. */
const isMaker = (key: string, node: string): boolean =>
  node === key || (node.startsWith(`${key}.stack.`) && node.endsWith('.mlp'))

const SIMD = targetNamed('simd')

/** Lowers a candidate's graph, with its cuts. */
function lower({ graph, draft, chain, special, refresh }: Candidate) {
  const parameters = parametersOf(chain, special!)
  const builder = new CircuitBuilder(parameters, draft.policy, true)
  const refreshLevel = chain.base.length - 1
  const lowering = new Lowering(builder, graph, { ...draft, refreshLevel })
  const { value } = lowering.run(refresh!.cuts)
  return { builder, parameters, lowering, value }
}

for (const name of ['micro_t', 'micro_s', 'micro_lr']) {
  t.test(`${name}: every tensor`, async (t) => {
    const { network, images } = await golden(name)
    const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
    const [candidate] = searchRefreshed(fold(prepared.graph), {
      target: SIMD,
      rings: [8192],
      batch: 1,
      objective: 'latency',
      precisionBits: 8,
      maxPrimeBits: SIMD.primeSizes.most,
    })
    const { graph } = candidate
    const { builder, parameters, lowering, value } = lower(candidate)
    const packed = new Map<number, Packed>()
    for (const id of graph.nodes.keys()) if (lowering.isLowered(id)) packed.set(id, lowering.tensor(id))

    const input = {
      layout: candidate.draft.layout,
      level: parameters.topLevel,
      scale: 2 ** candidate.draft.policy.input,
    }
    const circuit = { ...builder, parameters, input, result: value } as unknown as Circuit
    const clear = createClearEvaluator(circuit)
    const wanted = new Set([...packed.values()].flatMap(({ values }) => values))
    const seen = new Map<number, Float64Array>()
    const spec = { ...prepared.spec, ...input }
    const encrypted = imageSlots(images[1], spec, parameters.slots).map((slots) =>
      clear.encrypt(slots, input.level, input.scale),
    )
    execute(circuit, clear, encrypted, {
      observe: (id, { slots }) => {
        if (wanted.has(id)) seen.set(id, slots.slice())
      },
    })
    const tensorOf = ({ layout, values }: Packed): Float64Array =>
      unpack(
        layout,
        values.map((id) => seen.get(id)!),
      )

    let compared = 0
    evaluate(graph, prepared.pack(images[1]), (id, expected) => {
      const tensor = packed.get(id)
      if (tensor === undefined) return
      const size = Math.max(...expected.map(Math.abs))
      const error = maxDifference(tensorOf(tensor), expected) / size
      t.ok(error < 2e-3, `${graph.nodes[id].name}: ${error}`)
      compared++
    })
    t.ok(
      compared > 0.8 * graph.nodes.length,
      `${compared} of ${graph.nodes.length} nodes have tensors of their own`,
    )
    await compareWritten(t, name, graph, packed, tensorOf)
  })
}

async function compareWritten(
  t: Test,
  name: string,
  graph: Graph,
  packed: ReadonlyMap<number, Packed>,
  tensorOf: (packed: Packed) => Float64Array,
): Promise<void> {
  const tensors = await goldenTensors(name)
  const keys = writtenIn(tensors)
  t.ok(keys.length >= 3, keys.join())
  for (const key of keys) {
    const id = graph.nodes.findLastIndex((node) => isMaker(key, node.name))
    const { data, shape } = item(tensors.get(key)!, 1)
    t.strictSame([...graph.nodes[id].shape], [...shape], key)
    const found = tensorOf(packed.get(id)!)
    const area = shape[1] * shape[2]
    for (let c = 0; c < shape[0]; c++) {
      const [a, b] = [found, Float64Array.from(data)].map((values) =>
        values.subarray(c * area, (c + 1) * area),
      )
      const error = sineOf(a, b)
      t.ok(error < 5e-3, `${key}, channel ${c}: ${error}`)
    }
  }
}

/** 0 when one is a multiple of the other, 1 when they are perpendicular. */
function sineOf(a: Float64Array, b: Float64Array): number {
  const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, value, i) => sum + value * y[i], 0)
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  return Math.sqrt(Math.max(0, 1 - cosine * cosine))
}
