import type { CircuitFile } from '../../circuit/format/file.ts'
import { inFile } from '../../errors/index.ts'

/**
 * Reads and verifies a circuit. @throws CONFIG_INVALID when it cannot be read, and what `readCircuitFrom`
 * throws
 */
export async function loadCircuit(path: string): Promise<CircuitFile> {
  const { readCircuitFile } = await import('../../server/models/circuit-file.ts')
  const remedy = 'Check the path; if it is the right file, make it anew with polyveil compile.'
  return inFile({ name: `The circuit ${path}`, remedy }, () => readCircuitFile(path))
}
