import fc from 'fast-check'
import t from 'tap'
import { FAR_CHUNK_BYTES, FAR_UNIT_BYTES } from '../../../../src/he-ops/kernels/far-source.ts'
import { createKernelMemory, instantiateKernels } from '../../../../src/he-ops/kernels/kernels.ts'
import { FarMemory } from '../../../../src/he-ops/simd/memory/far-memory.ts'
import { Heap } from '../../../../src/he-ops/simd/memory/heap.ts'

const MIB = 2 ** 20

t.test('what is written comes back by `fetch`, across the ends of chunks', async (t) => {
  const heap = new Heap(createKernelMemory(), Infinity)
  const kernels = await instantiateKernels(heap.memory)
  const { far } = heap
  far.allocate(FAR_CHUNK_BYTES - 5 * MIB)
  const start = far.allocate(10 * MIB)
  const bytes = Uint8Array.from({ length: 10 * MIB }, (_, i) => (i * 7 + (i >> 13)) % 251)
  far.write(start, bytes)
  kernels.far.chunks = far.chunks
  t.equal(far.chunks.length, 2)
  const to = heap.allocate(bytes.length)
  const range = fc.tuple(fc.nat(bytes.length / FAR_UNIT_BYTES - 1), fc.integer({ min: 1, max: 4000 }))
  fc.assert(
    fc.property(range, ([unit, count]) => {
      const units = Math.min(count, bytes.length / FAR_UNIT_BYTES - unit)
      kernels.fetch(to, start / FAR_UNIT_BYTES + unit, units)
      const wanted = bytes.subarray(unit * FAR_UNIT_BYTES, (unit + units) * FAR_UNIT_BYTES)
      return Buffer.compare(heap.bytes(to, wanted.length), wanted) === 0
    }),
    { numRuns: 100, examples: [[[5 * (MIB / FAR_UNIT_BYTES) - 1, 2]]] },
  )
  // Addresses above 2 GB are negative as signed words.
  const high = heap.allocate(2 ** 31 + MIB) + 2 ** 31
  kernels.fetch(high | 0, start / FAR_UNIT_BYTES, 4)
  t.strictSame(heap.bytes(high, 64), bytes.subarray(0, 64))
})

t.test('both memories together stay below the limit', async (t) => {
  const heap = new Heap(createKernelMemory(), 3 * FAR_CHUNK_BYTES)
  const first = heap.far.allocate(FAR_CHUNK_BYTES - 64)
  t.throws(() => heap.allocate(2 * FAR_CHUNK_BYTES), { code: 'TOO_LARGE' }, 'kernel memory counts far memory')
  heap.allocate(FAR_CHUNK_BYTES)
  const refused = {
    code: 'TOO_LARGE',
    facts: { limitBytes: 3 * FAR_CHUNK_BYTES - heap.memory.buffer.byteLength },
  }
  t.throws(() => heap.far.allocate(FAR_CHUNK_BYTES), refused, 'far memory counts kernel memory')
  t.equal(heap.far.used, FAR_CHUNK_BYTES - 64, 'nothing was handed out')
  heap.far.free(first)
  t.equal(heap.far.allocate(MIB), first, 'freed memory is used again')
  t.throws(() => heap.far.free(first + 64), { code: 'INTERNAL' })
  heap.clear()
  t.equal(heap.far.used, 0)
  t.equal(heap.far.size, 0, 'the system has it back')
})

t.test('memory that the system refuses is TOO_LARGE', async (t) => {
  const far = new FarMemory(() => Infinity)
  const { SharedArrayBuffer: real } = globalThis
  t.teardown(() => {
    globalThis.SharedArrayBuffer = real
  })
  globalThis.SharedArrayBuffer = class {
    constructor() {
      throw new RangeError('Array buffer allocation failed')
    }
  } as never
  t.throws(() => far.allocate(64), { code: 'TOO_LARGE', message: 'The system does not give the engine' })
  t.equal(far.used, 0)
})
