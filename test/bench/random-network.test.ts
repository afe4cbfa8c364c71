import { readFile } from 'node:fs/promises'
import t from 'tap'
import { configJson } from '../../bench/parts/config-file.ts'
import { makeNetwork } from '../../bench/parts/random-network/make.ts'
import { normsByInput } from '../../bench/parts/random-network/norms.ts'
import { resizedTo } from '../../bench/parts/test-images.ts'
import {
  ARCHITECTURES,
  architecture,
  bundledNetworks,
  cpolynextConfig,
  dttnConfig,
  loadNetwork,
  monetConfig,
  type NetworkConfig,
  parseConfig,
  parseSafetensors,
  referenceForward,
} from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../../src/preprocessing/index.ts'
import { safetensors } from '../cli/safetensors.ts'
import { deviation, maxAbsDifference } from '../models/support/golden.ts'

const clothing = bundledNetworks().find(({ name }) => name === 'clothing')!

/** Bundled clothing images in a network's input size. */
async function images(config: NetworkConfig, count: number, first = 0): Promise<Float64Array[]> {
  const preprocessing = resizedTo(clothing.config.preprocessing, config)
  const files = clothing.images.slice(first, first + count)
  return Promise.all(
    files.map(async ({ file }) =>
      Float64Array.from(networkInput(preprocess(await decodeImage(await readFile(file)), preprocessing))),
    ),
  )
}

/** The published S with fewer channels and a smaller input. It has dense reductions. */
const small = cpolynextConfig({
  ...architecture('cpolynext-s', { classes: 10, inputSize: 64 }),
  initChannels: 8,
})

t.test(
  'a made network loads in the released layout, and its values stay in bounds for other images',
  async (t) => {
    const checkpoint = await makeNetwork(small, await images(small, 8))
    const read = parseSafetensors(safetensors(Object.fromEntries(checkpoint)))
    const network = loadNetwork(read, small)
    for (const image of await images(small, 2, 8)) {
      const logits = referenceForward(network, image)
      t.ok(logits.every(Number.isFinite))
      t.ok(deviation(logits) > 0.5 && deviation(logits) < 20, `deviation ${deviation(logits)}`)
    }
  },
)

/** Small networks of the other families; MONet's norms belong to positions, DTTN's to channels. */
const OTHERS: Readonly<Record<string, NetworkConfig>> = {
  monet: monetConfig({
    layers: [2, 2],
    dims: [16, 24],
    expansion: 3,
    norm: 'position',
    normBias: true,
    classes: 10,
    inputSize: { height: 64, width: 64 },
  }),
  dttn: dttnConfig({
    layers: [2, 3],
    dims: [12, 20],
    scale: 3,
    transitions: [false, true],
    form: 'branches',
    classes: 10,
    inputSize: { height: 64, width: 64 },
  }),
}

for (const [name, config] of Object.entries(OTHERS)) {
  t.test(`a made network of ${name} has the statistics of its norms, and stays in bounds`, async (t) => {
    const checkpoint = await makeNetwork(config, await images(config, 4))
    const network = loadNetwork(parseSafetensors(safetensors(Object.fromEntries(checkpoint))), config)
    const norms = normsByInput(network)
    t.ok(norms.size >= 12, `${norms.size} norms`)
    for (const [input, { variance }] of norms)
      t.ok(
        variance.some((value) => value !== 1),
        input,
      )
    for (const image of await images(config, 2, 8)) {
      const size = deviation(referenceForward(network, image))
      t.ok(size > 0.5 && size < 20, `deviation ${size}`)
    }
  })
}

t.test('the statistics of every norm are those of its input in the batch', async (t) => {
  const config = cpolynextConfig({ ...ARCHITECTURES.lowres, initChannels: 8 })
  const batch = await images(config, 3)
  const network = loadNetwork(await makeNetwork(config, batch), config)
  const norms = normsByInput(network)
  const means = new Map([...norms].map(([name, { mean }]) => [name, new Float64Array(mean.length)]))
  for (const image of batch) {
    referenceForward(network, image, (name, { data }) => {
      const [norm, mean] = [norms.get(name), means.get(name)]
      if (norm === undefined || mean === undefined) return
      data.forEach((x, i) => {
        mean[i % mean.length] += x / (norm.channels * batch.length)
      })
    })
  }
  t.equal(norms.size, 8 * (1 + 2 * 3) + 1)
  for (const [name, { mean, variance }] of norms) {
    t.ok(maxAbsDifference(means.get(name)!, mean) < 1e-3 * Math.sqrt(Math.max(...variance)), name)
  }
})

t.test('a config is read back from its file', async (t) => {
  for (const config of [...Object.values(ARCHITECTURES), small, clothing.config]) {
    // JSON removes the difference between absent and undefined labels.
    const plain = (value: NetworkConfig): unknown => JSON.parse(JSON.stringify(value))
    t.strictSame(plain(parseConfig(JSON.stringify(configJson(config)))), plain(config))
  }
})
