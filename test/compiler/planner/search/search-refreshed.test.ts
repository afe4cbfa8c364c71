import t from 'tap'
import { compile } from '../../../../src/compiler/index.ts'
import { golden } from '../../harness.ts'

// Near the best precision of a ring, larger margins of weights are not always more precise: they take more
// refreshes, or a layer becomes too deep. Plans of these networks at these precisions have margins below
// others that are too small, too large or too deep.

for (const [name, precisionBits] of [
  ['micro_dttn', 13.5],
  ['micro_dttn_product', 14.5],
] as const) {
  t.test(`${name} at ${precisionBits} bits has a plan in the smallest ring`, async (t) => {
    const { network } = await golden(name)
    const { preprocessing } = network.config
    const { circuit } = compile(network, { model: name, preprocessing, precisionBits, refresh: 'client' })
    t.equal(circuit.parameters.ring, 8192)
    t.ok(circuit.estimate.precisionBits >= precisionBits)
  })
}
