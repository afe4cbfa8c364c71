import type { SecretKey } from 'node-seal'
import { conjugationElement, rotationElements, wholeKeys } from '../../../src/circuit/keys.ts'
import type { CkksParameters } from '../../../src/circuit/parameters/parameters.ts'
import type { ComplexVector, SlotVector } from '../../../src/circuit/types.ts'
import { createKernelMemory, instantiateKernels } from '../../../src/he-ops/kernels/kernels.ts'
import { createSealContext, type SealContext } from '../../../src/he-ops/seal/context.ts'
import { decryptSlots, encryptSlots } from '../../../src/he-ops/seal/encryptor.ts'
import { type EvaluationKeys, generateSecretKey, loadKeySet } from '../../../src/he-ops/seal/keys/index.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { createSimdContext, type SimdContext } from '../../../src/he-ops/simd/context.ts'
import { SimdKeySet, type SimdKeys } from '../../../src/he-ops/simd/keys/key-set.ts'
import { Heap } from '../../../src/he-ops/simd/memory/heap.ts'
import { unpackBits } from '../../../src/wire/bits.ts'
import {
  bytesSource,
  type FullRlwe,
  levelShape,
  openKeySet,
  type PackedFullRlwe,
  type PackedLimb,
  type PackedRlwe,
  type Rlwe,
  type SeededRlwe,
} from '../../../src/wire/index.ts'
import { packedRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { clientKeySet } from '../../support/client-key-set.ts'

/** One secret key, and its key set loaded into node-seal and into kernel memory. */
export interface SimdFixture {
  readonly ctx: SealContext
  readonly context: SimdContext
  readonly keys: SimdKeys
  /** The keys in node-seal; only with one special prime. */
  readonly sealKeys: EvaluationKeys | undefined
  readonly keySet: Uint8Array
  readonly secretKey: SecretKey
  encrypt(values: SlotVector, level: number, scale: number): SeededRlwe
  packed(pair: SeededRlwe, level: number): PackedRlwe
  /** @param residues of the two polynomials, u32, prime after prime */
  decrypt(residues: readonly Uint32Array[], level: number, scale: number): Float64Array
  /** Both parts of the slots. Parameters as for `decrypt`, which gives the real ones. */
  decryptComplex(residues: readonly Uint32Array[], level: number, scale: number): ComplexVector
  decryptPair(pair: Rlwe | PackedFullRlwe, level: number, scale: number): Float64Array
  delete(): void
}

export async function newSimdContext(parameters: CkksParameters): Promise<SimdContext> {
  const memory = createKernelMemory()
  return createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
}

/** The keys of a fixture once more, in far memory. */
export async function loadedFar({ context, keySet }: SimdFixture): Promise<SimdKeySet> {
  const { parameters } = context
  const keys = new SimdKeySet(context)
  const reader = await openKeySet(parameters, bytesSource(keySet))
  const levels = wholeKeys(parameters, reader.galoisElements)
  await keys.load(reader, levels, undefined, undefined, () => true)
  return keys
}

/** @param conjugation whether the key set has a key for conjugation */
export async function simdFixture(
  parameters: CkksParameters,
  steps: readonly number[],
  { conjugation = false }: { readonly conjugation?: boolean } = {},
): Promise<SimdFixture> {
  const ctx = createSealContext(await loadSeal(), parameters)
  const context = await newSimdContext(parameters)
  const secretKey = generateSecretKey(ctx)
  const elements = [
    ...rotationElements(parameters, steps),
    ...(conjugation ? [conjugationElement(parameters.ring)] : []),
  ]
  const chunks: Uint8Array[] = []
  for await (const chunk of clientKeySet(ctx, secretKey, elements)) chunks.push(chunk)
  const keySet = Buffer.concat(chunks)
  const keys = new SimdKeySet(context)
  await keys.load(await openKeySet(parameters, bytesSource(keySet)), wholeKeys(parameters, elements))
  const sealKeys =
    parameters.specialPrimes.length === 1 ? await loadKeySet(ctx, bytesSource(keySet), elements) : undefined
  const complexPair = (pair: Rlwe | PackedFullRlwe, level: number, scale: number): ComplexVector =>
    decryptSlots(ctx, secretKey, ['second' in pair ? unpacked(pair) : pair], level, scale)[0]
  const decryptComplex: SimdFixture['decryptComplex'] = (residues, level, scale) => {
    const [c0, c1] = residues.map(halves)
    return complexPair({ c0, c1 }, level, scale)
  }
  return {
    ctx,
    context,
    keys,
    sealKeys,
    keySet,
    secretKey,
    encrypt: (values, level, scale) => encryptSlots(ctx, secretKey, [values], level, scale)[0],
    packed(pair, level) {
      const shape = levelShape(parameters, level)
      const bytes = new Uint8Array(rlweBytes(shape, true))
      writeRlwe(shape, pair, bytes)
      return packedRlwe(shape, bytes)
    },
    decrypt: (residues, level, scale) => decryptComplex(residues, level, scale).real,
    decryptComplex,
    decryptPair: (pair, level, scale) => complexPair(pair, level, scale).real,
    delete() {
      sealKeys?.delete()
      secretKey.delete()
      ctx.delete()
    },
  }
}

/** A masked pair as an engine sends it, after decoding its frame. */
export const unpacked = ({ limbs, second }: PackedFullRlwe): FullRlwe => ({
  c0: unpackedPolynomial(limbs),
  c1: unpackedPolynomial(second),
})

function unpackedPolynomial(limbs: readonly PackedLimb[]): Uint32Array {
  const size = 2 * Math.floor((limbs[0].bytes.length * 8) / limbs[0].bits)
  const polynomial = new Uint32Array(size * limbs.length)
  limbs.forEach(({ bits, bytes }, i) => {
    unpackBits(bytes, bits, polynomial.subarray(i * size, (i + 1) * size))
  })
  return polynomial
}

/** 32-bit residues as the pairs of halves of the wire format. */
export function halves(residues: Uint32Array): Uint32Array {
  const out = new Uint32Array(2 * residues.length)
  residues.forEach((residue, i) => {
    out[2 * i] = residue
  })
  return out
}

/** Numbers in a piece: small ones, such as errors, come together by chance if they are few. */
const PIECE = 64

/** Whether memory holds a piece of a polynomial: of its beginning, its middle or its end. */
export function holdsPiece({ buffer }: WebAssembly.Memory, numbers: Uint32Array | Float64Array): boolean {
  const memory = Buffer.from(buffer)
  return [0, numbers.length / 2, numbers.length - PIECE].some((at) =>
    memory.includes(Buffer.from(numbers.slice(at, at + PIECE).buffer)),
  )
}
