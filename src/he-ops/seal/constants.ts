import type { CKKSEncoder, Evaluator, Plaintext } from 'node-seal'
import { largestOf, periodOf, valuesOf } from '../../circuit/constants/constant.ts'
import { isComplexVector } from '../../circuit/constants/slot-vector.ts'
import { encodedBits, log2Modulus } from '../../circuit/laws.ts'
import type { ConstantId, ConstantList } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type CompactPlaintext, expandPlaintext, PeriodicEncoder } from '../encoding/periodic.ts'
import { encodeComplex, imaginaryUnit } from './complex-encoding.ts'
import type { SealContext } from './context.ts'
import { guarded } from './runtime.ts'
import { dataLevel, plaintextToSeal } from './serialization/serialization.ts'
import { toSealOrder } from './slot-order.ts'

/**
 * Longest period that is encoded at its own size and kept compact. For longer ones encoding at full size is
 * faster, and the result is too large to be kept for every constant.
 */
const LONGEST_COMPACT_PERIOD = 512

const BYTES_PER_RESIDUE = 8

export interface ConstantSourceOptions {
  /** Bytes of full-size plaintexts that are kept for the next execution. */
  readonly cacheBytes?: number
}

const DEFAULT_CACHE_BYTES = 256 * 2 ** 20

/**
 * Plaintexts of a circuit's constants on node-seal's heap.
 *
 * Periodic constants are encoded once to `CompactPlaintext` and expanded at each use. Full-size plaintexts
 * are kept until `cacheBytes` are used; later ones are encoded at each use. The first ones stay, because
 * every execution uses the constants in the same order: a least-recently-used cache would drop each one just
 * before its use.
 */
export class ConstantSource {
  readonly #ctx: SealContext
  readonly #constants: ConstantList
  readonly #encoder: CKKSEncoder
  readonly #evaluator: Evaluator
  readonly #periodic: PeriodicEncoder
  readonly #compact = new Map<string, CompactPlaintext>()
  readonly #full = new Map<string, Plaintext>()
  /** The plaintext of i, by level. */
  readonly #units: Plaintext[] = []
  /** One buffer for each level: SEAL's bytes of a plaintext, whose residues are overwritten. */
  readonly #buffers: ExpansionBuffer[] = []
  /** Reused for every expanded constant. */
  readonly #scratch: Plaintext
  #cacheBytesLeft: number

  constructor(ctx: SealContext, constants: ConstantList, options: ConstantSourceOptions = {}) {
    this.#ctx = ctx
    this.#constants = constants
    this.#cacheBytesLeft = options.cacheBytes ?? DEFAULT_CACHE_BYTES
    this.#periodic = new PeriodicEncoder(ctx.parameters)
    this.#encoder = new ctx.seal.CKKSEncoder(ctx.context)
    this.#evaluator = new ctx.seal.Evaluator(ctx.context)
    this.#scratch = new ctx.seal.Plaintext()
  }

  /**
   * Runs `body` with a constant's plaintext in NTT form. The plaintext is only valid during the call; `body`
   * must neither change it nor ask for another.
   *
   * @param scale scale of the encoded constant; the plaintext carries it
   * @param level level of the plaintext
   * @returns false, without calling `body`, when every coefficient rounds to zero: SEAL refuses such a
   *   product, and the sum is the same without it
   * @throws LEVEL_EXHAUSTED when the scaled values do not fit the level's modulus
   */
  use(id: ConstantId, scale: number, level: number, body: (plaintext: Plaintext) => void): boolean {
    if (periodOf(this.#constants.at(id)!) > LONGEST_COMPACT_PERIOD)
      return this.#useFull(id, scale, level, body)
    const compact = this.#compactOf(id, scale, level)
    if (!compact.isZero) body(this.#expand(compact, scale, level))
    return !compact.isZero
  }

  /** The plaintext of i at scale 1, which is kept. */
  imaginaryUnit(level: number): Plaintext {
    this.#units[level] ??= imaginaryUnit(this.#ctx, level)
    return this.#units[level]
  }

  delete(): void {
    // Levels without a plaintext are holes.
    this.#units.forEach((plaintext) => {
      plaintext.delete()
    })
    for (const plaintext of this.#full.values()) plaintext.delete()
    this.#full.clear()
    this.#scratch.delete()
    this.#evaluator.delete()
    this.#encoder.delete()
  }

  #compactOf(id: ConstantId, scale: number, level: number): CompactPlaintext {
    const key = `${id}/${scale}/${level}`
    let compact = this.#compact.get(key)
    if (!compact) {
      this.#requireFits(id, scale, level)
      compact = this.#periodic.encode(valuesOf(this.#constants.at(id)!), scale, level)
      this.#compact.set(key, compact)
    }
    return compact
  }

  #expand(compact: CompactPlaintext, scale: number, level: number): Plaintext {
    this.#buffers[level] ??= createBuffer(this.#ctx, level)
    const { bytes, residues } = this.#buffers[level]
    expandPlaintext(compact, residues)
    this.#scratch.loadFromArray(this.#ctx.context, bytes)
    this.#scratch.setScale(scale)
    return this.#scratch
  }

