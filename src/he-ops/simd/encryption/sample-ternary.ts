import { PolyVeilError } from '../../../errors/index.ts'
import type { Polynomial } from '../../../wire/index.ts'
import { createKernelMemory, instantiateKernels } from '../../kernels/kernels.ts'
import type { SealContext } from '../../seal/context.ts'
import { generateSecretKey, secretPolynomial } from '../../seal/keys/secret.ts'
import type { RestrictedContexts } from '../../seal/restricted-contexts.ts'
import { createSimdContext } from '../context.ts'
import { Heap } from '../memory/heap.ts'
import { readSmall, reduceSmall } from './small-polynomial.ts'

/**
 * A fresh ternary secret key, sampled by node-seal modulo two primes and written modulo all: that takes a small context of
 * node-seal's, where a whole one would take seconds.
 *
 * @param contexts of parameters with primes below 2^30
 * @returns residues modulo all primes, in NTT form; the caller's to overwrite
 */
export async function sampleTernary(contexts: RestrictedContexts): Promise<Polynomial> {
  const { parameters } = contexts
  const low = sampleLow(contexts.at(0))
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

/** Modulo the two primes of the lowest context. */
function sampleLow(ctx: SealContext): Polynomial {
  const key = generateSecretKey(ctx)
  try {
    return secretPolynomial(ctx, key)
  } finally {
    key.delete()
  }
}
