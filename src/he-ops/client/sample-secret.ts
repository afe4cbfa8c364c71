import { PolyVeilError } from '../../errors/index.ts'
import type { Polynomial } from '../../wire/index.ts'
import { createKernelMemory, instantiateKernels } from '../kernels/kernels.ts'
import { createSealContext, type SealContext } from '../seal/context.ts'
import { generateSecretKey, secretPolynomial } from '../seal/keys/secret.ts'
import type { RestrictedContexts } from '../seal/restricted-contexts.ts'
import { createSimdContext } from '../simd/context.ts'
import { readSmall, reduceSmall } from '../simd/encryption/small-polynomial.ts'
import { Heap } from '../simd/memory/heap.ts'

// Both functions sample with node-seal and return residues modulo all primes, in NTT form; the caller
// overwrites them.

/**
 * Samples a ternary secret key modulo two primes, and extends it to all primes with the kernels: node-seal
 * needs seconds for a context of all primes.
 *
 * @param contexts of parameters with primes below 2^30
 */
export async function sampleByKernels(contexts: RestrictedContexts): Promise<Polynomial> {
  const { parameters } = contexts
  const low = sampleIn(contexts.at(0))
  const memory = createKernelMemory('unshared')
  try {
    const context = createSimdContext(await instantiateKernels(memory), new Heap(memory), parameters)
    const { heap, limbBytes, moduli, ring } = context
    const coefficients = heap.allocate(limbBytes)
    const residues = heap.allocate(limbBytes)
    const words = heap.words(coefficients, ring)
    for (let b = 0; b < ring; b++) words[b] = low[2 * b]
    if (!readSmall(context, coefficients, 1)) {
      throw new PolyVeilError('INTERNAL', 'node-seal has made a secret key that is not ternary')
    }
    const secret = new Uint32Array(2 * ring * moduli.length)
    moduli.forEach((_, i) => {
      reduceSmall(context, i, coefficients, 1, residues)
      const found = heap.words(residues, ring)
      for (let b = 0; b < ring; b++) secret[2 * (i * ring + b)] = found[b]
    })
    return secret
  } finally {
    low.fill(0)
    new Uint8Array(memory.buffer).fill(0)
  }
}

/** Samples a ternary secret key in a context of all primes. */
export async function sampleBySeal({ parameters, seal }: RestrictedContexts): Promise<Polynomial> {
  const context = createSealContext(seal, parameters, 'highest level')
  try {
    return sampleIn(context)
  } finally {
    context.delete()
  }
}

/** Samples modulo the primes of the context. */
function sampleIn(context: SealContext): Polynomial {
  const key = generateSecretKey(context)
  try {
    return secretPolynomial(context, key)
  } finally {
    key.delete()
  }
}
