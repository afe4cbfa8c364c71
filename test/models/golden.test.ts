import t from 'tap'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { goldenNetwork, goldenTensors, item, maxAbsDifference } from './support/golden.ts'
import { withExchanged } from './support/operations.ts'

/**
 * The reference computes in float64, the golden data are float32, so the difference is PyTorch's rounding.
 * The bound is relative to the largest value of a tensor if that is above 1.
 */
const TOLERANCE = 1e-5

for (const name of [
  'one_shot',
  'micro_t',
  'micro_s',
  'micro_lr',
  'micro_attn',
  'micro_monet',
  'micro_dttn',
  'micro_dttn_product',
]) {
  t.test(`${name}: every tensor agrees with its golden tensor`, async (t) => {
    const network = await goldenNetwork(name)
    const golden = await goldenTensors(name)
    const [images] = golden.get('input')?.shape ?? [0]
    const seen = new Set<string>()
    for (let k = 0; k < images; k++) {
      referenceForward(network, item(golden.get('input')!, k).data, (tensorName, tensor) => {
        const expected = golden.get(tensorName)
        if (!expected) return
        seen.add(tensorName)
        const { shape, data } = item(expected, k)
        t.same(tensor.shape, shape, `${tensorName} of image ${k}: shape`)
        const magnitude = data.reduce((largest, x) => Math.max(largest, Math.abs(x)), 1)
        const error = maxAbsDifference(tensor.data, data) / magnitude
        t.ok(error < TOLERANCE, `${tensorName} of image ${k}: ${error}`)
      })
    }
    t.equal(images, 4)
    t.same(seen, new Set(golden.keys()), 'every golden tensor was compared')
  })

  t.test(`${name}: the logits agree to 1e-4`, async (t) => {
    const network = await goldenNetwork(name)
    const golden = await goldenTensors(name)
    for (let k = 0; k < 4; k++) {
      const logits = referenceForward(network, item(golden.get('input')!, k).data)
      t.ok(maxAbsDifference(logits, item(golden.get('logits')!, k).data) < 1e-4)
    }
  })
}

for (const { name, checkpoint, config } of bundledNetworks()) {
  t.test(`bundled ${name}: the logits of test images agree`, async (t) => {
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    const golden = await goldenTensors(`${name}_one`)
    for (let k = 0; k < 8; k++) {
      const logits = referenceForward(network, item(golden.get('input')!, k).data)
      t.ok(maxAbsDifference(logits, item(golden.get('logits')!, k).data) < TOLERANCE)
    }
  })
}

t.test('a wrong reduction, pairing or input changes the logits', async (t) => {
  const golden = await goldenTensors('micro_t')
  const network = await goldenNetwork('micro_t')
  const expected = item(golden.get('logits')!, 0).data
  const input = item(golden.get('input')!, 0).data
  const error = (changed: typeof network): number =>
    maxAbsDifference(referenceForward(changed, input), expected)
  // Cell 2 is the second that downsizes.
  t.ok(error(withExchanged(network, 'reductions.2', 'reductions.3')) > 1e-3, 'reductions swapped')
  const stacks = withExchanged(network, 'cells.2.stack.0', 'cells.2.stack.1')
  t.ok(error(stacks) > 1e-3, 'stacks swapped')
  t.ok(maxAbsDifference(referenceForward(network, item(golden.get('input')!, 1).data), expected) > 1e-3)
})

t.test('an input of another size is refused', async (t) => {
  const network = await goldenNetwork('one_shot')
  t.throws(() => referenceForward(network, new Float32Array(3 * 40 * 41)), { code: 'TENSOR_MALFORMED' })
})
