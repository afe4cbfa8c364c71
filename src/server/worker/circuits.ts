import { type CircuitOutline, type Manifest, manifestOfOutline } from '../../circuit/manifest/manifest.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type OutlineFile, readCircuitFile, readOutlineFile } from '../circuit-file.ts'
import type { CircuitReference } from './messages.ts'

/**
 * A circuit that a worker serves. What its header says stays; operations and constants, hundreds of megabytes
 * of deep circuits, are read when they are needed, and kept no longer than somebody holds them.
 */
export class ServedCircuit {
  readonly outline: CircuitOutline
  readonly manifest: Manifest
  readonly #path: string
  /** Of the file, in hex. */
  readonly digest: string
  #circuit: WeakRef<Circuit> | undefined

  private constructor(path: string, { outline, digest }: OutlineFile, manifest: Manifest) {
    this.#path = path
    this.digest = digest
    this.outline = outline
    this.manifest = manifest
  }

  /** @throws INTERNAL when the file is not any more what clients were told */
  static async open({ path, manifestDigest }: CircuitReference): Promise<ServedCircuit> {
    const file = await readOutlineFile(path).catch(changed)
    const manifest = manifestOfOutline(file.outline)
    return manifest.digest === manifestDigest ? new ServedCircuit(path, file, manifest) : changed()
  }

  /** The whole circuit, always the same one. @throws INTERNAL when its file was changed */
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

/** The circuit that a reference means, the same object each time. @throws as `ServedCircuit.open` */
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
