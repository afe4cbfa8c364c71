import t from 'tap'
import { readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { compile } from '../../src/compiler/index.ts'
import { referenceForward } from '../../src/models/index.ts'
import { clearLogits, maxDifference } from './harness.ts'
import { image, PRUNINGS, prunedNetwork } from './pruned-network.ts'

for (const pruning of PRUNINGS) {
  t.test(`zero: ${pruning.name}`, async (t) => {
    const network = prunedNetwork(pruning)
    const { circuit } = compile(network, {
      model: 'x',
      preprocessing: network.config.preprocessing,
      calibration: [image],
      refresh: 'always',
      rings: [8192],
      precisionBits: 5,
    })
    verifyCircuit(readCircuit(writeCircuit(circuit)))
    const expected = referenceForward(network, image)
    const exact = maxDifference(clearLogits(circuit, image, 'none'), expected)
    t.ok(exact < circuit.estimate.logitError, `exact: ${exact} of ${circuit.estimate.logitError}`)
    const noisy = maxDifference(clearLogits(circuit, image, 'model'), expected)
    t.ok(noisy < 4 * circuit.estimate.logitError, `with errors: ${noisy}`)
  })
}
