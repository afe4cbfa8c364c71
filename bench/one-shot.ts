import { readFile } from 'node:fs/promises'
import { argmax } from '../src/cli/comparison.ts'
import { encryptedBackend } from '../src/cli/verification/encrypted.ts'
import { compile } from '../src/compiler/index.ts'
import { backendFor } from '../src/he-ops/execution/backend-for.ts'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../src/models/index.ts'
import { decodeImage } from '../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../src/preprocessing/index.ts'
import { type Benchmark, check, figure } from './harness.ts'

/** Largest error of a logit that the bundled networks are held to. */
const MAX_ERROR = 1e-2

/**
 * Every bundled image of both bundled networks under encryption with node-seal, in one process and on one core, with
 * the frames between client and server that would travel. Checked against the clear float reference.
 */
export const oneShot: Benchmark = {
  name: 'one-shot',
  what: 'the bundled networks on the seal backend, seconds and bytes of each stage',
  async run(say) {
    const networks = []
    for (const network of bundledNetworks()) networks.push(await measure(network, say))
    return { networks, peakRssBytes: process.resourceUsage().maxRSS * 1024 }
  },
}

type Bundled = ReturnType<typeof bundledNetworks>[number]

async function measure(
  { name, checkpoint, config, images }: Bundled,
  say: (line: string) => void,
): Promise<object> {
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const start = performance.now()
  const { circuit, plan } = compile(network, { model: name, ...config })
  const compileSeconds = (performance.now() - start) / 1000
  const backend = await encryptedBackend(circuit, backendFor(circuit.parameters))
  const rows: { encrypt: number; execute: number; decrypt: number; error: number }[] = []
  let correct = 0
  for (const { file, truth } of images) {
    const image = preprocess(await decodeImage(await readFile(file)), config.preprocessing)
    const { logits, seconds } = await backend.run(image, () => {})
    const clear = referenceForward(network, networkInput(image))
    const error = clear.reduce((most, value, k) => Math.max(most, Math.abs(value - logits[k])), 0)
    check(error < MAX_ERROR, `${name}: logits within ${MAX_ERROR} of the reference (${error})`)
    check(argmax(logits) === argmax(clear), `${name}: the encrypted answer is the clear one`)
    if (config.labels?.[argmax(logits)] === truth) correct++
    rows.push({ ...seconds, error })
    say(`${name}: ${seconds.execute.toFixed(2)} s, error ${error.toExponential(1)}`)
  }
  await backend.close()
  const median = (key: 'encrypt' | 'execute' | 'decrypt') =>
    figure(rows.map((row) => row[key]).sort((a, b) => a - b)[Math.floor(rows.length / 2)])
  return {
    name,
    images: rows.length,
    correct,
    maxAbsError: figure(Math.max(...rows.map((row) => row.error))),
    seconds: {
      compile: figure(compileSeconds),
      keygen: figure(backend.keygenSeconds),
      encrypt: median('encrypt'),
      execute: median('execute'),
      decrypt: median('decrypt'),
    },
    bytes: backend.bytes,
    ring: plan.ring,
    primeBits: plan.primeBits,
    rotations: plan.rotations,
    galoisKeys: plan.galoisKeys,
    estimate: { seconds: figure(plan.seconds), precisionBits: figure(plan.precisionBits) },
    layers: plan.layers.map(({ name: layer, level, rotations, terms, products }) => ({
      layer,
      level,
      rotations,
      terms,
      products,
    })),
  }
}
