import type { CircuitFile } from '../../circuit/file.ts'
import { PolyVeilError } from '../../errors/index.ts'

/** Reads and verifies a circuit. @throws CONFIG_INVALID when it cannot be read, and what `readCircuitFrom` throws */
export async function loadCircuit(path: string): Promise<CircuitFile> {
  const { readCircuitFile } = await import('../../server/circuit-file.ts')
  try {
    return await readCircuitFile(path)
  } catch (cause) {
    if (cause instanceof PolyVeilError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    throw new PolyVeilError('CONFIG_INVALID', `The circuit ${path} cannot be read (${code})`, {}, { cause })
  }
}
