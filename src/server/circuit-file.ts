import { readFile } from 'node:fs/promises'
import { readCircuit } from '../circuit/file.ts'
import type { Circuit } from '../circuit/types.ts'

/**
 * Reads a compiled circuit.
 *
 * @throws as `readCircuit`
 */
export async function readCircuitFile(path: string): Promise<Circuit> {
  const { buffer, byteOffset, byteLength } = await readFile(path)
  // As a plain array: `slice` of a Buffer does not copy, that of a Uint8Array does, which `readCircuit` relies on.
  return readCircuit(new Uint8Array(buffer, byteOffset, byteLength))
}
