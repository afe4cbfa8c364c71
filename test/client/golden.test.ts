import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { writeCircuit } from '../../src/circuit/index.ts'
import { rmsWithin } from '../../src/cli/comparison.ts'
import { connect, memoryKeyStore } from '../../src/client/index.ts'
import { rootMeanSquare } from '../../src/compiler/graph/statistics.ts'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import { deviation, goldenNetwork, goldenTensors, item } from '../models/support/golden.ts'
import { serving } from '../server/serving.ts'

// The golden networks on the simd engine, by HTTP: the logits of plans with forced refreshes and of plans
// that the planner chose.

const CASES: [name: string, refresh: NonNullable<CompileOptions['refresh']>][] = [
  ['one_shot', 'never'],
  ['one_shot', 'always'],
  ['micro_t', 'auto'],
  ['micro_t', 'always'],
  ['micro_s', 'always'],
  ['micro_lr', 'auto'],
  ['micro_lr', 'always'],
  ['micro_monet', 'never'],
  ['micro_monet', 'always'],
  ['micro_dttn', 'never'],
  ['micro_dttn', 'always'],
  ['micro_dttn_product', 'never'],
  ['micro_dttn_product', 'always'],
]

const directory = t.testdir()
const compiled = await Promise.all(
  CASES.map(async ([name, refresh]) => {
    const network = await goldenNetwork(name)
    const model = `${name}_${refresh}`
    const { preprocessing } = network.config
    const input = (await goldenTensors(name)).get('input')!
    const calibration = Array.from({ length: input.shape[0] }, (_, k) =>
      Float64Array.from(item(input, k).data),
    )
    const { circuit } = compile(network, { model, preprocessing, refresh, precisionBits: 9, calibration })
    return { name, model, circuit }
  }),
)
for (const { model, circuit } of compiled)
  await writeFile(join(directory, `${model}.pvc`), writeCircuit(circuit))
const { url } = await serving(t, compiled[0].circuit, { threads: 2 }, directory)
const polyveil = await connect(url, { keys: memoryKeyStore() })
t.teardown(() => polyveil.close())

for (const { name, model, circuit } of compiled) {
  t.test(`${model}: ${circuit.refresh ? 'with refreshes' : 'one shot'}`, async (t) => {
    t.equal(circuit.refresh !== undefined, !model.endsWith('_never'))
    const tensors = await goldenTensors(name)
    for (const k of [0, 1]) {
      const image = {
        shape: circuit.input.image,
        tensor: Float64Array.from(item(tensors.get('input')!, k).data),
      }
      const expected = item(tensors.get('logits')!, k).data
      const logits = new Float64Array(expected.length)
      for (const { index, logit } of await polyveil.classify(model, image)) logits[index] = logit
      const error = rootMeanSquare(logits.map((logit, i) => logit - expected[i]))
      const { logitError } = circuit.estimate
      t.ok(
        error <= rmsWithin(logitError, expected.length),
        `image ${k}: error ${error}, stated ${logitError}`,
      )
      t.ok(
        logitError < deviation(expected) / 64,
        'the stated error is small against the differences between classes',
      )
    }
  })
}
