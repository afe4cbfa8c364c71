import t from 'tap'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import {
  createKernelMemory,
  instantiateKernels,
  type Kernels,
  kernelModule,
} from '../../../src/he-ops/kernels/kernels.ts'
import { ConstantStore } from '../../../src/he-ops/simd/constants/constant-store.ts'
import { createSimdContext } from '../../../src/he-ops/simd/context.ts'
import { Heap } from '../../../src/he-ops/simd/memory/heap.ts'
import { PairLoader } from '../../../src/he-ops/simd/values/pair-loader.ts'
import { SeedExpander } from '../../../src/he-ops/simd/values/seeds.ts'

const memory = createKernelMemory()
const kernels = await instantiateKernels(memory)
const heap = new Heap(memory)
const sizes = [
  'BINOMIAL_BOUND',
  'BINOMIAL_BYTES',
  'CHUNK_BYTES',
  'DOT_GRANULE',
  'RESIDUE_BYTES',
  'RESIDUE_RESERVE',
  'SCRATCH_BYTES',
  'TERNARY_RESERVE',
  'UNPACK_SLACK',
] as const

/** The kernels of a hypothetical build with another constant. */
const rebuilt = (name: (typeof sizes)[number], value: number): Kernels => ({
  ...kernels,
  [name]: new WebAssembly.Global({ value: 'i32' }, value),
})

function bytesOf(make: () => { free(): void }): number {
  const before = heap.used
  const made = make()
  const bytes = heap.used - before
  made.free()
  return bytes
}

const primes = nttPrimes(8192, [30, 30]).map(String)
const parameters = checkParameters({ ring: 8192, primes: primes.slice(0, 1), specialPrimes: primes.slice(1) })

t.test('the module exports its sizes', async (t) => {
  for (const name of sizes) {
    t.type(kernels[name], WebAssembly.Global)
    t.ok(
      Number.isInteger(kernels[name].value) && kernels[name].value > 0,
      `${name} is ${kernels[name].value}`,
    )
  }
})

t.test('the module exports only memory, sizes and kernels, and has no state of its own', async (t) => {
  const exported = WebAssembly.Module.exports(await kernelModule())
  const others = exported.filter(({ name }) => ![...sizes, 'memory'].includes(name))
  t.ok(others.every(({ kind }) => kind === 'function'))
  t.strictSame(
    WebAssembly.Module.imports(await kernelModule()).map(({ kind, name }) => [kind, name]),
    [['memory', 'memory']],
  )
  // All globals are constants, so that two instances on one memory agree.
  for (const name of sizes) t.throws(() => Object.assign(kernels[name], { value: 1 }), TypeError)
})

t.test('a larger scratch or chunk is allocated when the module asks for one', async (t) => {
  const scratch: number = kernels.SCRATCH_BYTES.value
  const usual = bytesOf(() => new SeedExpander(heap, kernels))
  t.equal(
    bytesOf(() => new SeedExpander(heap, rebuilt('SCRATCH_BYTES', scratch + 1024))),
    usual + 1024,
  )
  const chunk: number = kernels.CHUNK_BYTES.value
  t.equal(
    bytesOf(() => new SeedExpander(heap, rebuilt('CHUNK_BYTES', 2 * chunk))),
    usual + chunk,
  )
})

t.test('the slack after packed residues has the size that the module states', async (t) => {
  const loader = (on: Kernels): number => {
    const context = createSimdContext(on, heap, parameters)
    return bytesOf(() => new PairLoader(context))
  }
  t.equal(loader(rebuilt('UNPACK_SLACK', 64 + 7)), loader(kernels) + 64)
})

t.test('blocks shorter than the granule are expanded', async (t) => {
  const values = Float64Array.from({ length: 256 }, (_, i) => Math.sin(i))
  const shiftWith = (on: Kernels): number => {
    const context = createSimdContext(on, heap, parameters)
    return new ConstantStore(context, [values]).encoded(0, 2 ** 20, 1, 'normal').shift
  }
  // 8192 residues in 512 blocks of 16.
  t.equal(kernels.DOT_GRANULE.value, 16)
  t.equal(shiftWith(kernels), 4)
  t.equal(shiftWith(rebuilt('DOT_GRANULE', 32)), 0)
})
