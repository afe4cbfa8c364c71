import { type CkksParameters, ephemeralParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { SIMD_PRIME_BITS } from '../../schedule/engine-name.ts'
import { type KernelCall, kernelCalls } from '../kernels/call.ts'
import type { Kernels } from '../kernels/kernels.ts'
import type { Heap } from './memory/heap.ts'
import { BaseConversion } from './tables/base-conversion.ts'
import { GaloisTables } from './tables/galois-table.ts'
import { createModulus, type Modulus, montgomery, type ShoupConstant, shoup } from './tables/modulus.ts'

const PRIME_LIMIT = 2n ** BigInt(SIMD_PRIME_BITS)

/** Tables that all circuits under one set of parameters share. They stay on the heap until it is cleared. */
export interface SimdContext {
  readonly parameters: CkksParameters
  readonly heap: Heap
  readonly kernels: Kernels
  /** Calls a kernel at once, on the calling thread. */
  readonly call: KernelCall
  readonly ring: number
  /** Bytes of one limb: a polynomial's residues modulo one prime. */
  readonly limbBytes: number
  /** Data primes q_0 .. q_L, then the special primes. */
  readonly moduli: readonly Modulus[]
  /** Permutations of automorphisms, each made at its first use. */
  readonly galois: GaloisTables
  /**
   * Address of one word for each data prime: P, the product of the special primes, modulo it, in Montgomery
   * form.
   */
  readonly timesP: number
  /** P modulo each modulus, in Montgomery form. */
  readonly timesPFactors: readonly ShoupConstant[]
  /** Address of one word for each modulus: 1 in Montgomery form. */
  readonly ones: number
  /** As `timesP` for -P, and as `ones` for -1. */
  readonly negatedTimesP: number
  readonly negatedOnes: number
  /** The base conversion from the primes of these indices to all others; made at its first use. */
  conversion(sources: readonly number[], centred: boolean): BaseConversion
  /**
   * The context of the key that encrypts under the ephemeral secret: the primes of the raise level, and the
   * first special prime. Absent where nothing is raised.
   */
  readonly ephemeral?: SimdContext
}

/**
 * Makes the tables of checked parameters: 16 N bytes for each prime, and little more.
 *
 * @param heap of the memory that the kernels were instantiated with
 * @throws CONFIG_INVALID when a prime has more than 30 bits, the width that the kernels' lanes allow;
 *   TOO_LARGE
 */
export const createSimdContext = (kernels: Kernels, heap: Heap, parameters: CkksParameters): SimdContext =>
  heap.attempt(() => createTables(kernels, heap, parameters))

function createTables(kernels: Kernels, heap: Heap, parameters: CkksParameters): SimdContext {
  const primes = [...parameters.primes, ...parameters.specialPrimes]
  const large = primes.find((prime) => prime >= PRIME_LIMIT)
  if (large !== undefined) {
    throw new PolyVeilError('CONFIG_INVALID', `The simd backend takes primes below 2^30, not ${large}`, {
      prime: String(large),
    })
  }
  const { ring } = parameters
  const moduli = new Map(primes.map((prime) => [prime, createModulus(heap, ring, prime)]))
  const shared = {
    heap,
    kernels,
    call: kernelCalls(kernels),
    ring,
    limbBytes: 4 * ring,
    galois: new GaloisTables(heap, ring),
  }
  const ephemeral = ephemeralParameters(parameters)
  return {
    ...chainContext(shared, parameters, moduli),
    ...(ephemeral && { ephemeral: chainContext(shared, ephemeral, moduli) }),
  }
}

/** The parts of a context that do not depend on its chain of primes. */
type SharedParts = Pick<SimdContext, 'heap' | 'kernels' | 'call' | 'ring' | 'limbBytes' | 'galois'>

/** The context of a chain of primes. @param tables of its primes, and of others */
function chainContext(
  shared: SharedParts,
  parameters: CkksParameters,
  tables: ReadonlyMap<bigint, Modulus>,
): SimdContext {
  const { heap } = shared
  const moduli = [...parameters.primes, ...parameters.specialPrimes].map((prime) => tables.get(prime)!)
  const special = product(parameters.specialPrimes)
  const conversions = new Map<string, BaseConversion>()
  return {
    ...shared,
    parameters,
    moduli,
    timesP: constantTable(heap, moduli, special),
    timesPFactors: moduli.map(({ prime }) => shoup(BigInt(montgomery(special, prime)), prime)),
    ones: constantTable(heap, moduli, 1n),
    negatedTimesP: constantTable(heap, moduli, -special),
    negatedOnes: constantTable(heap, moduli, -1n),
    conversion(sources, centred) {
      const key = `${sources.join()} ${centred}`
      let conversion = conversions.get(key)
      if (conversion === undefined) {
        conversion = new BaseConversion(heap, moduli, sources, centred)
        conversions.set(key, conversion)
      }
      return conversion
    },
  }
}

const product = (factors: readonly bigint[]): bigint => factors.reduce((all, factor) => all * factor, 1n)

function constantTable(heap: Heap, moduli: readonly Modulus[], value: bigint): number {
  const address = heap.allocate(4 * moduli.length)
  heap.words(address, moduli.length).set(moduli.map(({ prime }) => montgomery(value, prime)))
  return address
}
