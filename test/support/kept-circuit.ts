import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT, SOURCE } from '../../scripts/building/paths.ts'
import { type Circuit, readCircuit, writeCircuit } from '../../src/circuit/index.ts'
import { readIfPresent, replaceFile } from '../../src/files/atomic.ts'

/** `npm ci` empties this folder. */
const FOLDER = join(ROOT, 'node_modules', '.cache', 'circuits')

/**
 * A circuit that many test files use, each in a process of its own. The first one compiles it, and the others
 * read it from a cache. The cache has another entry after a change of any source or of `inputs`.
 *
 * @param inputs what the circuit is compiled from: contents of files, and options as text
 */
export async function keptCircuit(
  inputs: readonly (string | Uint8Array)[],
  compile: () => Circuit | Promise<Circuit>,
): Promise<Circuit> {
  const name = await digestOf(inputs)
  const kept = await readIfPresent(FOLDER, name)
  if (kept !== undefined) return readCircuit(kept)
  const circuit = await compile()
  await mkdir(FOLDER, { recursive: true })
  await replaceFile(FOLDER, name, writeCircuit(circuit))
  return circuit
}

async function digestOf(inputs: readonly (string | Uint8Array)[]): Promise<string> {
  const files = (await readdir(SOURCE, { recursive: true })).filter((file) => file.endsWith('.ts')).sort()
  const sources = await Promise.all(files.map((file) => readFile(join(SOURCE, file))))
  const hash = createHash('sha256')
  for (const part of [...files, ...sources, ...inputs])
    hash.update(createHash('sha256').update(part).digest())
  return hash.digest('hex')
}
