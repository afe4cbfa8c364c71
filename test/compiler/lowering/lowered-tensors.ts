import { realOf } from '../../../src/circuit/constants/slot-vector.ts'
import { unpack } from '../../../src/circuit/layout.ts'
import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import type { Circuit, SlotVector } from '../../../src/circuit/types.ts'
import { imageSlots } from '../../../src/client/index.ts'
import { fold } from '../../../src/compiler/fold.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { Graph } from '../../../src/compiler/graph/graph.ts'
import { CircuitBuilder } from '../../../src/compiler/lowering/builder/circuit-builder.ts'
import { Lowering } from '../../../src/compiler/lowering/lower.ts'
import { parametersOf } from '../../../src/compiler/planner/modulus/chain.ts'
import type { Candidate } from '../../../src/compiler/planner/search/candidate.ts'
import { searchRefreshed } from '../../../src/compiler/planner/search/search-refreshed.ts'
import { targetNamed } from '../../../src/compiler/planner/target/target.ts'
import { prepareInput } from '../../../src/compiler/prepare-input.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { execute } from '../../../src/he-ops/executor.ts'
import { golden, slotsOf, valuesOf } from '../harness.ts'
import { type Heads, scoresFrom } from './score-places.ts'

const SIMD = targetNamed('simd')

/**
 * Every tensor of a golden network, evaluated from the graph and computed by the lowered circuit on the clear
 * backend.
 */
export interface LoweredTensors {
  readonly graph: Graph
  readonly builder: CircuitBuilder
  readonly parameters: CkksParameters
  readonly result: number
  /** The graph's input tensor. */
  readonly packed: Float64Array
  /** Tensors of the graph, by node. */
  readonly exact: ReadonlyMap<number, Float64Array>
  /** Tensors of the circuit, by node. A node that is lowered together with another has none. */
  readonly computed: ReadonlyMap<number, Float64Array>
}

/**
 * Plans a golden network with refreshes and runs it on its second image.
 *
 * @param noise noise of the clear backend
 * @param isCalibrated whether the plan is made on that image
 */
export async function loweredTensors(
  name: string,
  { noise, isCalibrated }: { noise: 'none' | 'model'; isCalibrated: boolean },
): Promise<LoweredTensors> {
  const { network, images } = await golden(name)
  const [, image] = images
  const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
  const packed = prepared.pack(image)
  const [candidate] = searchRefreshed(fold(prepared.graph, isCalibrated ? [packed] : []), {
    target: SIMD,
    rings: [8192],
    batch: 1,
    objective: 'latency',
    precisionBits: 8,
    maxPrimeBits: SIMD.primeSizes.most,
  })
  const { graph, plan } = candidate
  const { builder, parameters, lowering, value } = lower(candidate)
  const input = { layout: plan.layout, level: parameters.topLevel, scale: 2 ** plan.policy.input }
  const circuit = { ...builder, parameters, input, result: value } as unknown as Circuit
  const clear = createClearEvaluator(circuit, { noise })
  const lowered = [...graph.nodes.keys()].filter((id) => lowering.isLowered(id))
  const wanted = new Set(lowered.flatMap((id) => valuesOf(lowering.tensor(id))))
  const seen = new Map<number, SlotVector>()
  const encrypted = imageSlots(image, { ...prepared.spec, ...input }, parameters.slots).map((slots) =>
    clear.encrypt(slots, input.level, input.scale),
  )
  execute(circuit, clear, encrypted, {
    observe: (id, { slots }) => {
      if (wanted.has(id)) seen.set(id, slots)
    },
  })
  const exact = new Map<number, Float64Array>()
  evaluate(graph, packed, (id, tensor) => {
    exact.set(id, tensor)
  })
  const computed = new Map(
    lowered.map((id) => {
      const tensor = lowering.tensor(id)
      const slots = valuesOf(tensor).map((value) => seen.get(value)!)
      const attention = attentionOf(graph, id)
      if (attention === undefined) return [id, unpack(tensor.layout, slotsOf(tensor.layout, slots, 0.01))]
      return [id, scoresFrom(slots.map(realOf), attention, lowering.tensor(attention.query).layout)]
    }),
  )
  return { graph, builder, parameters, result: value, packed, exact, computed }
}

/** The sizes of attention, and its query, where a tensor has scores or powers of them. */
function attentionOf({ nodes }: Graph, id: number): (Heads & { readonly query: number }) | undefined {
  const node = nodes[id]
  if (node.kind === 'multiply' && node.left === node.right)
    return attentionOf({ nodes, output: id }, node.left)
  if (node.kind !== 'scores') return undefined
  const [channels, height, width] = nodes[node.left].shape
  return { heads: node.heads, channels: channels / node.heads, height, width, query: node.left }
}

/** Lowers a candidate's graph with its cuts. */
function lower({ graph, plan, chain, special, refresh }: Candidate) {
  const parameters = parametersOf(chain, special!)
  const builder = new CircuitBuilder(parameters, plan.policy, 'circuit')
  const refreshLevel = chain.base.length - 1
  const lowering = new Lowering(builder, graph, { ...plan, refreshLevel })
  const { value } = lowering.run(refresh!.cuts)
  return { builder, parameters, lowering, value }
}
