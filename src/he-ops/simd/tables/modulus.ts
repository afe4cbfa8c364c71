import { invert, powMod } from '../../../circuit/parameters/primes.ts'
import { minimalRoot } from '../../encoding/ntt.ts'
import { bitReverse, log2Exact } from '../../encoding/order.ts'
import type { KernelArguments } from '../../kernels/arguments.ts'
import type { Heap } from '../memory/heap.ts'

const WORD = 2n ** 32n

/** A constant w below q with floor(w * 2^32 / q), as `multiplyShoup` takes it. */
export interface ShoupConstant {
  readonly w: number
  readonly quotient: number
}

/** A prime q below 2^30 with the constants and tables of the kernels. */
export interface Modulus {
  readonly q: number
  readonly prime: bigint
  /** q^-1 mod 2^32. */
  readonly inverse: number
  /** Products below q^2 that the `dot` kernel may add up before it reduces. */
  readonly chunk: number
  /** 2^64 mod q. */
  readonly square: number
  /** 2^32 mod q, the factor that converts a residue to Montgomery form. */
  readonly montgomery: ShoupConstant
  /** psi^(N/2), a root of -1, and its negative. */
  readonly imaginary: readonly [ShoupConstant, ShoupConstant]
  /** Address of psi^bitReverse(i) for i below N, followed by their Shoup quotients. */
  readonly forward: number
  /** As `forward` for psi^-1. */
  readonly backward: number
  /** Distance in bytes from a root to its quotient. */
  readonly quotients: number
  readonly inverseSize: ShoupConstant
  readonly last: ShoupConstant
}

/** Arguments of the `nttInverse` kernel for a polynomial of N residues at an address. */
export const inverseArguments = (
  { backward, quotients, q, inverseSize, last }: Modulus,
  ring: number,
  values: number,
): KernelArguments<'nttInverse'> => ({
  values,
  table: backward,
  quotients,
  size: ring,
  q,
  inverseSize: inverseSize.w,
  inverseQuotient: inverseSize.quotient,
  last: last.w,
  lastQuotient: last.quotient,
})

/** Arguments of `dot` for a sum over all N residues modulo a prime, without a bias. */
export const sumArguments = ({ q, inverse, chunk }: Modulus, ring: number) => ({
  from: 0,
  length: ring,
  q,
  inverse,
  chunk,
  bias: 0,
})

/** @param value any integer; reduced modulo `prime` */
export function shoup(value: bigint, prime: bigint): ShoupConstant {
  const w = ((value % prime) + prime) % prime
  return { w: Number(w), quotient: Number((w * WORD) / prime) }
}

/** value * 2^32 mod prime, for any integer: a weight in the form of the `dot` kernel. */
export const montgomery = (value: bigint, prime: bigint): number =>
  Number((((value % prime) + prime) * WORD) % prime)

/**
 * Makes the tables of a prime, 16 N bytes on the heap, with SEAL's root.
 *
 * @param ring N, a power of two
 * @param prime below 2^30, 1 modulo 2N
 * @throws TOO_LARGE
 */
export function createModulus(heap: Heap, ring: number, prime: bigint): Modulus {
  const root = minimalRoot(ring, prime)
  const inverseRoot = invert(root, prime)
  const inverseSize = invert(BigInt(ring), prime)
  const unit = powMod(root, BigInt(ring / 2), prime)
  // bitReverse(1) is half of the ring.
  const last = powMod(inverseRoot, BigInt(ring / 2), prime) * inverseSize
  return {
    q: Number(prime),
    prime,
    inverse: Number(inverseModuloWord(prime)),
    chunk: Number((2n * WORD) / prime),
    square: Number((WORD * WORD) % prime),
    montgomery: shoup(WORD, prime),
    imaginary: [shoup(unit, prime), shoup(-unit, prime)],
    forward: rootTable(heap, ring, root, prime),
    backward: rootTable(heap, ring, inverseRoot, prime),
    quotients: 4 * ring,
    inverseSize: shoup(inverseSize, prime),
    last: shoup(last, prime),
  }
}

/** Newton's iteration: each step doubles the number of correct bits. */
function inverseModuloWord(odd: bigint): bigint {
  let inverse = odd
  for (let bits = 3; bits < 32; bits *= 2) inverse = BigInt.asUintN(32, inverse * (2n - odd * inverse))
  return inverse
}

function rootTable(heap: Heap, ring: number, root: bigint, prime: bigint): number {
  const address = heap.allocate(8 * ring)
  const words = new Uint32Array(heap.memory.buffer, address, 2 * ring)
  const bits = log2Exact(ring)
  let power = 1n
  for (let i = 0; i < ring; i++) {
    const place = bitReverse(i, bits)
    words[place] = Number(power)
    words[ring + place] = Number((power * WORD) / prime)
    power = (power * root) % prime
  }
  return address
}
