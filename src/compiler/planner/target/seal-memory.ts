import { galoisKeyCount } from '../../../circuit/keys.ts'
import { peakLiveBytes } from '../../../circuit/liveness.ts'
import { digitCount } from '../../../circuit/parameters/parameters.ts'
import type { Circuit } from '../../../circuit/types.ts'

const RESIDUE_BYTES = 8

/**
 * Bytes of node-seal's heap for a circuit's keys and values. The plaintexts that are kept come on top.
 */
export function sealMemory(circuit: Pick<Circuit, 'parameters' | 'ops' | 'result'>): number {
  const { ring, primes, specialPrimes } = circuit.parameters
  const pairs = 1 + digitCount(circuit.parameters) * (galoisKeyCount(circuit) + 1)
  const keys = 2 * pairs * ring * (primes.length + specialPrimes.length) * RESIDUE_BYTES
  return keys + peakLiveBytes(circuit, RESIDUE_BYTES)
}
