import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeCircuit } from '../../src/circuit/index.ts'
import { compile } from '../../src/compiler/index.ts'
import { loadNetwork, parseConfig, readCheckpoint } from '../../src/models/index.ts'
import { keptCircuit } from './kept-circuit.ts'

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
  const [weights, text] = await Promise.all([readFile(network('pt')), readFile(network('json'), 'utf8')])
  const how = {
    refresh,
    rings: [refresh === 'client' ? 8192 : 16384],
    objective: 'keys',
  } as const
  const circuit = await keptCircuit([weights, text, JSON.stringify(how)], async () => {
    const config = parseConfig(text)
    const { preprocessing, labels } = config
    const loaded = loadNetwork(await readCheckpoint(network('pt')), config)
    return compile(loaded, { model, preprocessing, labels, ...how }).circuit
  })
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, `${model}.pvc`), writeCircuit({ ...circuit, model }))
}
