import t from 'tap'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { createKernelMemory, instantiateKernels } from '../../../src/he-ops/kernels/kernels.ts'
import { Heap } from '../../../src/he-ops/simd/memory/heap.ts'
import { createModulus, shoup } from '../../../src/he-ops/simd/tables/modulus.ts'

// Compares with the definition: all coefficients written out from the first half, reduced and multiplied in
// bigint arithmetic, and transformed by `nttForward`, which `ntt.test.ts` tests.

const RING = 64
const memory = createKernelMemory()
const kernels = await instantiateKernels(memory)
const heap = new Heap(memory)
const [prime] = nttPrimes(RING, [30])
const modulus = createModulus(heap, RING, prime)
const { q, forward, quotients } = modulus

/** c_(n - k) = -c_k, and the middle one zero. */
const completed = (half: readonly number[]): bigint[] => [
  ...half.map(BigInt),
  0n,
  ...half
    .slice(1)
    .reverse()
    .map((value) => -BigInt(value)),
]

function transformed(coefficients: readonly bigint[], factor: bigint): number[] {
  const residues = coefficients.map((c) => Number((((c * factor) % prime) + prime) % prime))
  const address = heap.allocate(4 * residues.length)
  heap.words(address, residues.length).set(residues)
  kernels.nttForward(address, forward, quotients, residues.length, q)
  const result = [...heap.words(address, residues.length)]
  heap.free(address)
  return result
}

const distinct = (count: number, bound: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.round(Math.sin(3 + i * i) * bound))

for (const half of [4, 8, 32]) {
  t.test(`${2 * half} coefficients are expanded from the first ${half}`, async (t) => {
    const bound = 2 ** 30 - 1
    const polynomials = [
      distinct(half, bound),
      distinct(half, 1000).reverse(),
      new Array<number>(half).fill(0),
    ]
    polynomials[0][1] = -bound
    polynomials[0][2] = bound
    const count = polynomials.length
    const integers = heap.allocate(4 * half * count)
    new Int32Array(memory.buffer, integers, half * count).set(polynomials.flat())
    const stride = 4 * 2 * half * 3
    const out = heap.allocate(stride * count)
    const { w, quotient } = shoup(12345n, prime)
    const bias = q * Math.ceil(2 ** 30 / q)
    kernels.expand(out, stride, integers, count, 2 * half, half, bias, w, quotient, forward, quotients, q)
    polynomials.forEach((polynomial, i) => {
      t.strictSame([...heap.words(out + i * stride, 2 * half)], transformed(completed(polynomial), 12345n))
    })
  })

  t.test(`${2 * half} coefficients that are all kept are expanded`, async (t) => {
    const size = 2 * half
    const bound = 2 ** 30 - 1
    const polynomials = [distinct(size, bound), distinct(size, 1000).reverse()]
    const integers = heap.allocate(4 * size * 2)
    new Int32Array(memory.buffer, integers, size * 2).set(polynomials.flat())
    const stride = 4 * size * 3
    const out = heap.allocate(stride * 2)
    const { w, quotient } = shoup(12345n, prime)
    const bias = q * Math.ceil(2 ** 30 / q)
    kernels.expand(out, stride, integers, 2, size, size, bias, w, quotient, forward, quotients, q)
    polynomials.forEach((polynomial, i) => {
      const wanted = transformed(polynomial.map(BigInt), 12345n)
      t.strictSame([...heap.words(out + i * stride, size)], wanted)
    })
    const values = distinct(size, 2 ** 50)
    const address = heap.allocate(8 * size)
    new Float64Array(memory.buffer, address, size).set(values)
    kernels.expandDoubles(out, address, size, size, forward, quotients, q)
    t.strictSame([...heap.words(out, size)], transformed(values.map(BigInt), 1n))
  })

  t.test(`doubles larger than a word are expanded`, async (t) => {
    const values = distinct(half, 2 ** 50)
    const address = heap.allocate(8 * half)
    new Float64Array(memory.buffer, address, half).set(values)
    const out = heap.allocate(8 * half)
    kernels.expandDoubles(out, address, 2 * half, half, forward, quotients, q)
    t.strictSame([...heap.words(out, 2 * half)], transformed(completed(values), 1n))
  })
}