  #useFull(id: ConstantId, scale: number, level: number, body: (plaintext: Plaintext) => void): boolean {
    const key = `${id}/${scale}/${level}`
    const kept = this.#full.get(key)
    if (kept) return unlessZero(kept, body)
    const plaintext = this.#encodeFull(id, scale, level)
    const bytes = plaintext.coeffCount() * BYTES_PER_RESIDUE
    const keep = bytes <= this.#cacheBytesLeft
    if (keep) {
      this.#cacheBytesLeft -= bytes
      this.#full.set(key, plaintext)
    }
    try {
      return unlessZero(plaintext, body)
    } finally {
      if (!keep) plaintext.delete()
    }
  }

  #encodeFull(id: ConstantId, scale: number, level: number): Plaintext {
    this.#requireFits(id, scale, level)
    const values = valuesOf(this.#constants.at(id)!)
    return isComplexVector(values)
      ? encodeComplex(this.#ctx, values, scale, level)
      : this.#encodeReal(values, scale, level)
  }

  #encodeReal(values: Float64Array, scale: number, level: number): Plaintext {
    const { seal, highestLevel, levelIds, parameters } = this.#ctx
    const plaintext = new seal.Plaintext()
    try {
      guarded(seal, () => {
        const slots = repeat(values, parameters.slots)
        this.#encoder.encode(toSealOrder(slots, parameters.slots), scale, plaintext)
        // node-seal encodes at the highest level only.
        if (level < highestLevel) this.#evaluator.plainModSwitchToInplace(plaintext, levelIds[level])
      })
      return plaintext
    } catch (cause) {
      plaintext.delete()
      throw cause
    }
  }

  #requireFits(id: ConstantId, scale: number, level: number): void {
    const needBits = encodedBits(largestOf(this.#constants.at(id)!), scale)
    if (needBits < log2Modulus(this.#ctx.parameters, level)) return
    throw new PolyVeilError('LEVEL_EXHAUSTED', `Constant ${id} does not fit level ${level} at its scale`, {
      constant: id,
      level,
    })
  }
}

interface ExpansionBuffer {
  readonly bytes: Uint8Array
  /** A view of `bytes`: N residues for each prime. */
  readonly residues: BigUint64Array
}

function createBuffer(ctx: SealContext, level: number): ExpansionBuffer {
  const count = ctx.parameters.ring * (level + 1)
  const bytes = plaintextToSeal(dataLevel(ctx, level), new Uint32Array(2 * count), 1)
  const residues = new BigUint64Array(bytes.buffer, bytes.length - count * BYTES_PER_RESIDUE, count)
  return { bytes, residues }
}

function unlessZero(plaintext: Plaintext, body: (plaintext: Plaintext) => void): boolean {
  if (plaintext.isZero()) return false
  body(plaintext)
  return true
}

function repeat(values: Float64Array, slots: number): Float64Array {
  const repeated = new Float64Array(slots)
  for (let start = 0; start < slots; start += values.length) repeated.set(values, start)
  return repeated
}
