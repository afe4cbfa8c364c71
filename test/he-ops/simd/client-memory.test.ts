import t from 'tap'
import { createClientHeap } from '../../../src/he-ops/simd/encryption/client-memory.ts'

const { Memory } = WebAssembly
t.afterEach(() => {
  WebAssembly.Memory = Memory
})

/** Has the platform refuse memories whose maximum is larger. @returns the maxima that were tried, in bytes */
function refuseAbove(bytes: number): number[] {
  const tried: number[] = []
  WebAssembly.Memory = function create(descriptor: WebAssembly.MemoryDescriptor) {
    const maximum = descriptor.maximum! * 65536
    tried.push(maximum)
    if (maximum > bytes) throw new RangeError('WebAssembly.Memory(): could not allocate memory')
    return new Memory(descriptor)
  } as unknown as typeof Memory
  return tried
}

t.test('the largest maximum that the platform gives is taken', async (t) => {
  for (const sharing of ['shared', 'unshared'] as const) {
    t.strictSame(refuseAbove(2 ** 32).length, 0)
    createClientHeap(sharing)
    const tried = refuseAbove(2 ** 30)
    const heap = createClientHeap(sharing)
    t.strictSame(tried, [2 ** 32, 2 ** 31, 2 ** 30])
    t.throws(() => heap.allocate(2 ** 30), { code: 'TOO_LARGE', facts: { limitBytes: 2 ** 30 } })
    t.ok(heap.allocate(2 ** 20) > 0)
  }
})

t.test('a platform that gives no memory is an error', async (t) => {
  refuseAbove(0)
  t.throws(() => createClientHeap('shared'), {
    code: 'TOO_LARGE',
    message: /refuses/,
    facts: { neededBytes: 2 ** 26, limitBytes: 0 },
  })
})

t.test('other errors stay', async (t) => {
  WebAssembly.Memory = function create() {
    throw new TypeError('no memory')
  } as unknown as typeof Memory
  t.throws(() => createClientHeap('shared'), TypeError)
})
