import { readFile } from 'node:fs/promises'
import { readCircuit } from '../circuit/file.ts'
import type { Circuit } from '../circuit/types.ts'

/**
 * Reads a compiled circuit.
 *
 * @throws as `readCircuit`
 */
export async function readCircuitFile(path: string): Promise<Circuit> {
  return readCircuit(await readFile(path))
}
