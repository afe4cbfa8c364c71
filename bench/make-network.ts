import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { loadNetwork } from '../src/models/index.ts'
import { networkInput } from '../src/preprocessing/index.ts'
import { safetensors } from '../test/cli/safetensors.ts'
import { configJson } from './parts/config-file.ts'
import { madeConfig } from './parts/random-network/config.ts'
import { makeNetwork } from './parts/random-network/make.ts'
import { peaksOf } from './parts/random-network/peaks.ts'
import { clothingFiles, spread, testImage } from './parts/test-images.ts'

// Writes a network of a published architecture with random weights and realistic statistics:
// NAME.safetensors, NAME.json, and NAME.golden.safetensors with images that were not used for the statistics.

const USAGE =
  'node bench/make-network.ts ARCHITECTURE OUT.safetensors [--channels C] [--classes K] [--input N] [--images n] [--held-out n] [--seed n]'

/** Logits must stay below this bound, so that circuits accept them as honest. */
const LARGEST_LOGIT = 100

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    channels: { type: 'string' },
    classes: { type: 'string', default: '10' },
    input: { type: 'string' },
    images: { type: 'string', default: '10' },
    'held-out': { type: 'string', default: '4' },
    seed: { type: 'string', default: '1' },
  },
})
const [name, out] = positionals
if (positionals.length !== 2 || !out.endsWith('.safetensors')) throw new Error(USAGE)

const say = (line: string): void => console.error(line)
const config = madeConfig(name, {
  classes: Number(values.classes),
  inputSize: values.input === undefined ? undefined : Number(values.input),
  channels: values.channels === undefined ? undefined : Number(values.channels),
})
const files = await clothingFiles()
const load = async (file: string): Promise<Float64Array> =>
  Float64Array.from(networkInput(await testImage(file, config.preprocessing)))
const batch = await Promise.all(spread(files, Number(values.images)).map(load))
const start = performance.now()
const checkpoint = await makeNetwork(config, batch, Number(values.seed))
say(`${name}: statistics of ${batch.length} images in ${((performance.now() - start) / 1000).toFixed(0)} s`)

const network = loadNetwork(checkpoint, config)
// Held-out images are the neighbours of the batch's images in the list of files, so none is in the batch.
const heldOut = await Promise.all(spread(files, Number(values['held-out']), 1).map(load))
const logits: Float64Array[] = []
for (const image of heldOut) {
  const peaks = peaksOf(network, image)
  say(peaks.text)
  // The network must not diverge on held-out images, because logits of a diverging network do not show
  // whether a result is correct.
  if (!(peaks.largestLogit < LARGEST_LOGIT)) {
    throw new Error(
      'An image diverges in this network; statistics of more --images, or another --seed, may help',
    )
  }
  logits.push(peaks.logits)
}
const stem = out.slice(0, -'.safetensors'.length)
await mkdir(dirname(out), { recursive: true })
await writeFile(out, safetensors(Object.fromEntries(checkpoint)))
await writeFile(`${stem}.json`, `${JSON.stringify(configJson(config), null, 1)}\n`)
await writeFile(
  `${stem}.golden.safetensors`,
  safetensors({
    input: stacked(heldOut, [3, network.height, network.width]),
    logits: stacked(logits, [config.classes]),
  }),
)
say(`written: ${stem}.safetensors, .json and .golden.safetensors`)

function stacked(rows: readonly Float64Array[], shape: readonly number[]) {
  return { shape: [rows.length, ...shape], data: Float32Array.from(rows.flatMap((row) => Array.from(row))) }
}
