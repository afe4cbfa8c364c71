import { type CircuitOutline, type Manifest, manifestOfOutline } from '../../circuit/manifest/manifest.ts'
import type { Circuit } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type OutlineFile, readCircuitAt, readOutlineAt } from '../models/circuit-file.ts'
import type { CircuitReference } from './messages.ts'

/**
 * A circuit that a worker serves. Its header stays in memory. Operations and constants, hundreds of megabytes
 * for deep circuits, are read on demand and held by a weak reference.
 */
export class ServedCircuit {
  readonly outline: CircuitOutline
  readonly manifest: Manifest
  #location: CircuitReference
  /** Digest of the file, in hex. */
  readonly digest: string
  #circuit: WeakRef<Circuit> | undefined
  #operations: Readonly<Record<string, number>> = {}

  private constructor(location: CircuitReference, { outline, digest }: OutlineFile, manifest: Manifest) {
    this.#location = location
    this.digest = digest
    this.outline = outline
    this.manifest = manifest
  }

  /** @throws MODEL_UNAVAILABLE when the file is another than the main thread has checked */
  static async open(reference: CircuitReference): Promise<ServedCircuit> {
    const file = await readOutlineAt(reference).catch(changed)
    if (file.digest !== reference.digest) changed()
    return new ServedCircuit(reference, file, manifestOfOutline(file.outline))
  }

  /** The same circuit may have come to lie in another file. */
  movedTo(reference: CircuitReference): void {
    this.#location = reference
  }

  /** Operations by their kind; none until `read` has been called. */
  get operations(): Readonly<Record<string, number>> {
    return this.#operations
  }

  /** The whole circuit. @throws MODEL_UNAVAILABLE when its file has changed */
  async read(): Promise<Circuit> {
    const known = this.#circuit?.deref()
    if (known) return known
    const { circuit, digest } = await readCircuitAt(this.#location).catch(changed)
    if (digest !== this.digest) changed()
    this.#circuit = new WeakRef(circuit)
    this.#operations = countKinds(circuit)
    return circuit
  }
}

/** The circuits of a worker, by the digests of their files. */
export class ServedCircuits {
  readonly #circuits = new Map<string, ServedCircuit>()

  /** The circuit of a reference; calls return the same object. @throws as `ServedCircuit.open` */
  async get(reference: CircuitReference): Promise<ServedCircuit> {
    const known = this.#circuits.get(reference.digest)
    if (known) {
      known.movedTo(reference)
      return known
    }
    const circuit = await ServedCircuit.open(reference)
    // Another inference may have opened it meanwhile.
    const first = this.#circuits.get(reference.digest) ?? circuit
    this.#circuits.set(reference.digest, first)
    return first
  }

  /** Forgets all circuits but these. */
  retain(digests: ReadonlySet<string>): void {
    for (const digest of this.#circuits.keys()) if (!digests.has(digest)) this.#circuits.delete(digest)
  }
}

function countKinds({ ops }: Circuit): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { kind } of ops) counts[kind] = (counts[kind] ?? 0) + 1
  return counts
}

function changed(cause?: unknown): never {
  throw new PolyVeilError(
    'MODEL_UNAVAILABLE',
    "The model's circuit file is damaged or being replaced",
    {},
    { cause },
  )
}
