import type { CkksParameters } from '../../../circuit/parameters/parameters.ts'
import type { Polynomial } from '../../../wire/index.ts'
import { instantiateKernels } from '../../kernels/kernels.ts'
import { createSimdContext } from '../context.ts'
import { sampleScratch, ternary } from '../operations/sample.ts'
import { reduceSmall } from '../operations/small-polynomial.ts'
import { createClientHeap } from './client-memory.ts'

/**
 * Samples a ternary secret key, from the platform's CSPRNG, in kernel memory of its own, which is
 * overwritten.
 *
 * @param parameters with primes below 2^30
 * @returns residues modulo all primes, in NTT form; the caller overwrites them
 */
export async function sampleSecret(parameters: CkksParameters): Promise<Polynomial> {
  const heap = createClientHeap('unshared')
  const { memory } = heap
  try {
    const context = createSimdContext(await instantiateKernels(memory), heap, parameters)
    const { call, limbBytes, moduli, ring } = context
    const coefficients = heap.allocate(limbBytes)
    const residues = heap.allocate(limbBytes)
    const { offset } = ternary(call, context, coefficients, heap.allocate(sampleScratch(context)))
    const secret = new Uint32Array(2 * ring * moduli.length)
    moduli.forEach((_, i) => {
      reduceSmall(call, context, i, coefficients, Number(offset), residues)
      heap.words(residues, ring).forEach((residue, b) => {
        secret[2 * (i * ring + b)] = residue
      })
    })
    return secret
  } finally {
    new Uint8Array(memory.buffer).fill(0)
  }
}
