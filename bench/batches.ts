import { readFile } from 'node:fs/promises'
import { bundledImages } from '../scripts/building/bundled-images.ts'
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
/** Inferences of each batch, after one that is not counted. */
const RUNS = 3
/** Limit on the largest error of a logit of the bundled networks. */
const MAX_ERROR = 1e-2

/**
 * A bundled network compiled for batches of 1, 2, 4 and 8 images, on the simd engine in one process. The
 * frames between client and server are encoded as for transfer. Batches take turns, so that other load of the
 * machine affects all of them. Each image is compared with the clear float reference.
 */
export const batches: Benchmark = {
  name: 'batches',
  what: 'images a second of circuits for several images at once, against one at a time',
  async run(say) {
    const bundled = bundledNetworks().find(({ name }) => name === NETWORK)!
    const { checkpoint, config, images: files } = bundled
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    const images: PreprocessedImage[] = []
    for (const { file } of files) {
      images.push(preprocess(await decodeImage(await readFile(file)), config.preprocessing))
    }
    const contenders: Contender[] = []
    const calibration = await bundledImages(bundled)
    for (const batch of BATCHES) contenders.push(await contender(network, calibration, batch))
    for (let run = 0; run <= RUNS; run++) {
      for (const each of contenders) await runOnce(network, images, each, run)
    }
    for (const { backend } of contenders) await backend.close()
    const rows = contenders.map(figures)
    for (const { batch, secondsPerImage } of rows) {
      say(`${batch} at once: ${secondsPerImage.execute} s of the server for each image`)
    }
    return { network: NETWORK, batches: rows.map((row) => ({ ...row, ratio: ratios(row, rows[0]) })) }
  },
}

type Seconds = Readonly<Record<'encrypt' | 'execute' | 'decrypt', number>>

/** A circuit for a batch of images, with its measurements. */
interface Contender {
  readonly batch: number
  readonly plan: PlanReport
  readonly backend: Awaited<ReturnType<typeof encryptedBackend>>
  readonly runs: Seconds[]
  largestError: number
}

async function contender(
  network: Network,
  calibration: readonly Float64Array[],
  batch: number,
): Promise<Contender> {
  const { preprocessing } = network.config
  const { circuit, plan } = compile(network, {
    model: NETWORK,
    preprocessing,
    calibration,
    batch,
    refresh: 'never',
  })
  return { batch, plan, backend: await encryptedBackend(circuit, 'simd'), runs: [], largestError: 0 }
}

/** @param run number of the run; run 0 is not counted */
async function runOnce(
  network: Network,
  images: readonly PreprocessedImage[],
  contender: Contender,
  run: number,
): Promise<void> {
  const { batch, backend, runs } = contender
  const chosen = Array.from({ length: batch }, (_, place) => images[(run + place) % images.length])
  const { logits, seconds } = await backend.run(chosen, () => {})
  for (const [place, image] of chosen.entries()) {
    const error = errorOf(network, image, logits[place])
    contender.largestError = Math.max(contender.largestError, error)
  }
  if (run > 0) runs.push(seconds)
}

function figures({ batch, plan, backend, runs, largestError }: Contender) {
  const middle = (stage: keyof Seconds): number => median(runs.map((seconds) => seconds[stage]))
  const whole = middle('encrypt') + middle('execute') + middle('decrypt')
  const { ring, rotations, galoisKeys, ops, secondsPerImage } = plan
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
    ring,
    rotations,
    galoisKeys,
    inputs: ops.input,
    estimatedSecondsPerImage: figure(secondsPerImage),
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

type Figures = ReturnType<typeof figures>

/** Figures relative to one image at a time in the same run. */
const ratios = (row: Figures, one: Figures) => ({
  imagesPerSecond: figure(row.imagesPerSecond / one.imagesPerSecond),
  latency: figure(row.inferenceSeconds / one.inferenceSeconds),
})
