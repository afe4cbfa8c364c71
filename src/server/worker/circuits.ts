import { type CircuitOutline, type Manifest, manifestOfOutline } from '../../circuit/manifest/manifest.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type OutlineFile, readCircuitFile, readOutlineFile } from '../circuit-file.ts'
import type { CircuitReference } from './messages.ts'

/**
 * A circuit that a worker serves. Its header stays in memory. Operations and constants, hundreds of megabytes
 * for deep circuits, are read on demand and held by a weak reference.
 */
export class ServedCircuit {
  readonly outline: CircuitOutline
  readonly manifest: Manifest
  readonly #path: string
  /** Digest of the file, in hex. */
  readonly digest: string
  #circuit: WeakRef<Circuit> | undefined

  private constructor(path: string, { outline, digest }: OutlineFile, manifest: Manifest) {
    this.#path = path
    this.digest = digest
    this.outline = outline
    this.manifest = manifest
  }

  /** @throws INTERNAL when the file has another manifest than clients were told */
  static async open({ path, manifestDigest }: CircuitReference): Promise<ServedCircuit> {
    const file = await readOutlineFile(path).catch(changed)
    const manifest = manifestOfOutline(file.outline)
    return manifest.digest === manifestDigest ? new ServedCircuit(path, file, manifest) : changed()
  }

  /** The whole circuit. @throws INTERNAL when its file has changed */
  async read(): Promise<Circuit> {
    const known = this.#circuit?.deref()
    if (known) return known
    const { circuit, digest } = await readCircuitFile(this.#path).catch(changed)
    if (digest !== this.digest) changed()
    this.#circuit = new WeakRef(circuit)
    return circuit
  }
}

const served = new Map<string, ServedCircuit>()

/** The circuit of a reference; calls return the same object. @throws as `ServedCircuit.open` */
export async function servedCircuit(reference: CircuitReference): Promise<ServedCircuit> {
  const known = served.get(reference.manifestDigest)
  if (known) return known
  const circuit = await ServedCircuit.open(reference)
  served.set(reference.manifestDigest, circuit)
  return circuit
}

function changed(cause?: unknown): never {
  const message = 'A circuit file was changed while the server runs; restart it'
  throw new PolyVeilError('INTERNAL', message, {}, { cause })
}
