import type { FullRlwe } from '../../../wire/index.ts'
import type { SimdContext } from '../context.ts'
import { sumArguments } from '../tables/modulus.ts'

/**
 * Decrypts a pair: c0 + c1 s modulo q_0 .. q_level, in NTT form. Kernel memory keeps nothing of the message.
 *
 * @param negated address of -s modulo all primes, in Montgomery form
 * @param pair checked by `decodeTensor`, at `level`
 * @returns N residues for each prime in turn, which are secret
 */
export function decryptResidues(
  context: SimdContext,
  negated: number,
  { c0, c1 }: FullRlwe,
  level: number,
): BigUint64Array {
  const { heap, call, limbBytes, moduli, ring } = context
  const residues = new BigUint64Array((level + 1) * ring)
  const halves = new Uint32Array(residues.buffer)
  const first = heap.allocate(limbBytes)
  const second = heap.allocate(limbBytes)
  const terms = heap.allocate(8)
  for (let i = 0; i <= level; i++) {
    const { q } = moduli[i]
    const start = 2 * i * ring
    copyLow(c0.subarray(start, start + 2 * ring), heap.words(first, ring))
    copyLow(c1.subarray(start, start + 2 * ring), heap.words(second, ring))
    heap.words(terms, 2).set([second, negated + i * limbBytes])
    call('dot', {
      out: second,
      blockTerms: 0,
      blockCount: 0,
      vectorTerms: terms,
      vectorCount: 1,
      ...sumArguments(moduli[i], ring),
    })
    call('subtract', { out: first, a: first, b: second, size: ring, q })
    heap.words(first, ring).forEach((residue, b) => {
      halves[start + 2 * b] = residue
    })
  }
  for (const address of [first, second]) heap.words(address, ring).fill(0)
  for (const address of [first, second, terms]) heap.free(address)
  return residues
}

/** Copies the low halves of residues of 64 bits, which are below 2^30. */
function copyLow(halves: Uint32Array, words: Uint32Array): void {
  for (let b = 0; b < words.length; b++) words[b] = halves[2 * b]
}
