import t, { type Test } from 'tap'
import { argmax } from '../../src/cli/comparison.ts'
import { encryptedBackend } from '../../src/cli/verification/encrypted.ts'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import { referenceForward } from '../../src/models/index.ts'
import { deviation, item, maxAbsDifference } from '../models/support/golden.ts'
import { skipTrained, trainedGolden, trainedNetwork } from '../support/trained-networks.ts'
import { factorWithin, stretched } from './stretched.ts'

const IMAGES = 2
/** Limit on the largest error of a logit, relative to the standard deviation of the image's logits. */
const MAX_ERROR = 0.02
const MINUTES = 60_000

const skip = skipTrained('t224')
// One inference takes over a minute on an idle machine, and some minutes where the server restores levels.
// Planning takes about as long.
if (!skip) t.setTimeout(80 * MINUTES)

/** The network, its reference, its circuit by the given choices, and a client and an engine for it. */
async function t224(t: Test, choices: Pick<CompileOptions, 'refresh' | 'rings' | 'precisionBits'>) {
  const network = await trainedNetwork('t224')
  const golden = await trainedGolden('t224')
  const { preprocessing } = network.config
  const { circuit } = compile(network, { model: 't224', preprocessing, ...choices })
  const backend = await encryptedBackend(circuit, 'simd')
  t.teardown(() => backend.close())
  return { network, golden, circuit, backend }
}

t.test(
  'CPolyNeXt-T classifies images of 224 x 224 under encryption',
  { skip, timeout: 40 * MINUTES },
  async (t) => {
    const { network, golden, circuit, backend } = await t224(t as Test, {
      refresh: 'client',
      rings: [8192],
      precisionBits: 7,
    })
    const image = (k: number) => item(golden.get('input')!, k).data
    const classify = async (tensor: ArrayLike<number>, factor: number): Promise<Float64Array> =>
      (await backend.run([stretched(tensor, factor, circuit.input).sent], () => {})).logits[0]

    for (let k = 0; k < IMAGES; k++) {
      const expected = item(golden.get('logits')!, k).data
      const logits = await classify(image(k), 1)
      const error = maxAbsDifference(logits, expected) / deviation(expected)
      t.ok(error < MAX_ERROR, `image ${k}: largest error ${error} deviations`)
      t.equal(argmax(logits), argmax(expected), `image ${k}: the label is correct`)
    }

    await t.rejects(classify(image(0), 10), {
      code: 'TENSOR_OUT_OF_RANGE',
      message: /of the preprocessed image is/,
    })
    const factor = factorWithin(image(0), circuit.input.bound)
    const clear = referenceForward(network, stretched(image(0), factor, circuit.input).whole)
    t.notOk(
      clear.every((x) => Math.abs(x) < circuit.output.bound),
      'the network diverges in the clear',
    )
    await t.rejects(classify(image(0), factor), {
      code: 'TENSOR_OUT_OF_RANGE',
      message: /no honest result/,
    })
  },
)

t.test(
  'CPolyNeXt-T classifies an image of 224 x 224 with one query and one answer',
  { skip, timeout: 40 * MINUTES },
  async (t) => {
    const { golden, circuit, backend } = await t224(t as Test, {
      refresh: 'server',
      rings: [65536],
      precisionBits: 8,
    })
    t.equal(circuit.refresh, undefined)
    const { sent } = stretched(item(golden.get('input')!, 0).data, 1, circuit.input)
    const [logits] = (await backend.run([sent], () => {})).logits
    const expected = item(golden.get('logits')!, 0).data
    const error = maxAbsDifference(logits, expected) / deviation(expected)
    t.ok(error < MAX_ERROR, `largest error ${error} deviations`)
    t.equal(argmax(logits), argmax(expected), 'the label is correct')
  },
)
