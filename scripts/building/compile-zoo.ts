import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeCircuit } from '../../src/circuit/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { networkInput, type Preprocessing, preprocess } from '../../src/preprocessing/index.ts'
import type { Say } from './build.ts'
import { CIRCUITS } from './paths.ts'

/** An image as the network takes it. */
const imageOf = async (file: URL, preprocessing: Preprocessing): Promise<Float64Array> =>
  Float64Array.from(networkInput(preprocess(await decodeImage(await readFile(file)), preprocessing)))

/** Compiles each bundled network to dist/zoo/NAME.pvc, by what errors do to the images that come with it. */
export async function compileZoo(say: Say): Promise<void> {
  await mkdir(CIRCUITS, { recursive: true })
  for (const { name, checkpoint, config, images } of bundledNetworks()) {
    const network = loadNetwork(await readCheckpoint(checkpoint), config)
    const { labels, preprocessing } = config
    const calibration = await Promise.all(images.map(({ file }) => imageOf(file, preprocessing)))
    const { circuit, plan } = compile(network, { model: name, labels, preprocessing, calibration })
    await writeFile(join(CIRCUITS, `${name}.pvc`), writeCircuit(circuit))
    say(`build: ${name}: ring ${plan.ring}, ${plan.rotations} rotations, ${plan.galoisKeys} Galois keys`)
  }
}
