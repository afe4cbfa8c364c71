import t from 'tap'
import { raiseFailure } from '../../src/circuit/raise.ts'
import { type Compiled, compile, planReport } from '../../src/compiler/index.ts'
import { counted } from '../../src/text/counted.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { golden } from './harness.ts'

// The report of a network whose server restores levels. test/compiler/lowering/restoration has what a
// restoration computes.

const { network } = await golden('one_shot')
const compiled = (more: object = {}): Compiled =>
  compile(network, {
    ...{ model: 'x', preprocessing: network.config.preprocessing, refresh: 'server', precisionBits: 8 },
    rings: [32768],
    ...more,
  })
const { circuit, plan } = compiled()

t.test('the report counts restorations', async (t) => {
  const restoration = plan.restoration!
  const { ciphertexts, places, raiseBits, bound, failureBits, shape } = restoration
  t.equal(ciphertexts, plan.ops.raise)
  t.ok(ciphertexts > 0)
  t.equal(
    plan.layers.reduce((sum, { restorations }) => sum + restorations, 0),
    ciphertexts,
  )
  t.equal(plan.layers.filter(({ restorations }) => restorations > 0).length, places)
  t.strictSame(plan.rounds, [])
  t.ok(plan.layers.every(({ refreshes }) => refreshes === 0))
  const { raiseLevel, primes } = circuit.parameters
  const modulus = primes.slice(0, raiseLevel! + 1).reduce((product, prime) => product * prime, 1n)
  t.equal(Math.round(raiseBits), Math.round(Math.log2(Number(modulus))))
  t.equal(bound, circuit.raise!.bound)
  t.equal(failureBits, raiseFailure(circuit))
  t.ok(failureBits <= -40)
  const { stages, copies } = shape!
  const { slots } = circuit.parameters
  t.equal(
    copies * 2 ** stages.reduce((sum, count) => sum + count, 0),
    slots,
    'all stages of one copy of the slots',
  )
  t.strictSame(stages, circuit.raise!.stages)
  t.equal(raiseLevel! + shape!.stages.length + shape!.levels, circuit.input.level)
  for (const { level, restorations } of plan.layers) {
    if (restorations > 0) t.equal(level, circuit.input.level, 'a restored layer has the level of inputs')
  }
})

t.test('the plan explains restorations in words', async (t) => {
  const why = plan.why.join('\n')
  const { ciphertexts, places, failureBits, shape } = plan.restoration!
  t.match(why, 'ring 32768: the best of those')
  t.match(
    why,
    `the server restores the levels of ${counted(ciphertexts, 'ciphertext')} in ${counted(places, 'place')}`,
  )
  t.match(
    why,
    `with ${shape!.levels} levels between two restorations: the client sends one message and gets one back`,
  )
  t.match(
    why,
    new RegExp(`raises values modulo \\d+ bits .* groups of ${shape!.stages.join(' \\+ ')} stages`),
  )
  t.match(why, `comes back wrong because of a larger one with a chance below 2^${Math.ceil(failureBits)}`)
  t.equal(plan.why.filter((reason) => /refreshed/.test(reason)).length, 0)
})

t.test('circuits without restorations have no report of them', async (t) => {
  const { plan } = compiled({ refresh: 'never', rings: undefined })
  t.notOk('restoration' in plan)
  t.match(plan.why[0], 'the smallest of those')
  t.ok(plan.layers.every(({ restorations }) => restorations === 0))
})

t.test('a circuit that states no stages is reported without the shape of its restorations', async (t) => {
  const small = smallCircuit()
  const odd = { ...small, parameters: { ...small.parameters, raiseLevel: 0 }, raise: { bound: 8 } }
  t.match(planReport(odd).restoration, { ciphertexts: 0, places: 0, bound: 8 })
  t.notOk('shape' in planReport(odd).restoration!)
})
