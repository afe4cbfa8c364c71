import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { argmax } from '../../src/cli/comparison.ts'
import { DEFAULT_LIMITS, type PolyVeil, refreshBytes } from '../../src/client/index.ts'
import { modelSizes } from '../../src/client/local/limits.ts'
import { type BundledNetwork, loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../../src/preprocessing/index.ts'
import { keySetBytes } from '../../src/wire/index.ts'

/** The result for one image in the demo's JSON. */
export interface Classified {
  readonly model: string
  readonly file: string
  readonly truth: string
  /** Label by the server, from the encrypted image. */
  readonly predicted: string
  /** Label by the float reference, from the image. */
  readonly clearPredicted: string
  /** Largest difference between their logits. */
  readonly maxAbsError: number
  readonly seconds: number
  readonly uploadBytes: number
  readonly downloadBytes: number
  readonly rounds: number
}

export interface ModelKeys {
  /** Size of the key set of the model. */
  readonly bytes: number
  /** Bytes that were uploaded; 0 if the key set of an earlier model fits. */
  readonly uploadedBytes: number
  readonly seconds: number
}

/** Makes and uploads keys for a model, unless the server has a key set that fits. */
export async function provideKeys(polyveil: PolyVeil, model: string): Promise<ModelKeys> {
  const { parameters, galoisElements } = await polyveil.manifest(model)
  const ascending = [...galoisElements].sort((a, b) => a - b)
  const start = performance.now()
  let uploadedBytes = 0
  await polyveil.keys(model, {
    onProgress({ bytesDone }) {
      uploadedBytes = bytesDone
    },
  })
  return {
    bytes: keySetBytes(checkParameters(parameters), ascending),
    uploadedBytes,
    seconds: secondsSince(start),
  }
}

/**
 * Encrypts each image, has the server classify it, decrypts the answer, and classifies the image in the clear
 * for comparison.
 */
export async function* classifyAll(
  polyveil: PolyVeil,
  { name, config, checkpoint, images }: BundledNetwork,
  count: number,
): AsyncGenerator<Classified> {
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const manifest = await polyveil.manifest(name)
  const sizes = modelSizes(manifest, checkParameters(manifest.parameters), DEFAULT_LIMITS)
  const refresh = refreshBytes(sizes)
  const labels = config.labels ?? []
  for (const { file, truth } of images.slice(0, count)) {
    const image = preprocess(await decodeImage(await readFile(file)), config.preprocessing)
    const start = performance.now()
    const query = await polyveil.encrypt(name, image)
    const answer = await polyveil.infer(name, query)
    // The logits are not rounded, so that they can be compared with those in the clear.
    const logits = await polyveil.decrypt(name, answer, { fullPrecision: true })
    const seconds = secondsSince(start)
    const clear = referenceForward(network, networkInput(image))
    yield {
      model: name,
      file: basename(fileURLToPath(file)),
      truth,
      predicted: labels[argmax(logits)],
      clearPredicted: labels[argmax(clear)],
      maxAbsError: Math.max(...clear.map((value, k) => Math.abs(value - logits[k]))),
      seconds,
      uploadBytes: query.length + refresh.up,
      downloadBytes: answer.length + refresh.down,
      rounds: manifest.rounds,
    }
  }
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000
