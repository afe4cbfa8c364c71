import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { writeCircuit } from '../../../src/circuit/index.ts'
import { rmsWithin } from '../../../src/cli/comparison.ts'
import { connect, memoryKeyStore } from '../../../src/client/index.ts'
import { rootMeanSquare } from '../../../src/compiler/graph/statistics.ts'
import { type CompileOptions, compile } from '../../../src/compiler/index.ts'
import { deviation, goldenNetwork, goldenTensors, item } from '../../models/support/golden.ts'
import { serving } from '../../server/serving.ts'

/** A golden network, and the way in which it is compiled. */
export type GoldenCase = readonly [name: string, refresh: NonNullable<CompileOptions['refresh']>]

async function compiledCase([name, refresh]: GoldenCase) {
  const network = await goldenNetwork(name)
  const model = `${name}_${refresh}`
  const { preprocessing } = network.config
  const input = (await goldenTensors(name)).get('input')!
  const calibration = Array.from({ length: input.shape[0] }, (_, k) => Float64Array.from(item(input, k).data))
  const { circuit } = compile(network, {
    model,
    preprocessing,
    refresh,
    // Plans with refreshes choose this ring of all.
    ...(refresh === 'client' && { rings: [8192] }),
    precisionBits: 9,
    calibration,
  })
  return { name, model, circuit }
}

/**
 * Serves golden networks on the simd engine, and compares the logits that a client gets by HTTP with the
 * golden ones: one test for each case. In one shot, whose keys are large, one image is enough.
 */
export async function testGolden(t: Test, cases: readonly GoldenCase[]): Promise<void> {
  const directory = t.testdir()
  const compiled = await Promise.all(cases.map(compiledCase))
  for (const { model, circuit } of compiled)
    await writeFile(join(directory, `${model}.pvc`), writeCircuit(circuit))
  const { url } = await serving(t, compiled[0].circuit, { threads: 2, maxKeySetMegabytes: 1024 }, directory)
  const polyveil = await connect(url, { keys: memoryKeyStore() })
  t.teardown(() => polyveil.close())
  for (const { name, model, circuit } of compiled) {
    t.test(`${model}: ${circuit.refresh ? 'with refreshes' : 'one query and one answer'}`, async (t) => {
      const isOneMessage = model.endsWith('_never') || model.endsWith('_server')
      t.equal(circuit.refresh !== undefined, !isOneMessage)
      t.equal(circuit.raise !== undefined, model.endsWith('_server'))
      const tensors = await goldenTensors(name)
      for (const k of circuit.refresh ? [0, 1] : [0]) {
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
}
