import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import { createKernelMemory, instantiateKernels } from '../../src/he-ops/kernels/kernels.ts'
import { Heap } from '../../src/he-ops/simd/memory/heap.ts'
import { createModulus } from '../../src/he-ops/simd/tables/modulus.ts'
import { check, figure, medianSeconds } from '../harness.ts'

const REPEATS = 200

/** Number-theoretic transforms on one core; the inverse checks the forward transform. */
export async function timeTransforms() {
  const memory = createKernelMemory()
  const kernels = await instantiateKernels(memory)
  return [8192, 16384, 32768].map((ring) => {
    const heap = new Heap(memory)
    const { q, forward, backward, quotients, inverseSize, last } = createModulus(
      heap,
      ring,
      nttPrimes(ring, [30])[0],
    )
    const values = heap.allocate(4 * ring)
    const original = Uint32Array.from({ length: ring }, (_, i) => (i * 2654435761) % q)
    const forwards = () => kernels.nttForward(values, forward, quotients, ring, q)
    const backwards = () =>
      kernels.nttInverse(
        values,
        backward,
        quotients,
        ring,
        q,
        inverseSize.w,
        inverseSize.quotient,
        last.w,
        last.quotient,
      )
    heap.words(values, ring).set(original)
    forwards()
    check(!isSame(heap.words(values, ring), original), 'a transform changes something')
    backwards()
    check(isSame(heap.words(values, ring), original), `the transforms of ${ring} undo each other`)
    return { ring, forwardMicroseconds: microseconds(forwards), inverseMicroseconds: microseconds(backwards) }
  })
}

const isSame = (a: Uint32Array, b: Uint32Array): boolean => a.every((residue, i) => residue === b[i])

function microseconds(body: () => void): number {
  const seconds = medianSeconds(11, () => {
    for (let i = 0; i < REPEATS; i++) body()
  })
  return figure((seconds / REPEATS) * 1e6)
}
