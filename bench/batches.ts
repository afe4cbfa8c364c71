import { readFile } from 'node:fs/promises'
import { argmax } from '../src/cli/comparison.ts'
import { encryptedBackend } from '../src/cli/verification/encrypted.ts'
import { compile, type PlanReport } from '../src/compiler/index.ts'
import {
  bundledNetworks,
  loadNetwork,
  type Network,
  readCheckpoint,
  referenceForward,
} from '../src/models/index.ts'
import { decodeImage } from '../src/preprocessing/decode-node.ts'
import { networkInput, type PreprocessedImage, preprocess } from '../src/preprocessing/index.ts'
import { type Benchmark, check, figure, median } from './harness.ts'

const NETWORK = 'digits'
const BATCHES = [1, 2, 4, 8]
/** Inferences of each batch, beside one that is not counted. */
const RUNS = 3
/** Largest error of a logit that the bundled networks are held to. */
const MAX_ERROR = 1e-2

/**
 * One bundled network compiled for 1, 2, 4 and 8 images in the same ciphertexts, on the simd engine in one process, with the
 * frames between client and server that would travel. Each image is checked against the clear float reference.
 */
export const batches: Benchmark = {
  name: 'batches',
  what: 'images a second of circuits for several images at once, against one at a time',
  async run(say) {
    const { checkpoint, config, images: files } = bundledNetworks().find(({ name }) => name === NETWORK)!
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    const images: PreprocessedImage[] = []
    for (const { file } of files) {
      images.push(preprocess(await decodeImage(await readFile(file)), config.preprocessing))
    }
    const rows: Measured[] = []
    for (const batch of BATCHES) {
      rows.push(await measure(network, images, batch))
      say(`${batch} at once: ${rows.at(-1)!.secondsPerImage.execute} s of the server for each image`)
    }
    return { network: NETWORK, batches: rows.map((row) => ({ ...row, ratio: ratios(row, rows[0]) })) }
  },
}

interface Measured {
  readonly batch: number
  readonly secondsPerImage: Readonly<Record<Stage, number>>
  readonly inferenceSeconds: number
  readonly imagesPerSecond: number
  readonly [figures: string]: unknown
}

type Stage = 'encrypt' | 'execute' | 'decrypt'

async function measure(
  network: Network,
  images: readonly PreprocessedImage[],
  batch: number,
): Promise<Measured> {
  const { preprocessing } = network.config
  const { circuit, plan } = compile(network, { model: NETWORK, preprocessing, batch })
  const backend = await encryptedBackend(circuit, 'simd')
  const runs: Record<Stage, number>[] = []
  let largestError = 0
  for (let run = 0; run <= RUNS; run++) {
    const chosen = Array.from({ length: batch }, (_, place) => images[(run + place) % images.length])
    const { logits, seconds } = await backend.run(chosen, () => {})
    for (const [place, image] of chosen.entries()) {
      largestError = Math.max(largestError, errorOf(network, image, logits[place]))
    }
    runs.push(seconds)
  }
  await backend.close()
  const middle = (stage: Stage): number => median(runs.slice(1).map((seconds) => seconds[stage]))
  const whole = middle('encrypt') + middle('execute') + middle('decrypt')
  return {
    batch,
    secondsPerImage: {
      encrypt: figure(middle('encrypt') / batch),
      execute: figure(middle('execute') / batch),
      decrypt: figure(middle('decrypt') / batch),
    },
    inferenceSeconds: figure(whole),
    imagesPerSecond: figure(batch / whole),
    maxAbsError: figure(largestError),
    bytes: backend.bytes,
    engineMemoryBytes: backend.engineMemory,
    ...counts(plan),
  }
}

/** @throws when the logits are not those of the float reference */
function errorOf(network: Network, image: PreprocessedImage, logits: Float64Array): number {
  const clear = referenceForward(network, networkInput(image))
  const error = clear.reduce((most, value, k) => Math.max(most, Math.abs(value - logits[k])), 0)
  check(error < MAX_ERROR, `logits within ${MAX_ERROR} of the reference (${error})`)
  check(argmax(logits) === argmax(clear), 'the encrypted answer is the clear one')
  return error
}

const counts = ({ ring, rotations, galoisKeys, ops, secondsPerImage }: PlanReport) => ({
  ring,
  rotations,
  galoisKeys,
  inputs: ops.input,
  estimatedSecondsPerImage: figure(secondsPerImage),
})

/** Against one image at a time, in the same run. */
const ratios = (row: Measured, one: Measured) => ({
  imagesPerSecond: figure(row.imagesPerSecond / one.imagesPerSecond),
  latency: figure(row.inferenceSeconds / one.inferenceSeconds),
})
