import fc from 'fast-check'
import t from 'tap'
import { createKernelMemory } from '../../../../src/he-ops/kernels/kernels.ts'
import { Heap } from '../../../../src/he-ops/simd/memory/heap.ts'

const PAGE = 65536

t.test('memory of one allocation is not touched by another, and grows as needed', async () => {
  const step = fc.oneof(
    fc.record({ bytes: fc.integer({ min: 1, max: 300_000 }) }),
    fc.record({ free: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const heap = new Heap(createKernelMemory())
      const live: { readonly start: number; readonly bytes: number; readonly mark: number }[] = []
      steps.forEach((given, i) => {
        if ('bytes' in given) {
          const start = heap.allocate(given.bytes)
          if (start === 0) throw new Error('address 0 means nothing')
          const mark = (i % 255) + 1
          heap.bytes(start, given.bytes).fill(mark)
          live.push({ start, bytes: given.bytes, mark })
        } else if (live.length > 0) {
          heap.free(live.splice(given.free % live.length, 1)[0].start)
        }
      })
      for (const { start, bytes, mark } of live) {
        if (!heap.bytes(start, bytes).every((byte) => byte === mark)) throw new Error('overwritten')
      }
      for (const { start } of live) heap.free(start)
      if (heap.used !== 0) throw new Error(`${heap.used} bytes left`)
    }),
    { numRuns: 60, seed: 15 },
  )
})

t.test('words and bytes are views of the memory', async (t) => {
  const heap = new Heap(createKernelMemory())
  const address = heap.allocate(64)
  heap.words(address, 16).fill(0x01020304)
  t.strictSame([...heap.bytes(address + 4, 4)], [4, 3, 2, 1])
})

t.test('beyond the limit it is TOO_LARGE, and the heap stays usable', async (t) => {
  const limit = 4 * PAGE
  const heap = new Heap(createKernelMemory(), limit)
  const first = heap.allocate(PAGE)
  for (const bytes of [limit, 2 ** 31, 2 ** 33]) {
    t.throws(
      () => heap.allocate(bytes),
      { code: 'TOO_LARGE', facts: { limitBytes: limit } },
      `${bytes} bytes`,
    )
    t.equal(heap.used, PAGE, 'nothing was handed out')
    t.ok(heap.peak <= limit, 'nor spanned')
  }
  // The remaining memory, in pieces: failed allocations neither occupy it nor make it unreachable.
  const rest = Array.from({ length: 2 }, () => heap.allocate(PAGE))
  const last = heap.allocate(PAGE - 64)
  t.equal(heap.used, limit - 64)
  t.throws(() => heap.allocate(1), { code: 'TOO_LARGE' })
  for (const address of [first, ...rest, last]) {
    heap.bytes(address, PAGE - 64).fill(1)
    heap.free(address)
  }
  t.equal(heap.used, 0)
  t.equal(heap.allocate(limit - 64), 64, 'the whole of it at once')
  t.equal(heap.peak, limit)
  t.equal(heap.memory.buffer.byteLength, limit, 'and no more than it')
})

t.test('memory that the system refuses is TOO_LARGE too', async (t) => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true })
  const heap = new Heap(memory)
  t.throws(() => heap.allocate(3 * PAGE), { code: 'TOO_LARGE', message: /does not give/ })
  t.equal(heap.used, 0)
  const address = heap.allocate(2 * PAGE - 64)
  t.equal(address, 64)
  t.equal(
    heap
      .bytes(address, 2 * PAGE - 64)
      .fill(7)
      .at(-1),
    7,
  )
})

t.test('freeing twice is refused', async (t) => {
  const heap = new Heap(createKernelMemory())
  const address = heap.allocate(100)
  heap.free(address)
  t.throws(() => heap.free(address), { code: 'INTERNAL' })
  t.equal(heap.used, 0)
})

t.test('the peak is the most that was spanned at once, not what is in use', async (t) => {
  const heap = new Heap(createKernelMemory())
  const addresses = [1000, 2000, 3000].map((bytes) => heap.allocate(bytes))
  const { peak } = heap
  for (const address of addresses) heap.free(address)
  heap.allocate(500)
  t.equal(heap.peak, peak)
  t.equal(heap.used, 512)
})

t.test('an attempt that throws gives back what it allocated, and nothing else', async (t) => {
  const heap = new Heap(createKernelMemory(), 4 * PAGE)
  const before = heap.allocate(100)
  const { used } = heap
  const fault = new Error('a fault')
  t.throws(
    () =>
      heap.attempt(() => {
        heap.free(heap.allocate(10))
        heap.allocate(20)
        heap.attempt(() => heap.allocate(30))
        t.throws(
          () =>
            heap.attempt(() => {
              heap.allocate(40)
              heap.allocate(8 * PAGE)
            }),
          { code: 'TOO_LARGE' },
        )
        heap.allocate(50)
        throw fault
      }),
    fault,
  )
  t.equal(heap.used, used)
  const kept = heap.attempt(() => heap.allocate(1000))
  t.equal(heap.used, used + 1024, 'one that succeeds keeps all')
  t.throws(() =>
    heap.attempt(() => {
      heap.attempt(() => heap.free(before))
      throw fault
    }),
  )
  t.equal(heap.used, 1024, 'what was there before is freed once, if at all')
  heap.free(kept)
  t.equal(heap.used, 0)
})
