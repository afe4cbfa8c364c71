import t from 'tap'
import { connect, memoryKeyStore, type PolyVeil } from '../../src/client/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { referenceForward } from '../../src/models/index.ts'
import { goldenNetwork, goldenTensors, item, maxAbsDifference } from '../models/support/golden.ts'
import { serving } from '../server/serving.ts'
import { factorWithin, stretched } from './stretched.ts'

// A polynomial network has no saturation: beyond what it was trained on its values grow without bound. Of
// CPolyNeXt's four stages in small, served with refreshes, a client must get the reference's logits or an
// error, never a label by accident.

const network = await goldenNetwork('micro_t')
const golden = item((await goldenTensors('micro_t')).get('input')!, 0).data
const { circuit } = compile(network, {
  model: 'micro',
  preprocessing: network.config.preprocessing,
  refresh: 'always',
  rings: [8192],
  precisionBits: 8,
})
const { url } = await serving(t, circuit)

/** Every request that left the client. */
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
  for (const factor of [1.3, limit]) {
    const { sent, whole } = stretched(golden, factor, circuit.input)
    const clear = referenceForward(network, whole)
    t.notOk(largest(clear) < circuit.output.bound, `in the clear: ${largest(clear)}`)
    const query = await polyveil.encrypt('micro', sent)
    const answer = await polyveil.infer('micro', query)
    await t.rejects(polyveil.decrypt('micro', answer), {
      code: 'TENSOR_OUT_OF_RANGE',
      message: /no honest result/,
    })
  }
})

t.test('where the network comes near its limit, what is accepted is what it computes', async (t) => {
  for (const factor of [1, 1.1, 1.2]) {
    const { sent, whole } = stretched(golden, factor, circuit.input)
    const clear = referenceForward(network, whole)
    const logits = await polyveil.decrypt(
      'micro',
      await polyveil.infer('micro', await polyveil.encrypt('micro', sent)),
    )
    const error = maxAbsDifference(logits, clear) / Math.max(1, largest(clear))
    t.ok(error < 0.05, `times ${factor}: ${error}, with logits up to ${largest(clear)}`)
  }
})
