import type { Circuit } from '../../circuit/index.ts'
import { readInput } from './files.ts'

export interface CircuitFile {
  readonly circuit: Circuit
  /** SHA-256 in hex that identifies the file. */
  readonly digest: string
}

/** Reads and verifies a circuit. @throws CONFIG_INVALID and what `readCircuit` throws */
export async function loadCircuit(path: string): Promise<CircuitFile> {
  const { circuitDigest, readCircuit } = await import('../../circuit/index.ts')
  const bytes = await readInput(path, 'The circuit')
  return { circuit: readCircuit(bytes), digest: circuitDigest(bytes) }
}
