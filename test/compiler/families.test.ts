import t, { type Test } from 'tap'
import { refreshRounds } from '../../src/circuit/refresh.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { fold } from '../../src/compiler/fold.ts'
import { networkGraph } from '../../src/compiler/graph/build.ts'
import { evaluate } from '../../src/compiler/graph/evaluate.ts'
import type { Graph } from '../../src/compiler/graph/graph.ts'
import { rootMeanSquare } from '../../src/compiler/graph/statistics.ts'
import { compile, planReport } from '../../src/compiler/index.ts'
import { prepareInput } from '../../src/compiler/prepare-input.ts'
import { deviation, goldenTensors, item } from '../models/support/golden.ts'
import { casesOf } from '../support/thorough.ts'
import { clearLogits, golden, maxDifference } from './harness.ts'

// The golden networks of all families but the first, which has tests of its own: the folded graph against
// PyTorch's tensors, and circuits on the clear backend.

/** Known costs of plans for the reference speeds, in one shot and with refreshes. */
const KNOWN = {
  micro_monet: {
    never: { ring: 32768, products: 12, rotations: 397, keys: 26, refreshes: 0, rounds: 0 },
    client: { ring: 8192, products: 12, rotations: 598, keys: 38, refreshes: 23, rounds: 13 },
  },
  micro_dttn: {
    never: { ring: 16384, products: 6, rotations: 249, keys: 29, refreshes: 0, rounds: 0 },
    client: { ring: 8192, products: 6, rotations: 310, keys: 42, refreshes: 12, rounds: 7 },
  },
  micro_dttn_product: {
    never: { ring: 16384, products: 6, rotations: 251, keys: 32, refreshes: 0, rounds: 0 },
    client: { ring: 8192, products: 6, rotations: 274, keys: 39, refreshes: 12, rounds: 7 },
  },
} as const

/** APolyNeXt's network is too deep for one shot. `graph/attention.test.ts` has its folded graph. */
const REFRESHED_ONLY = {
  micro_attn: {
    client: { ring: 8192, products: 184, rotations: 1170, keys: 129, refreshes: 38, rounds: 28 },
  },
} as const

for (const name of Object.keys(KNOWN)) {
  t.test(`${name}: the folded graph has PyTorch's tensors`, async (t) => {
    const { network, images } = await golden(name)
    const prepared = prepareInput(networkGraph(network), network.config.preprocessing)
    const folded = fold(prepared.graph)
    const tensors = await goldenTensors(name)
    const written = [...tensors.keys()].filter((key) => key !== 'input' && key !== 'logits')
    t.ok(written.length >= 4, written.join())
    for (const [k, image] of images.entries()) {
      const packed = prepared.pack(image)
      const found: Float64Array[] = []
      const logits = evaluate(folded, packed, (id, tensor) => {
        found[id] = tensor
      })
      t.ok(maxDifference(logits, item(tensors.get('logits')!, k).data) < 1e-4, `image ${k}: logits`)
      for (const key of written)
        compareInUnits(t, `image ${k}: ${key}`, found[makerOf(folded, key)], item(tensors.get(key)!, k).data)
    }
  })
}

for (const [name, known] of Object.entries({ ...KNOWN, ...REFRESHED_ONLY })) {
  // One shot of micro_monet is the slowest of these searches.
  const all = Object.entries(known)
  const usual = all.filter(([refresh]) => name !== 'micro_monet' || refresh !== 'never')
  for (const [refresh, counts] of casesOf(all, usual)) {
    t.test(`${name}, refreshes ${refresh}`, async (t) => {
      const { network, images, logits } = await golden(name)
      const { preprocessing } = network.config
      const { circuit, plan } = compile(network, {
        model: name,
        preprocessing,
        refresh: refresh as 'never' | 'client',
      })
      verifyCircuit(circuit)
      t.strictSame(
        {
          ring: plan.ring,
          products: plan.ops.multiply,
          rotations: plan.ops.rotate,
          keys: plan.galoisKeys,
          refreshes: plan.ops.refresh,
          rounds: refreshRounds(circuit).length,
        },
        counts,
      )
      t.strictSame(planReport(circuit).rounds, plan.rounds)
      const allowed = 0.02 * deviation(logits.flatMap((row) => [...row]))
      // One image shows a wrong circuit; the folded graph has all of them above.
      for (const [k, image] of casesOf(images, images.slice(0, 1)).entries()) {
        t.ok(maxDifference(clearLogits(circuit, image, 'none'), logits[k]) < 1e-4, `image ${k}, exact`)
        const error = maxDifference(clearLogits(circuit, image, 'model'), logits[k])
        t.ok(error > 0 && error < allowed, `image ${k}, with the noise model: ${error} of ${allowed}`)
      }
    })
  }
}

/** The last node of a folded graph that makes a golden tensor: the sum or bias at the end of its part. */
function makerOf({ nodes }: Graph, key: string): number {
  const prefix = key === 'stem' ? 'fs2' : key
  return nodes.findLastIndex(
    ({ kind, name }) =>
      (kind === 'bias' || kind === 'add') && (name === prefix || name.startsWith(`${prefix}.`)),
  )
}

/** Compares a tensor with PyTorch's, but for the power of two that the compiler divided it by. */
function compareInUnits(t: Test, title: string, found: Float64Array, expected: Float32Array): void {
  const unit = 2 ** Math.round(Math.log2(rootMeanSquare(expected) / rootMeanSquare(found)))
  const error = maxDifference(
    found.map((value) => unit * value),
    expected,
  )
  t.ok(error < 1e-4, `${title}: ${error}`)
}
