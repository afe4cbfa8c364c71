import { readFileSync } from 'node:fs'
import t from 'tap'
import { bundledImages } from '../../../scripts/building/bundled-images.ts'
import {
  agreementWarnings,
  type CalibrationInput,
  imageWarnings,
} from '../../../src/compiler/analysis/calibration.ts'
import { measureRanges } from '../../../src/compiler/analysis/ranges.ts'
import { networkGraph } from '../../../src/compiler/graph/build.ts'
import { compile } from '../../../src/compiler/index.ts'
import { bundledNetworks, loadNetwork, type Network, readCheckpoint } from '../../../src/models/index.ts'
import { decodeImage } from '../../../src/preprocessing/decode-node.ts'
import { networkInput, type Preprocessing, preprocess } from '../../../src/preprocessing/index.ts'
import { numbers } from '../../models/support/checkpoint.ts'
import { goldenNetwork, goldenTensors, item } from '../../models/support/golden.ts'
import {
  missingTrained,
  skipTrained,
  TRAINED,
  trainedGolden,
  trainedNetwork,
} from '../../support/trained-networks.ts'

const BOUND = 6

/** The images in [0, 1], before normalisation. */
const raw = (images: readonly Float64Array[], { mean, std }: Preprocessing): Float64Array[] =>
  images.map((image) =>
    image.map((value, i) => {
      const c = mean.length === 1 ? 0 : Math.floor((i * 3) / image.length)
      return Math.max(0, Math.min(1, value * std[c] + mean[c]))
    }),
  )

function noiseLike(images: readonly Float64Array[]): Float64Array[] {
  const next = numbers(7)
  // Sums of twelve uniform numbers are nearly normal.
  const normal = (): number => Array.from({ length: 12 }, () => next() / 2).reduce((a, b) => a + b)
  return images.map((image) => image.map(normal))
}

function warnings(network: Network, images: readonly Float64Array[]): string[] {
  const { preprocessing } = network.config
  const input: CalibrationInput = {
    preprocessing,
    height: network.height,
    width: network.width,
    bound: BOUND,
  }
  const found = imageWarnings(images, input)
  return [...found, ...agreementWarnings(measureRanges(networkGraph(network), images).agreements)]
}

for (const bundled of bundledNetworks()) {
  t.test(`${bundled.name}: its own images, and wrongly prepared ones`, async (t) => {
    const network = loadNetwork(await readCheckpoint(bundled.checkpoint), bundled.config)
    const { preprocessing } = bundled.config
    const images = await bundledImages(bundled)
    t.strictSame(warnings(network, images), [], 'real images give no warning')
    for (const [k, image] of images.entries())
      t.strictSame(warnings(network, [image]), [], `image ${k} gives no warning either`)

    const unit = raw(images, preprocessing)
    t.match(warnings(network, unit), [
      /lie in \[0, 1\], so they look as if they were never normalised; .*pixel \/ 255/,
    ])
    const bytes = unit.map((image) => image.map((value) => 255 * value))
    t.throws(() => warnings(network, bytes), {
      code: 'CONFIG_INVALID',
      message: /from 0 to 2\d\d: they look as if they were never normalised/,
    })
    t.match(warnings(network, noiseLike(images)).join('\n'), /beyond what normalised.*white noise/s)
    const other = unit.map((image) => image.map((value) => (value - 0.45) / 0.226))
    t.match(warnings(network, other).join('\n'), /poly-BN|beyond what normalised|mean/)
    const holes = images.map((image) => image.map((value, i) => (i === 5 ? Number.NaN : value)))
    t.throws(() => warnings(network, holes), { code: 'CONFIG_INVALID', message: /no numbers/ })
    const coloured = images.map((image) => image.map((value, i) => (i < image.length / 3 ? value : 0)))
    t.match(warnings(network, coloured).join('\n'), /channels differ/)
  })
}

t.test('compile returns the warnings, and refuses images before it plans', async (t) => {
  const [digits] = bundledNetworks()
  const network = loadNetwork(await readCheckpoint(digits.checkpoint), digits.config)
  const { preprocessing } = digits.config
  const images = await bundledImages(digits)
  const options = { model: 'digits', preprocessing }
  t.strictSame(compile(network, { ...options, calibration: images }).warnings, [])
  const unit = raw(images, preprocessing)
  t.match(compile(network, { ...options, calibration: unit }).warnings, [/lie in \[0, 1\]/])
  const bytes = unit.map((image) => image.map((value) => 255 * value))
  // Without the check, compile would fail with LEVEL_EXHAUSTED.
  t.throws(() => compile(network, { ...options, calibration: bytes }), {
    code: 'CONFIG_INVALID',
    message: /never normalised/,
  })
  t.throws(
    () => compile(network, { ...options, preprocessing: null, calibration: bytes }),
    { code: 'CONFIG_INVALID', message: /never normalised/ },
    'the check also works without preprocessing',
  )
  const { warnings } = compile(network, { ...options, preprocessing: null, calibration: unit })
  t.match(warnings, [/poly-BN tensors are 0\.\d+ times/], 'then the error comes from the network')
})

t.test('noise gives a warning, and agrees with the statistics of networks of random weights', async (t) => {
  for (const name of ['one_shot', 'micro_t', 'micro_s', 'micro_lr']) {
    const network = await goldenNetwork(name)
    const input = (await goldenTensors(name)).get('input')!
    const images = [0, 1].map((k) => Float64Array.from(item(input, k).data))
    t.match(
      warnings(network, images),
      [/white noise: neighbouring pixels have a correlation of -?0\.0/],
      name,
    )
    t.equal(warnings(network, images).length, 1, name)
  }
})

t.test('the error names images on which the network diverges', async (t) => {
  t.throws(() => agreementWarnings([1, 0.8, 700, Number.NaN]), {
    code: 'CONFIG_INVALID',
    message: /diverges on 2 of 4 calibration images, the first being number 2/,
    facts: { images: [2, 3] },
  })
  t.strictSame(agreementWarnings([0.9, 1.2]), [])
  t.match(agreementWarnings([0.2, 0.3]), [/0\.245 times/])
  t.match(agreementWarnings([5, 5]), [/5 times/])
})

const TRAINED_NETWORKS = ['digits_two', 'clothing_six', 'clothing_lr']
for (const name of TRAINED_NETWORKS) {
  t.test(`${name}: real images give no warning`, { skip: missingTrained(name) ?? false }, async (t) => {
    const network = await trainedNetwork(name)
    const input = (await trainedGolden(name)).get('input')!
    const images = Array.from({ length: input.shape[0] }, (_, k) => Float64Array.from(item(input, k).data))
    t.strictSame(warnings(network, images), [])
    for (const image of images) t.strictSame(warnings(network, [image]), [])
    t.ok(warnings(network, raw(images, network.config.preprocessing!)).length > 0)
  })
}

const skip = skipTrained('t224')
t.test('t224: real images give no warning', { skip, timeout: 600_000 }, async (t) => {
  const network = await trainedNetwork('t224')
  const names = ['bag-0', 'coat-1', 'sandal-2']
  const images = await Promise.all(
    names.map(async (name) => {
      const picture = await decodeImage(readFileSync(new URL(`images/clothing-${name}.png`, TRAINED)))
      return Float64Array.from(networkInput(preprocess(picture, network.config.preprocessing!)))
    }),
  )
  t.strictSame(warnings(network, images), [])
})
