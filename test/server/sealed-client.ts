import { valuesOf } from '../../src/circuit/constants/constant.ts'
import { realOf } from '../../src/circuit/constants/slot-vector.ts'
import { circuitElements } from '../../src/circuit/keys.ts'
import type { Manifest } from '../../src/circuit/manifest/manifest.ts'
import type { Circuit } from '../../src/circuit/types.ts'
import { createSealContext, type SealContext } from '../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../src/he-ops/seal/encryptor.ts'
import { generateSecretKey } from '../../src/he-ops/seal/keys/index.ts'
import { loadSeal } from '../../src/he-ops/seal/runtime.ts'
import { decodeTensor, encodeTensor, querySpec, responseSpec } from '../../src/wire/index.ts'
import { clientKeySet } from '../support/client-key-set.ts'
import { collect } from '../wire/fixtures.ts'
import { circuit, model } from './support.ts'

const signal = (slots: number, seed: number): Float64Array =>
  Float64Array.from({ length: slots }, (_, i) => Math.sin(seed + i * 0.37) * 1.5)

/** A circuit of two input ciphertexts, and the value that it computes in each slot. */
export interface KnownCircuit {
  readonly circuit: Circuit
  readonly manifest: Manifest
  expected(x: Float64Array, y: Float64Array, slot: number): number
}

const SMALL: KnownCircuit = {
  circuit,
  manifest: model.manifest,
  expected(x, y, s) {
    const [c0, c1, c2] = circuit.constants.map((constant) => realOf(valuesOf(constant)))
    const weight = c0[s % c0.length]
    const z = weight * (x[(s + 7) % x.length] - x[s]) + c1[0] * y[s] + weight * x[s]
    return 2 * z * z + c2[s % c2.length]
  },
}

/** A client of the small circuit, or of another, with a secret key of its own. */
export class SealedClient {
  readonly #context: SealContext
  readonly #known: KnownCircuit
  readonly #secretKey: ReturnType<typeof generateSecretKey>
  readonly #x: Float64Array
  readonly #y: Float64Array

  private constructor(context: SealContext, known: KnownCircuit) {
    this.#context = context
    this.#known = known
    this.#secretKey = generateSecretKey(context)
    const { slots } = context.parameters
    this.#x = signal(slots, 1)
    this.#y = signal(slots, 2)
  }

  static async create(known = SMALL): Promise<SealedClient> {
    return new SealedClient(createSealContext(await loadSeal(), known.circuit.parameters), known)
  }

  keySet(): Promise<Uint8Array> {
    const elements = circuitElements(this.#context.parameters, this.#known.circuit)
    return collect(clientKeySet(this.#context, this.#secretKey, elements))
  }

  /** An encrypted image. @param manifest one with the input of the circuit; by default the circuit's own */
  query(manifest = this.#known.manifest): Uint8Array {
    const spec = querySpec(manifest)
    const inputs = [this.#x, this.#y]
    const pairs = encryptSlots(this.#context, this.#secretKey, inputs, spec.level, spec.scale)
    return encodeTensor(this.#context.parameters, spec, pairs)
  }

  /**
   * The error of an answer, as root mean square over slots: key switching is far noisier in a few slots than
   * in the others.
   *
   * @param known the circuit that ran, if it is not the client's own
   */
  errorOf(frame: Uint8Array, { manifest, expected } = this.#known): number {
    const spec = responseSpec(manifest)
    const pairs = decodeTensor(this.#context.parameters, spec, frame)
    const [{ real: values }] = decryptSlots(this.#context, this.#secretKey, pairs, spec.level, spec.scale)
    const squares = values.reduce((sum, value, s) => sum + (value - expected(this.#x, this.#y, s)) ** 2, 0)
    return Math.sqrt(squares / values.length)
  }

  delete(): void {
    this.#secretKey.delete()
    this.#context.delete()
  }
}
