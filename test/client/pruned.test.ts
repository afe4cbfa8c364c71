import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../src/circuit/index.ts'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { referenceForward } from '../../src/models/index.ts'
import { image, PRUNINGS, prunedNetwork } from '../compiler/pruned-network.ts'
import { serving } from '../server/serving.ts'

// Networks with weights of zero on the simd engine, by HTTP: ciphertexts without weights, weights that round
// to zero, and an input that nothing reads.

const SERVED = [
  'both channels of a slot',
  'almost, both channels of a slot',
  'all that reads an input ciphertext',
  'a whole layer',
]

const networks = PRUNINGS.filter(({ name }) => SERVED.includes(name)).map(prunedNetwork)
const circuits = networks.map(
  (network, k) =>
    compile(network, {
      model: `pruned_${k}`,
      preprocessing: network.config.preprocessing,
      calibration: [image],
      refresh: 'client',
      rings: [8192],
      precisionBits: 6,
    }).circuit,
)

const directory = t.testdir()
for (const circuit of circuits)
  await writeFile(join(directory, `${circuit.model}.pvc`), writeCircuit(circuit))
const { url } = await serving(t, circuits[0], { threads: 2 }, directory)
const polyveil = await connect(url, { keys: memoryKeyStore() })
t.teardown(() => polyveil.close())

for (const [k, { model, input, estimate }] of circuits.entries()) {
  t.test(SERVED[k], async (t) => {
    const expected = referenceForward(networks[k], image)
    for (const { index, logit } of await polyveil.classify(model, { shape: input.image, tensor: image }))
      t.ok(Math.abs(logit - expected[index]) < 4 * estimate.logitError, `${logit}, not ${expected[index]}`)
  })
}
