import { readFile } from 'node:fs/promises'
import { bundledImages } from '../scripts/building/bundled-images.ts'
import { argmax } from '../src/cli/comparison.ts'
import { encryptedBackend } from '../src/cli/verification/encrypted.ts'
import { compile } from '../src/compiler/index.ts'
import { peakResidentBytes } from '../src/he-ops/peak-memory.ts'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../src/models/index.ts'
import { decodeImage } from '../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../src/preprocessing/index.ts'
import type { EngineName } from '../src/schedule/engine-name.ts'
import { type Benchmark, check, figure, median } from './harness.ts'

/** Limit on the largest error of a logit of the bundled networks. */
const MAX_ERROR = 1e-2

/** Images of each network on node-seal, which takes some seconds for each. */
const SEAL_IMAGES = 2

/**
 * All bundled images of both bundled networks on the simd engine, and some on node-seal with circuits planned
 * for it, in one process. The frames between client and server are encoded as for transfer. Results are
 * compared with the clear float reference.
 */
export const oneShot: Benchmark = {
  name: 'one-shot',
  what: 'the bundled networks on the simd engine and on node-seal, seconds and bytes of each stage',
  async run(say) {
    const networks = []
    for (const network of bundledNetworks()) {
      const simd = await measure(network, 'simd', network.images.length, say)
      const peakRssBytes = peakResidentBytes()
      const seal = await measure(network, 'seal', SEAL_IMAGES, say)
      const ratio = {
        execute: figure(seal.seconds.execute / simd.seconds.execute),
        keyBytes: figure(simd.bytes.keys / seal.bytes.keys),
      }
      networks.push({ name: network.name, simd: { ...simd, peakRssBytes }, seal, ratio })
      say(`${network.name}: executed ${ratio.execute} times as fast, with ${ratio.keyBytes} of the key bytes`)
    }
    return { networks }
  },
}

type Bundled = ReturnType<typeof bundledNetworks>[number]

async function measure(bundled: Bundled, target: EngineName, count: number, say: (line: string) => void) {
  const { name, checkpoint, config, images } = bundled
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const calibration = await bundledImages(bundled)
  const start = performance.now()
  const { circuit, plan } = compile(network, {
    model: name,
    ...config,
    calibration,
    target,
    refresh: 'never',
  })
  const compileSeconds = (performance.now() - start) / 1000
  const backend = await encryptedBackend(circuit, target)
  const rows: { encrypt: number; execute: number; decrypt: number; error: number }[] = []
  let correct = 0
  for (const { file, truth } of images.slice(0, count)) {
    const image = preprocess(await decodeImage(await readFile(file)), config.preprocessing)
    const {
      logits: [logits],
      seconds,
    } = await backend.run([image], () => {})
    const clear = referenceForward(network, networkInput(image))
    const error = clear.reduce((most, value, k) => Math.max(most, Math.abs(value - logits[k])), 0)
    check(error < MAX_ERROR, `${name}: logits within ${MAX_ERROR} of the reference (${error})`)
    check(argmax(logits) === argmax(clear), `${name}: the encrypted answer is the clear one`)
    if (config.labels?.[argmax(logits)] === truth) correct++
    rows.push({ ...seconds, error })
    say(`${name} on ${target}: ${seconds.execute.toFixed(2)} s, error ${error.toExponential(1)}`)
  }
  await backend.close()
  const middle = (key: 'encrypt' | 'execute' | 'decrypt') => figure(median(rows.map((row) => row[key])))
  return {
    images: rows.length,
    correct,
    maxAbsError: figure(Math.max(...rows.map((row) => row.error))),
    seconds: {
      compile: figure(compileSeconds),
      keygen: figure(backend.keygenSeconds),
      load: figure(backend.loadSeconds),
      encrypt: middle('encrypt'),
      execute: middle('execute'),
      decrypt: middle('decrypt'),
    },
    bytes: backend.bytes,
    engineMemoryBytes: backend.engineMemory,
    ring: plan.ring,
    primeBits: plan.primeBits,
    rotations: plan.rotations,
    galoisKeys: plan.galoisKeys,
    estimate: {
      seconds: figure(plan.seconds),
      precisionBits: figure(plan.precisionBits),
      memoryBytes: plan.memoryBytes,
    },
    layers: plan.layers.map(({ name: layer, level, rotations, terms, products }) => ({
      layer,
      level,
      rotations,
      terms,
      products,
    })),
  }
}
