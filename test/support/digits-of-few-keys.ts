import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeCircuit } from '../../src/circuit/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { loadNetwork, parseConfig, readCheckpoint } from '../../src/models/index.ts'

const network = (file: string): string =>
  fileURLToPath(new URL(`../../src/models/zoo/digits/network.${file}`, import.meta.url))

/**
 * Compiles the digits network for the smallest keys: 7 MB with refreshes and 45 MB in one shot, where those
 * of the bundled circuit have 200 MB. For tests that make and upload key sets.
 *
 * @param folder is made where it is missing; gets `MODEL.pvc`
 */
export async function writeDigitsOfFewKeys(
  folder: string,
  refresh: 'client' | 'never' = 'client',
  model = 'digits',
): Promise<void> {
  const config = parseConfig(await readFile(network('json'), 'utf8'))
  const { circuit } = compile(loadNetwork(await readCheckpoint(network('pt')), config), {
    model,
    preprocessing: config.preprocessing,
    labels: config.labels,
    refresh,
    rings: [refresh === 'client' ? 8192 : 16384],
    objective: 'keys',
  })
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${model}.pvc`), writeCircuit(circuit))
}
