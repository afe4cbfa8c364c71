import { rotationSteps } from '../../src/circuit/keys.ts'
import { createSealContext, type SealContext } from '../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../src/he-ops/seal/encryptor.ts'
import { generateKeySet, generateSecretKey } from '../../src/he-ops/seal/keys.ts'
import { loadSeal } from '../../src/he-ops/seal/runtime.ts'
import { decodeTensor, encodeTensor, querySpec, responseSpec } from '../../src/wire/index.ts'
import { collect } from '../wire/fixtures.ts'
import { circuit, model } from './support.ts'

const { parameters, manifest } = model
const { slots } = parameters

const signal = (seed: number): Float64Array =>
  Float64Array.from({ length: slots }, (_, i) => Math.sin(seed + i * 0.37) * 1.5)
const x = signal(1)
const y = signal(2)

/** What the small circuit says it computes, in plain numbers. */
function expected(s: number): number {
  const [c0, c1, c2] = circuit.constants
  const weight = c0[s % c0.length]
  const z = weight * (x[(s + 7) % slots] - x[s]) + c1[0] * y[s] + weight * x[s]
  return 2 * z * z + c2[s % c2.length]
}

/** A client of the small circuit with a secret key of its own. */
export class SealedClient {
  readonly #context: SealContext
  readonly #secretKey: ReturnType<typeof generateSecretKey>

  private constructor(context: SealContext) {
    this.#context = context
    this.#secretKey = generateSecretKey(context)
  }

  static async create(): Promise<SealedClient> {
    return new SealedClient(createSealContext(await loadSeal(), parameters))
  }

  keySet(): Promise<Uint8Array> {
    return collect(generateKeySet(this.#context, this.#secretKey, rotationSteps(circuit)))
  }

  /** An encrypted image. */
  query(): Uint8Array {
    const spec = querySpec(manifest)
    const pairs = encryptSlots(this.#context, this.#secretKey, [x, y], spec.level, spec.scale)
    return encodeTensor(parameters, spec, pairs)
  }

  /** Root mean square over slots: key switching is far noisier in a few slots than in the others. */
  errorOf(frame: Uint8Array): number {
    const spec = responseSpec(manifest)
    const pairs = decodeTensor(parameters, spec, frame)
    const [values] = decryptSlots(this.#context, this.#secretKey, pairs, spec.level, spec.scale)
    const squares = values.reduce((sum, value, s) => sum + (value - expected(s)) ** 2, 0)
    return Math.sqrt(squares / values.length)
  }

  delete(): void {
    this.#secretKey.delete()
    this.#context.delete()
  }
}
