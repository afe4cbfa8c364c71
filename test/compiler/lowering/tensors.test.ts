import t, { type Test } from 'tap'
import { goldenTensors, item } from '../../models/support/golden.ts'
import { casesOf } from '../../support/thorough.ts'
import { maxDifference } from '../harness.ts'
import { type LoweredTensors, loweredTensors } from './lowered-tensors.ts'

// Compares every tensor of the golden networks, computed by the lowered circuit with refreshes on the clear
// backend, with the graph, and with PyTorch's tensor where the golden file has it.

/**
 * Golden tensors that are tensors of the folded graph up to a factor for each channel: the outputs of the
 * cells. The output of the last cell is merged with the norm behind it.
 */
const writtenIn = (tensors: ReadonlyMap<string, unknown>): string[] =>
  [...tensors.keys()].filter((key) => {
    const cell = /^cells\.(\d+)$/.exec(key)
    return key === 'stem' || (cell !== null && tensors.has(`cells.${Number(cell[1]) + 1}`))
  })

/** The last node that computes a golden tensor. */
const isMaker = (key: string, node: string): boolean =>
  node === key || (node.startsWith(`${key}.stack.`) && node.endsWith('.mlp'))

for (const name of casesOf(
  ['micro_t', 'micro_s', 'micro_lr', 'micro_attn'],
  ['micro_s', 'micro_lr', 'micro_attn'],
)) {
  t.test(`${name}: every tensor agrees`, async (t) => {
    const lowered = await loweredTensors(name, { noise: 'none', isCalibrated: false })
    const { graph, exact, computed } = lowered
    for (const [id, tensor] of computed) {
      const expected = exact.get(id)!
      const size = Math.max(...expected.map(Math.abs))
      const error = maxDifference(tensor, expected) / size
      t.ok(error < 2e-3, `${graph.nodes[id].name}: ${error}`)
    }
    t.ok(
      computed.size > 0.8 * graph.nodes.length,
      `${computed.size} of ${graph.nodes.length} nodes have tensors of their own`,
    )
    await compareWritten(t, name, lowered)
  })
}

async function compareWritten(t: Test, name: string, { graph, computed }: LoweredTensors): Promise<void> {
  const tensors = await goldenTensors(name)
  const keys = writtenIn(tensors)
  t.ok(keys.length >= 3, keys.join())
  for (const key of keys) {
    const id = graph.nodes.findLastIndex((node) => isMaker(key, node.name))
    const { data, shape } = item(tensors.get(key)!, 1)
    t.strictSame([...graph.nodes[id].shape], [...shape], key)
    const found = computed.get(id)!
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

/** Sine of the angle between two vectors: 0 for multiples, 1 for perpendicular vectors. */
function sineOf(a: Float64Array, b: Float64Array): number {
  const dot = (x: Float64Array, y: Float64Array): number => x.reduce((sum, value, i) => sum + value * y[i], 0)
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
  return Math.sqrt(Math.max(0, 1 - cosine * cosine))
}
