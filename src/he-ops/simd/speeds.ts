import { nttPrimes } from '../../circuit/parameters/primes.ts'
import { type KernelCall, kernelCalls } from '../kernels/call.ts'
import { createKernelMemory, instantiateKernels } from '../kernels/kernels.ts'
import { Heap } from './memory/heap.ts'
import { GaloisTables } from './tables/galois-table.ts'
import { createModulus } from './tables/modulus.ts'

/** Speeds of the kernels on this machine, in seconds on one core. */
export interface KernelSpeeds {
  /** One number-theoretic transform of `SPEED_RING` residues. */
  readonly ntt: number
  /** One residue multiplied and accumulated, in a sum as long as those of key switching. */
  readonly multiplyAdd: number
  /** One residue moved by an automorphism. */
  readonly gather: number
  /** One residue added. */
  readonly elementwise: number
}

/** The ring dimension of the timed transform. */
export const SPEED_RING = 16384
/**
 * Summands of the timed sum. Each has residues of its own, as key switching reads its keys from main memory.
 */
const TERMS = 8
/** Sums over different memory, as many as exceed the caches. */
const SUMS = 24
const TARGET_SECONDS = 0.04

/** Times each kernel for some hundredths of a second, after a warm-up; the fastest of five rounds counts. */
export async function measureKernelSpeeds(): Promise<KernelSpeeds> {
  const memory = createKernelMemory()
  const call = kernelCalls(await instantiateKernels(memory))
  const heap = new Heap(memory)
  const modulus = createModulus(heap, SPEED_RING, nttPrimes(SPEED_RING, [30])[0])
  const galois = new GaloisTables(heap, SPEED_RING)
  const table = galois.table(3)
  const { q, forward, quotients } = modulus
  const limb = (): number => heap.allocate(4 * SPEED_RING)
  const [a, b, out] = [limb(), limb(), limb()]
  return {
    ntt: perCall(() => call('nttForward', { values: a, table: forward, quotients, size: SPEED_RING, q })),
    multiplyAdd: timeSums(call, heap, modulus),
    gather:
      perCall(() => call('permute', { out, a, table, patterns: galois.patterns, size: SPEED_RING })) /
      SPEED_RING,
    elementwise: perCall(() => call('add', { out, a, b, size: SPEED_RING, q })) / SPEED_RING,
  }
}

/** Times sums of digits times keys, each with different keys. */
function timeSums(call: KernelCall, heap: Heap, modulus: ReturnType<typeof createModulus>): number {
  const { q, inverse, chunk } = modulus
  const limbBytes = 4 * SPEED_RING
  const digits = heap.allocate(TERMS * limbBytes)
  const keys = heap.allocate(SUMS * TERMS * limbBytes)
  const out = heap.allocate(limbBytes)
  const tables = Array.from({ length: SUMS }, (_, sum) => {
    const table = heap.allocate(8 * TERMS)
    const words = heap.words(table, 2 * TERMS)
    for (let j = 0; j < TERMS; j++) {
      words[2 * j] = digits + j * limbBytes
      words[2 * j + 1] = keys + (sum * TERMS + j) * limbBytes
    }
    return table
  })
  const all = (): void => {
    for (const table of tables) {
      call('dot', {
        out,
        blockTerms: 0,
        blockCount: 0,
        vectorTerms: table,
        vectorCount: TERMS,
        from: 0,
        length: SPEED_RING,
        q,
        inverse,
        chunk,
        bias: 0,
      })
    }
  }
  return perCall(all) / (SUMS * TERMS * SPEED_RING)
}

/** Seconds of one call. */
function perCall(body: () => void): number {
  const time = (repeats: number): number => {
    const start = performance.now()
    for (let i = 0; i < repeats; i++) body()
    return (performance.now() - start) / 1000 / repeats
  }
  // The warm-up lets the optimising compiler finish.
  const once = time(20)
  const repeats = Math.max(1, Math.round(TARGET_SECONDS / 5 / once))
  return Math.min(...Array.from({ length: 5 }, () => time(repeats)))
}
