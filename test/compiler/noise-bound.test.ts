import t from 'tap'
import { clothingFiles, spread, testImage } from '../../bench/parts/test-images.ts'
import { bundledImages } from '../../scripts/building/bundled-images.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { rootMeanSquare } from '../../src/compiler/graph/statistics.ts'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { networkInput } from '../../src/preprocessing/index.ts'
import { goldenTensors, item } from '../models/support/golden.ts'
import { casesOf } from '../support/thorough.ts'
import { skipTrained, trainedNetwork } from '../support/trained-networks.ts'
import { clearLogits, golden, maxDifference } from './harness.ts'

// Compares the error that a plan states with the error of the clear backend, which adds every error of
// encryption and encoding where it arises. Plans of networks with random weights are made from the four
// images of the comparison, because the error of one image of white noise can be eight times that of another.
// Plans of trained networks are compared on real images that the plans were not made from.

/**
 * Planned deviation of a logit's error, without the flooding noise that the service adds to its answers.
 */
const statedNoise = ({ estimate, output }: Circuit): number =>
  Math.sqrt(estimate.logitError ** 2 - output.flooding ** 2)

/** The few logits of one image scatter about the deviation that is stated. */
const SCATTER = 1.1
/** Number of images for golden networks. */
const TRAINED_IMAGES = 8
/** Number of images for t224, which takes half a minute for each. */
const DEEP_IMAGES = { calibration: 2, unseen: 4 }
const MINUTES = 60_000

async function stated(name: string, options: Partial<CompileOptions>) {
  const { network, images, logits } = await golden(name)
  const { preprocessing } = network.config
  const calibration = images
  const { circuit } = compile(network, { model: name, preprocessing, calibration, ...options })
  const errors = images.map((image, i) =>
    rootMeanSquare(clearLogits(circuit, image, 'model').map((x, k) => x - logits[i][k])),
  )
  return { errors, noise: statedNoise(circuit), circuit, logits }
}

for (const [name, refresh] of [
  ['one_shot', 'never'],
  ['one_shot', 'client'],
  ['micro_lr', 'client'],
  ['micro_t', 'client'],
  ['micro_s', 'client'],
] as const) {
  // One of the four images has much larger logits than the others, so no plan of micro_lr keeps 10 bits of
  // the usual logits.
  const most = name === 'micro_lr' ? 9 : 10
  for (const precisionBits of casesOf([7, most], [most])) {
    t.test(`${name}, refreshes ${refresh}, ${precisionBits} bits`, async (t) => {
      const { errors, noise, circuit, logits } = await stated(name, { refresh, precisionBits })
      errors.forEach((error, i) => {
        t.ok(error <= SCATTER * noise, `image ${i}: ${error}, and ${noise} stated`)
      })
      t.ok(Math.max(...errors) > noise / 16, 'the bound is not too large')
      t.ok(circuit.estimate.precisionBits >= precisionBits)
      const { precisionBits: rehearsed } = circuit.layers.at(-1)!
      const bits = Math.log2(rootMeanSquare(logits[0]) / errors[0])
      t.ok(
        Math.abs(rehearsed - bits) < 2,
        `the logits of the first have ${bits} bits, ${rehearsed} rehearsed`,
      )
    })
  }
}

for (const bundled of bundledNetworks()) {
  t.test(`${bundled.name}: the plan holds on test images that it was not made from`, async (t) => {
    const { preprocessing } = bundled.config
    const network = loadNetwork(await readCheckpoint(bundled.checkpoint), bundled.config)
    const calibration = await bundledImages(bundled)
    const { circuit } = compile(network, {
      model: bundled.name,
      preprocessing,
      calibration,
      refresh: 'never',
    })
    const tensors = await goldenTensors(`${bundled.name}_one`)
    const [channels, height, width] = circuit.input.image
    for (let k = 0; k < TRAINED_IMAGES; k++) {
      const image = Float64Array.from(item(tensors.get('input')!, k).data)
      t.notOk(
        calibration.some((other) => maxDifference(image, other) < 1e-3),
        'the plan was not made from this image',
      )
      const logits = clearLogits(circuit, image.subarray(0, channels * height * width), 'model')
      const expected = item(tensors.get('logits')!, k).data
      const error = rootMeanSquare(logits.map((x, i) => x - expected[i]))
      const noise = statedNoise(circuit)
      t.ok(error <= noise, `image ${k}: ${error}, and ${noise} stated`)
    }
  })
}

const skip = skipTrained('t224')
if (!skip) t.setTimeout(20 * MINUTES)

t.test(
  't224: the plan holds on photographs that it was not made from',
  { skip, timeout: 20 * MINUTES },
  async (t) => {
    const network = await trainedNetwork('t224')
    const { preprocessing } = network.config
    const all = spread(await clothingFiles(), DEEP_IMAGES.calibration + DEEP_IMAGES.unseen)
    const images: Float64Array[] = []
    for (const file of all) images.push(Float64Array.from(networkInput(await testImage(file, preprocessing))))
    const calibration = images.splice(0, DEEP_IMAGES.calibration)
    const { circuit } = compile(network, { model: 't224', preprocessing, calibration, precisionBits: 8 })
    const [channels, height, width] = circuit.input.image
    const noise = statedNoise(circuit)
    images.forEach((image, k) => {
      const expected = referenceForward(network, image)
      const logits = clearLogits(circuit, image.subarray(0, channels * height * width), 'model')
      const errors = logits.map((x, i) => x - expected[i])
      t.ok(rootMeanSquare(errors) <= noise, `image ${k}: ${rootMeanSquare(errors)}, and ${noise} stated`)
    })
  },
)

t.test('a precision out of reach is refused with the best precision', async (t) => {
  const { network, images } = await golden('micro_lr')
  const { preprocessing } = network.config
  const compiled = (precisionBits: number) =>
    compile(network, {
      model: 'x',
      preprocessing,
      calibration: images,
      refresh: 'client',
      rings: [8192],
      precisionBits,
    })
  t.throws(() => compiled(26), { code: 'DEPTH_EXCEEDED', message: /bits of precision; the best keeps/ })
})
