import { bitReverse, log2Exact } from './order.ts'

/**
 * Where the residues of sigma_g(a) come from, sigma_g: X -> X^g, for a polynomial in NTT form in SEAL's
 * order: entry b of the result is entry `order[b]` of a, modulo every prime. Entry b is the value at psi^(2 *
 * bitReverse(b) + 1), and sigma_g(a) takes at psi^e the value of a at psi^(e * g).
 *
 * @param ring polynomial modulus degree N
 * @param element the Galois element g, odd, below 2N; 1 is the identity
 */
export function automorphismOrder(ring: number, element: number): Uint32Array {
  const bits = log2Exact(ring)
  const order = new Uint32Array(ring)
  for (let b = 0; b < ring; b++) {
    // Both factors are below 2^17, so the product is exact; its bits below 2N are the exponent.
    const exponent = ((2 * bitReverse(b, bits) + 1) * element) % (2 * ring)
    order[b] = bitReverse((exponent - 1) >> 1, bits)
  }
  return order
}
