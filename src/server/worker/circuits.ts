import { type Manifest, manifestOf } from '../../circuit/manifest.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { readCircuitFile } from '../circuit-file.ts'
import type { CircuitReference } from './messages.ts'

export interface LoadedCircuit {
  readonly circuit: Circuit
  readonly manifest: Manifest
}

const loaded = new Map<string, LoadedCircuit>()

/**
 * A circuit, read from its file the first time it is asked for.
 *
 * @throws INTERNAL when the file is not any more what clients were told
 */
export async function loadCircuit({ path, manifestDigest }: CircuitReference): Promise<LoadedCircuit> {
  const known = loaded.get(manifestDigest)
  if (known) return known
  const circuit = await readCircuitFile(path)
  const manifest = manifestOf(circuit)
  if (manifest.digest !== manifestDigest) {
    throw new PolyVeilError('INTERNAL', 'A circuit file was changed while the server runs; restart it')
  }
  const entry = { circuit, manifest }
  loaded.set(manifestDigest, entry)
  return entry
}
