import t from 'tap'
import { answerPeriod } from '../../src/circuit/answer.ts'
import { readCircuit, writeCircuit } from '../../src/circuit/format/file.ts'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { ephemeralBits, MAX_EPHEMERAL_LOG_QP } from '../../src/circuit/parameters/ephemeral.ts'
import { raiseFailure } from '../../src/circuit/raise.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { readBatch } from '../../src/client/local/answer.ts'
import { batchSlots } from '../../src/client/local/input.ts'
import { compile } from '../../src/compiler/index.ts'
import { createClearEvaluator } from '../../src/he-ops/clear/evaluator.ts'
import { periodicPart } from '../../src/he-ops/encoding/decode-periodic.ts'
import { execute } from '../../src/he-ops/executor.ts'
import { referenceForward } from '../../src/models/index.ts'
import { MOST_KERNEL_BYTES } from '../../src/schedule/limits.ts'
import { maxDigitSources, stepsOf } from '../../src/schedule/steps.ts'
import { factorWithin, stretched } from '../client/stretched.ts'
import { casesOf, isThorough } from '../support/thorough.ts'
import { clearLogits, golden, maxDifference } from './harness.ts'

// Networks whose server restores levels by itself, on the clear backend. Their clients are offline, and they
// are too deep for one shot.

const compiled = async (name: string) => {
  const { network, images, logits } = await golden(name)
  const { preprocessing } = network.config
  const result = compile(network, {
    model: name,
    preprocessing,
    offlineClient: true,
    precisionBits: 8,
  })
  return { network, images, logits, ...result }
}

const micro = await compiled('micro_t')

t.test('the plan: counts, parameters, memory', async (t) => {
  const { circuit, plan } = micro
  const { parameters, input, output, ops } = circuit
  verifyCircuit(circuit)
  t.strictSame(
    { ring: plan.ring, raises: plan.ops.raise, refreshes: plan.ops.refresh, products: plan.ops.multiply },
    { ring: 32768, raises: 14, refreshes: 0, products: 24 + 14 * 12 },
  )
  t.equal(
    plan.ops.relinearise,
    plan.ops.multiply - 12,
    'products of two real slots share one relinearisation',
  )
  t.ok(parameters.raiseLevel! < input.level && input.level < parameters.topLevel, 'inputs lie between')
  t.ok(
    output.level <= parameters.raiseLevel! + 1,
    'the answer has few more primes than the modulus that is raised',
  )
  t.ok(ephemeralBits(parameters, parameters.raiseLevel!) <= MAX_EPHEMERAL_LOG_QP[parameters.ring])
  const failure = raiseFailure(circuit)
  t.ok(failure <= -40 && failure > -60, `a chance of 2^${failure}`)
  t.ok(circuit.estimate.memoryBytes < MOST_KERNEL_BYTES)
  const low = ops.filter(({ kind, level }) => kind === 'rotate' && level <= input.level)
  t.ok(low.length > 1000, 'the network itself runs at low levels')
})

t.test('the plan for an offline client says why the server restores levels', async (t) => {
  t.match(
    micro.plan.why[0],
    /^the server restores levels: .*--offline-client.* does not fit ring 8192, 16384, 32768 at 8 bits/,
  )
  t.notOk('otherWay' in micro, 'there is none')
})

t.test('steps reach a few operations ahead, so that few of the large values are alive at once', async (t) => {
  const { circuit } = micro
  const reach = stepsOf(circuit, maxDigitSources(circuit.parameters))
    .filter(({ ops }) => ops.length > 1)
    .map(({ ops }) => Math.max(...ops) - Math.min(...ops))
  t.ok(Math.max(...reach) < 64, `${Math.max(...reach)}`)
  t.ok(Math.max(...reach) > 30, 'rotations of a value are together')
})

t.test('a client sees one shot: one query, one answer, no rounds', async (t) => {
  const manifest = manifestOf(micro.circuit)
  t.equal(manifest.rounds, 0)
  t.equal(manifest.refresh, null)
  t.equal(manifest.parameters.raiseLevel, micro.circuit.parameters.raiseLevel)
  t.notOk('raise' in manifest)
})

t.test('the file holds all of it', async (t) => {
  const { circuit } = micro
  const read = readCircuit(writeCircuit(circuit))
  t.strictSame(read.raise, circuit.raise)
  t.strictSame(read.parameters, circuit.parameters)
  t.strictSame(read.ops.slice(-200), circuit.ops.slice(-200))
})

for (const name of isThorough ? ['micro_t', 'micro_s', 'micro_lr'] : ['micro_t']) {
  t.test(`${name}: logits are those of the network in the clear`, async (t) => {
    const { circuit, images, logits } = name === 'micro_t' ? micro : await compiled(name)
    if (isThorough) {
      const exact = maxDifference(clearLogits(circuit, images[0], 'none'), logits[0])
      t.ok(exact < 2e-3, `without noise, off by the sines alone: ${exact}`)
    }
    const noisy = maxDifference(clearLogits(circuit, images[1], 'model'), logits[1])
    t.ok(noisy < 8 * circuit.estimate.logitError, `${noisy}, stated ${circuit.estimate.logitError}`)
  })
}

/** The logits, or the code with which the client refuses the answer. Values that would wrap are counted. */
function answerOf(circuit: Circuit, image: Float64Array): Float64Array | string {
  const { input, parameters } = circuit
  const evaluator = createClearEvaluator(circuit, { noise: 'model', overflow: () => {} })
  const encrypted = batchSlots([image], circuit, parameters.slots).map((slots) =>
    evaluator.encrypt(slots, input.level, input.scale),
  )
  const result = evaluator.decrypt(execute(circuit, evaluator, encrypted, { takeInputs: true }))
  try {
    return readBatch(periodicPart(result, answerPeriod(circuit)), circuit)[0]
  } catch (error) {
    return (error as { code: string }).code
  }
}

t.test('images beyond the range of the network are refused, and near it refused or correct', async (t) => {
  const { network, circuit, images } = micro
  const limit = factorWithin(images[0], circuit.input.bound)
  for (const factor of casesOf([1.1, 1.2, 1.25, limit], [limit])) {
    const { sent, whole } = stretched(images[0], factor, circuit.input)
    const clear = referenceForward(network, whole)
    const largest = clear.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const answer = answerOf(circuit, sent.tensor as Float64Array)
    if (typeof answer === 'string') {
      t.equal(answer, 'TENSOR_OUT_OF_RANGE')
      t.ok(factor > 1.1, `factor ${factor}, logits up to ${largest}`)
    } else {
      const error = maxDifference(answer, clear)
      t.ok(error < 0.05 * Math.max(1, largest), `factor ${factor}: ${error} of ${largest}`)
      t.ok(largest < circuit.output.bound, 'logits beyond the bound are never shown')
    }
  }
})
