import { wholeKeys } from '../../src/circuit/keys.ts'
import type { CkksParameters } from '../../src/circuit/parameters/parameters.ts'
import { invert } from '../../src/circuit/parameters/primes.ts'
import type { Constant, SlotVector } from '../../src/circuit/types.ts'
import type { ClientKey } from '../../src/he-ops/client/client-key.ts'
import { createClientKey, sampleSecretKey } from '../../src/he-ops/client/create.ts'
import type { SimdContext } from '../../src/he-ops/simd/context.ts'
import { decryptResidues } from '../../src/he-ops/simd/encryption/decryptor.ts'
import { negatedSecret } from '../../src/he-ops/simd/encryption/secret.ts'
import { SimdKeySet } from '../../src/he-ops/simd/keys/key-set.ts'
import { inverseArguments } from '../../src/he-ops/simd/tables/modulus.ts'
import { bytesSource, type FullRlwe, openKeySet } from '../../src/wire/index.ts'
import { centred } from '../he-ops/seal/exact.ts'
import { halves, newSimdContext } from '../he-ops/simd/fixture.ts'
import { collect } from '../wire/fixtures.ts'
import { createSimdEvaluator, type SimdCiphertext, type SimdEvaluator } from './simd-evaluator.ts'

/** A client's key and the evaluator of its server, without node-seal: for rings that node-seal refuses. */
export interface KernelFixture {
  readonly evaluator: SimdEvaluator
  readonly key: ClientKey
  encrypt(values: SlotVector, level: number, scale: number): Promise<SimdCiphertext>
  /** A ciphertext as clients decrypt it. */
  pairOf(a: SimdCiphertext): FullRlwe
  /** The coefficients of a message, divided by its scale. Exact up to the rounding of doubles. */
  coefficientsOf(a: SimdCiphertext): Float64Array
  delete(): void
}

/** @param elements ascending Galois elements of the keys */
export async function kernelFixture(
  parameters: CkksParameters,
  elements: readonly number[],
  constants: readonly Constant[] = [],
): Promise<KernelFixture> {
  const secret = await sampleSecretKey(parameters)
  const key = await createClientKey(parameters, secret.slice(), '')
  const context = await newSimdContext(parameters)
  const negated = negatedSecret(context, secret)
  const keys = new SimdKeySet(context)
  await keys.load(
    await openKeySet(parameters, bytesSource(await collect(key.keySet(elements)))),
    wholeKeys(parameters, elements),
  )
  const evaluator = createSimdEvaluator(context, keys, { constants })
  const pairOf = (a: SimdCiphertext): FullRlwe => {
    const [c0, c1] = evaluator.residues(a).map(halves)
    return { c0, c1 }
  }
  return {
    evaluator,
    key,
    async encrypt(values, level, scale) {
      const [pair] = await key.encryptSlots([values], level, scale)
      if (!('limbs' in pair)) throw new Error('The kernels encrypt packed pairs')
      return evaluator.load(pair, level, scale)
    },
    pairOf,
    coefficientsOf: (a) =>
      centredIntegers(context, decryptResidues(context, negated, pairOf(a), a.level), a.level).map(
        (value) => value / a.scale,
      ),
    delete: () => key.delete(),
  }
}

/** The coefficients of least absolute value, from residues in NTT form. */
function centredIntegers(context: SimdContext, residues: BigUint64Array, level: number): Float64Array {
  const { parameters, ring } = context
  const primes = parameters.primes.slice(0, level + 1)
  const modulus = primes.reduce((product, prime) => product * prime, 1n)
  const limbs = primes.map((prime, i) => {
    const unit = (modulus / prime) * invert(modulus / prime, prime)
    return inverse(context, residues.subarray(i * ring, (i + 1) * ring), i).map((value) => value * unit)
  })
  return Float64Array.from(limbs[0], (_, k) =>
    Number(
      centred(
        limbs.reduce((sum, limb) => sum + limb[k], 0n),
        modulus,
      ),
    ),
  )
}

/** The inverse transform modulo the i-th prime, by the kernel. */
function inverse({ heap, call, limbBytes, moduli, ring }: SimdContext, values: BigUint64Array, i: number) {
  const address = heap.allocate(limbBytes)
  heap.words(address, ring).set(Uint32Array.from(values, Number))
  call('nttInverse', inverseArguments(moduli[i], ring, address))
  const found = Array.from(heap.words(address, ring), BigInt)
  heap.free(address)
  return found
}
