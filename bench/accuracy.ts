import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { bundledImages } from '../scripts/building/bundled-images.ts'
import { argmax } from '../src/cli/comparison.ts'
import { encryptedBackend } from '../src/cli/verification/encrypted.ts'
import { compile } from '../src/compiler/index.ts'
import {
  type BundledNetwork,
  bundledNetworks,
  loadNetwork,
  readCheckpoint,
  referenceForward,
} from '../src/models/index.ts'
import { decodeImage } from '../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../src/preprocessing/index.ts'
import { engineNameFor } from '../src/schedule/engine-name.ts'
import { type Benchmark, check, figure } from './harness.ts'

/** Limit on the largest error of a logit of the bundled networks. */
const MAX_ERROR = 1e-2

/**
 * Top-1 of the bundled networks on a folder of test images, in the clear and under encryption. The folder has
 * NAME.json for each network, a list of `file` and `truth`, and the files beside it. It is not in the
 * repository. Without it nothing is measured, and the result says so.
 */
export const accuracy: Benchmark = {
  name: 'accuracy',
  what: 'top-1 of the bundled networks on the images of a folder (--images DIR), clear and encrypted',
  async run(say, { images }) {
    const reason = await reasonToSkip(images)
    if (images === undefined || reason !== undefined) {
      say(`skipped: ${reason}`)
      return { skipped: reason }
    }
    const networks = []
    for (const network of bundledNetworks()) networks.push(await measure(network, images, say))
    return { networks }
  },
}

async function reasonToSkip(images: string | undefined): Promise<string | undefined> {
  if (images === undefined) return 'no folder of images is named; --images DIR names one'
  for (const { name } of bundledNetworks()) {
    const there = await access(join(images, `${name}.json`)).then(
      () => true,
      () => false,
    )
    if (!there) return `the folder of images has no ${name}.json`
  }
  return undefined
}

const listSchema = z.array(z.object({ file: z.string(), truth: z.string() })).min(1)

interface Answer {
  readonly file: string
  readonly truth: string
  readonly clear: string
  readonly encrypted: string
  readonly error: number
}

async function measure(
  bundled: BundledNetwork,
  folder: string,
  say: (line: string) => void,
): Promise<object> {
  const { name } = bundled
  const list = listSchema.parse(JSON.parse(await readFile(join(folder, `${name}.json`), 'utf8')))
  const answers: Answer[] = []
  for await (const answer of classifyAll(bundled, folder, list)) {
    answers.push(answer)
    const { file, clear, encrypted, error } = answer
    check(error < MAX_ERROR, `${file}: logits within ${MAX_ERROR} of the reference (${error})`)
    say(`${file}: ${encrypted}, in the clear ${clear}, error ${error.toExponential(1)}`)
  }
  const count = (holds: (answer: Answer) => boolean): number => answers.filter(holds).length
  return {
    name,
    images: answers.length,
    clearCorrect: count(({ clear, truth }) => clear === truth),
    encryptedCorrect: count(({ encrypted, truth }) => encrypted === truth),
    sameAnswer: count(({ encrypted, clear }) => encrypted === clear),
    maxAbsError: figure(Math.max(...answers.map(({ error }) => error))),
    misses: answers
      .filter(({ truth, clear, encrypted }) => truth !== encrypted || truth !== clear)
      .map(({ file, clear, encrypted }) => ({ file, clear, encrypted })),
  }
}

/** The label of the network for a list's `truth`, which may have spaces instead of hyphens. */
function labelOf(truth: string, labels: readonly string[]): string {
  const plain = (text: string): string => text.replaceAll('-', ' ')
  const label = labels.find((candidate) => plain(candidate) === plain(truth))
  check(label !== undefined, `"${truth}" is a label of the network`)
  return label!
}

/** Classifies every image by the float reference and under encryption, with one key set for all. */
async function* classifyAll(
  bundled: BundledNetwork,
  folder: string,
  list: z.infer<typeof listSchema>,
): AsyncGenerator<Answer> {
  const { name, checkpoint, config } = bundled
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const calibration = await bundledImages(bundled)
  const { circuit } = compile(network, { model: name, ...config, calibration, refresh: 'never' })
  const backend = await encryptedBackend(circuit, engineNameFor(circuit.parameters))
  const labels = config.labels ?? []
  try {
    for (const { file, truth } of list) {
      const image = preprocess(await decodeImage(await readFile(join(folder, file))), config.preprocessing)
      const {
        logits: [logits],
      } = await backend.run([image], () => {})
      const clear = referenceForward(network, networkInput(image))
      const error = clear.reduce((most, value, k) => Math.max(most, Math.abs(value - logits[k])), 0)
      yield {
        file,
        truth: labelOf(truth, labels),
        clear: labels[argmax(clear)],
        encrypted: labels[argmax(logits)],
        error,
      }
    }
  } finally {
    await backend.close()
  }
}
