import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildIfStale } from '../../scripts/building/build.ts'
import { bundledImages } from '../../scripts/building/bundled-images.ts'
import { writeCircuit } from '../../src/circuit/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../src/models/index.ts'
import { STAGES } from './stages.ts'
import { BATCH, BUILD, circuitOf } from './workspace.ts'

/** Makes the circuits and the stage programs in a harness's folder. */
export async function buildSubmission(root: string): Promise<void> {
  await buildIfStale((line) => console.error(line))
  await mkdir(join(root, BUILD), { recursive: true })
  for (const batch of [1, BATCH]) await writeFile(circuitOf(root, batch), await digitsCircuit(batch))
  const program = fileURLToPath(new URL('stage.ts', import.meta.url))
  for (const name of Object.keys(STAGES)) {
    const file = join(root, BUILD, name)
    await writeFile(file, `#!/bin/sh\nexec '${process.execPath}' '${program}' ${name} "$@"\n`)
    await chmod(file, 0o755)
  }
}

async function digitsCircuit(batch: number): Promise<Uint8Array> {
  const bundled = bundledNetworks().find(({ name }) => name === 'digits')!
  const { checkpoint, config } = bundled
  const network = loadNetwork(await readCheckpoint(checkpoint), config)
  const { labels, preprocessing } = config
  const calibration = await bundledImages(bundled)
  const options = { model: 'digits', labels, preprocessing, calibration, batch, refresh: 'never' } as const
  return writeCircuit(compile(network, options).circuit)
}
