import { fileURLToPath } from 'node:url'
import t from 'tap'
import { connect, memoryKeyStore, type PolyVeil } from '../../src/client/index.ts'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import type { PolyVeilError } from '../../src/errors/index.ts'
import { loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { goldenFile, goldenNetwork, goldenTensors, item, maxAbsDifference } from '../models/support/golden.ts'
import { serving } from '../server/serving.ts'
import { casesOf } from '../support/thorough.ts'
import { factorWithin, stretched } from './stretched.ts'

// Polynomial networks do not saturate: beyond the range of their training their values grow without bound.
// For a small CPolyNeXt of four stages, served with refreshes, a client must get the logits of the reference
// or an error, never a wrong label.

const network = await goldenNetwork('micro_t')
const golden = item((await goldenTensors('micro_t')).get('input')!, 0).data
const OPTIONS: Omit<CompileOptions, 'model'> = {
  preprocessing: network.config.preprocessing,
  refresh: 'client',
  rings: [8192],
  precisionBits: 8,
}
const { circuit } = compile(network, { ...OPTIONS, model: 'micro' })
const { url } = await serving(t, circuit)

/** All requests that the client sent. */
const requests: string[] = []
const polyveil: PolyVeil = await connect(url, {
  keys: memoryKeyStore(),
  fetch: (resource, init) => {
    requests.push(`${init?.method ?? 'GET'} ${resource}`)
    return fetch(resource, init)
  },
})
t.teardown(() => polyveil.close())
await polyveil.keys('micro')

const largest = (values: Float64Array): number => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)

t.test('values beyond the input bound are refused before anything is encrypted or sent', async (t) => {
  const { sent } = stretched(golden, 10, circuit.input)
  t.ok(largest(sent.tensor as Float64Array) > circuit.input.bound)
  const before = requests.length
  await t.rejects(polyveil.classify('micro', sent), {
    code: 'TENSOR_OUT_OF_RANGE',
    message: /of the preprocessed image is .*; up to 6 is taken/,
  })
  t.equal(requests.length, before)
})

t.test('values within the bound on which the network diverges are refused after decryption', async (t) => {
  const limit = factorWithin(golden, circuit.input.bound)
  for (const factor of casesOf([1.3, limit], [limit])) {
    const { sent, whole } = stretched(golden, factor, circuit.input)
    const clear = referenceForward(network, whole)
    t.notOk(largest(clear) < circuit.output.bound, `logits in the clear: ${largest(clear)}`)
    const query = await polyveil.encrypt('micro', sent)
    const answer = await polyveil.infer('micro', query)
    await t.rejects(polyveil.decrypt('micro', answer), {
      code: 'TENSOR_OUT_OF_RANGE',
      message: /no honest result/,
    })
  }
})

t.test('near its limit the answers of the network are refused or correct', async (t) => {
  for (const factor of casesOf([1, 1.1, 1.2], [1, 1.2])) {
    const { sent, whole } = stretched(golden, factor, circuit.input)
    const clear = referenceForward(network, whole)
    const answer = await polyveil.infer('micro', await polyveil.encrypt('micro', sent))
    const logits = await polyveil.decrypt('micro', answer).catch((error: PolyVeilError) => error.code)
    if (typeof logits === 'string') {
      // Large values wrap under some masks and not under others. The image itself is far from the limit.
      t.equal(logits, 'TENSOR_OUT_OF_RANGE', `factor ${factor}`)
      t.ok(factor > 1, 'the image itself is never refused')
      continue
    }
    const error = maxAbsDifference(logits, clear) / Math.max(1, largest(clear))
    t.ok(error < 0.05, `factor ${factor}: error ${error}, logits up to ${largest(clear)}`)
  }
})

t.test('the spare slot shows an overflow where there is one class', async (t) => {
  // Its logit alone is within the bound for a quarter of all overflows.
  const config = { ...network.config, classes: 1 } as typeof network.config
  const checkpoint = new Map(await readCheckpoint(fileURLToPath(goldenFile('micro_t.pt'))))
  for (const name of ['head.3.weight', 'head.3.bias']) {
    const { shape, data } = checkpoint.get(name)!
    checkpoint.set(name, { shape: shape.with(0, 1), data: data.slice(0, data.length / shape[0]) })
  }
  const single = loadNetwork(checkpoint, config)
  const { circuit: one } = compile(single, { ...OPTIONS, model: 'single' })
  t.match(one.output, { classes: 1, period: 2 })
  const { url } = await serving(t, one)
  const client = await connect(url, { keys: memoryKeyStore() })
  t.teardown(() => client.close())
  const limit = factorWithin(golden, one.input.bound)
  const { sent: image, whole } = stretched(golden, 1, one.input)
  const [{ logit }] = await client.classify('single', image)
  t.ok(Math.abs(logit - referenceForward(single, whole)[0]) < 0.1)
  for (const k of casesOf([0, 1, 2, 3, 4, 5], [5])) {
    const { sent, whole } = stretched(golden, limit * (1 - k / 100), one.input)
    t.notOk(largest(referenceForward(single, whole)) < one.output.bound)
    await t.rejects(client.classify('single', sent), { code: 'TENSOR_OUT_OF_RANGE' }, `image ${k}`)
  }
})
