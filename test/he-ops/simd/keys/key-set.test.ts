import t from 'tap'
import { galoisElement, rotationElements, wholeKeys } from '../../../../src/circuit/keys.ts'
import { checkParameters, digitCount } from '../../../../src/circuit/parameters/parameters.ts'
import { bitLength, nttPrimes } from '../../../../src/circuit/parameters/primes.ts'
import { automorphismOrder } from '../../../../src/he-ops/encoding/automorphism.ts'
import { createSealContext } from '../../../../src/he-ops/seal/context.ts'
import { loadSeal } from '../../../../src/he-ops/seal/runtime.ts'
import type { SimdContext } from '../../../../src/he-ops/simd/context.ts'
import { inverseElement, SimdKeySet } from '../../../../src/he-ops/simd/keys/key-set.ts'
import type { SwitchingKey } from '../../../../src/he-ops/simd/keys/switching-key.ts'
import { inlineRunner } from '../../../../src/he-ops/simd/threads/run.ts'
import { ThreadPool } from '../../../../src/he-ops/simd/threads/thread-pool.ts'
import { mostKeyMemory, switchingKeyBytes } from '../../../../src/schedule/key-memory.ts'
import {
  type ByteSource,
  bytesSource,
  type KeySetMaker,
  keySetLayout,
  openKeySet,
  type SeededRlwe,
  writeKeySet,
} from '../../../../src/wire/index.ts'
import { raising } from '../../../support/raising.ts'
import { collect, distinctPair, saturate } from '../../../wire/fixtures.ts'
import { REJECTING_PRIME, rejectingSeed } from '../../kernels/rejecting.ts'
import { expanded } from '../../seal/exact.ts'
import { newSimdContext } from '../fixture.ts'

// Loading against its definition: unpacked residues and seeds expanded by node-seal, times 2^32, permuted.
// The pairs are random, not keys.

const RING = 8192
const STEPS = [1, 5, 4095]
const elements = rotationElements({ ring: RING }, STEPS)
const [first] = STEPS.map((steps) => galoisElement(RING, steps))
const others = nttPrimes(RING, [30, 30, 30, 24]).filter((prime) => prime !== REJECTING_PRIME)
const parameters = checkParameters({
  ring: RING,
  primes: [REJECTING_PRIME, others[3], others[0]].map(String),
  specialPrimes: others.slice(1, 3).map(String),
})
const all = [...parameters.primes, ...parameters.specialPrimes]
const shape = { ring: RING, primes: all }
const digits = digitCount(parameters)

const switchingKey = (salt: number): SeededRlwe[] =>
  Array.from({ length: digits }, (_, j) => distinctPair(shape, salt + 10 * j))

/** One pair has a seed with a rejected word. */
const relinKey = switchingKey(500)
relinKey[1] = { c0: relinKey[1].c0, seed: rejectingSeed() }
const rotated = new Map(elements.map((element, i) => [element, switchingKey(100 * (i + 1))]))
const last = rotated.get(elements[2])!
last[0] = { c0: last[0].c0, seed: rejectingSeed() }

const raisingParameters = raising(parameters, 1)
const downShape = { ring: RING, primes: [...all.slice(0, 2), all[3]] }
const raiseKeys = {
  down: [distinctPair(downShape, 600), { ...distinctPair(downShape, 610), seed: rejectingSeed() }],
  up: switchingKey(700),
}

const maker: KeySetMaker = {
  publicKey: () => distinctPair(shape, 900),
  relinKey: () => relinKey,
  galoisKey: (element) => rotated.get(element)!,
  raiseKeys: () => raiseKeys,
}
const frame = await collect(writeKeySet(parameters, elements, maker))
const ctx = createSealContext(await loadSeal(), parameters)
t.teardown(() => ctx.delete())

/** Whether a loaded key equals its pairs by the definition. @param seal context of the key's primes */
function isKey(
  context: SimdContext,
  key: SwitchingKey,
  pairs: readonly SeededRlwe[],
  element: number,
  seal = ctx,
) {
  const order = automorphismOrder(RING, inverseElement(element, RING))
  return pairs.every((pair, j) => {
    const { c0, c1 } = expanded(seal, pair)
    return [c0, c1].every((polynomial, p) =>
      context.moduli.every(({ prime }, i) => {
        const found = context.heap.words(key.address(j, p, i), RING)
        return found.every(
          (word, b) => BigInt(word) === (polynomial[i * RING + order[b]] * 2n ** 32n) % prime,
        )
      }),
    )
  })
}

const open = (source: ByteSource = bytesSource(frame)) => openKeySet(parameters, source)

for (const threads of [1, 2, 3]) {
  t.test(`keys in kernel memory, loaded by ${threads} threads`, async (t) => {
    const context = await newSimdContext(parameters)
    const { heap } = context
    const pool = await ThreadPool.create(heap.memory, context.kernels, threads)
    t.teardown(() => pool.close())
    const keys = new SimdKeySet(context)
    t.throws(() => keys.relinKey, { code: 'KEYS_MISSING' })
    await keys.load(await open(), wholeKeys(parameters, [first]), pool)
    t.strictSame([...keys.galoisKeys.keys()], [first])
    const loaded = keys.galoisKeys.get(first)!
    await keys.load(await open(), wholeKeys(parameters, elements), pool)
    t.equal(keys.galoisKeys.get(first), loaded, 'what is there is not loaded again')
    t.equal(keys.bytes, 4 * switchingKeyBytes(parameters))
    t.ok(isKey(context, keys.relinKey, relinKey, 1))
    for (const steps of STEPS) {
      const element = galoisElement(RING, steps)
      const key = keys.galoisKeys.get(element)!
      t.ok(isKey(context, key, rotated.get(element)!, element), `rotation by ${steps}`)
    }
    t.notOk(isKey(context, loaded, rotated.get(elements[0])!, elements[1]), 'another order is noticed')
    const used = heap.used
    keys.free()
    t.equal(used - heap.used, 4 * switchingKeyBytes(parameters), 'nothing but keys takes memory')
    t.equal(keys.bytes, 0)
  })
}

for (const threads of [1, 2]) {
  t.test(`keys of the ephemeral secret, loaded by ${threads} threads`, async (t) => {
    const context = await newSimdContext(raisingParameters)
    const { heap } = context
    const pool = await ThreadPool.create(heap.memory, context.kernels, threads)
    const sealDown = createSealContext(await loadSeal(), context.ephemeral!.parameters)
    t.teardown(() => {
      sealDown.delete()
      return pool.close()
    })
    const frame = await collect(writeKeySet(raisingParameters, elements, maker))
    const reader = await openKeySet(raisingParameters, bytesSource(frame))
    const keys = new SimdKeySet(context)
    t.throws(() => keys.raiseKeys, { code: 'KEYS_MISSING' })
    // The table of an automorphism stays.
    context.galois.table(inverseElement(first, RING))
    const { used } = heap
    await keys.load(reader, wholeKeys(parameters, [first]), pool)
    const { down, up } = keys.raiseKeys
    t.ok(isKey(context.ephemeral!, down, raiseKeys.down, 1, sealDown))
    t.ok(isKey(context, up, raiseKeys.up, 1))
    t.notOk(isKey(context, up, relinKey, 1), 'another key is noticed')
    t.equal(keys.bytes, 3 * switchingKeyBytes(parameters) + 2 * 2 * 3 * 4 * RING)
    t.equal(keys.bytes, mostKeyMemory(raisingParameters, 1))
    t.equal(heap.used - used, keys.bytes)
    await keys.load(reader, wholeKeys(parameters, [first]), pool)
    t.equal(keys.raiseKeys.up, up, 'what is there is not loaded again')
    keys.free()
    t.equal(heap.used, used)
    t.throws(() => keys.raiseKeys, { code: 'KEYS_MISSING' })

    const { at, pairBytes } = keySetLayout(raisingParameters, elements.length).raiseKeys!.down
    saturate(frame, 8 * (at + 2 * pairBytes - 68) - 30, 30)
    const forged = await openKeySet(raisingParameters, { ...bytesSource(frame), verified: true })
    await t.rejects(keys.load(forged, wholeKeys(parameters, [first]), pool), {
      code: 'TENSOR_MALFORMED',
      facts: { prime: 2 },
    })
    keys.free()
    t.equal(heap.used, used, 'nothing is left behind')
  })
}

t.test('a residue that is not below its prime, wherever it is', async (t) => {
  const context = await newSimdContext(parameters)
  const keys = new SimdKeySet(context)
  await keys.load(await open(), wholeKeys(parameters, [first]))
  // Tables of automorphisms are not keys, and stay.
  for (const steps of STEPS) context.galois.table(inverseElement(galoisElement(RING, steps), RING))
  const { used } = context.heap
  const layout = keySetLayout(parameters, elements.length)
  for (const [digit, prime, residue] of [
    [0, 0, 0],
    [1, 1, RING - 1],
    [0, 4, RING - 1],
    [1, 4, 4000],
  ]) {
    const copy = frame.slice()
    const before = all.slice(0, prime).reduce((sum, q) => sum + (RING * bitLength(q)) / 8, 0)
    const limb = layout.galoisKeyAt(1) + digit * layout.pairBytes + before
    const bits = bitLength(all[prime])
    saturate(copy.subarray(limb), residue * bits, bits)
    const reader = await openKeySet(parameters, { ...bytesSource(copy), verified: true })
    await t.rejects(keys.load(reader, wholeKeys(parameters, [elements[1]])), {
      code: 'TENSOR_MALFORMED',
      facts: { prime },
    })
    t.equal(context.heap.used, used, 'nothing is left behind')
    t.strictSame([...keys.galoisKeys.keys()], [first])
  }
  await keys.load(await open(), wholeKeys(parameters, elements))
  t.equal(keys.galoisKeys.size, 3, 'a sound set still loads')
})

t.test('keys are read one ahead, and a failed read is no unhandled rejection', async (t) => {
  const context = await newSimdContext(parameters)
  const events: string[] = []
  const { pairBytes } = keySetLayout(parameters, elements.length)
  let failing = false
  const source: ByteSource = {
    ...bytesSource(frame),
    verified: true,
    async read(offset, length) {
      if (length === digits * pairBytes) events.push('read')
      if (failing && events.filter((event) => event === 'read').length === 3) throw new Error('gone')
      return frame.subarray(offset, offset + length)
    },
  }
  const inline = inlineRunner(context)
  const runner = {
    threads: 1,
    run: async (program: Parameters<typeof inline.run>[0]) => {
      events.push('run')
      await inline.run(program)
    },
  }
  const keys = new SimdKeySet(context)
  await keys.load(await open(source), wholeKeys(parameters, elements), runner)
  t.strictSame(events, ['read', 'read', 'run', 'read', 'run', 'read', 'run', 'run'])
  keys.free()

  failing = true
  events.length = 0
  const { used } = context.heap
  await t.rejects(keys.load(await open(source), wholeKeys(parameters, elements), runner), { message: 'gone' })
  t.equal(keys.bytes, 2 * switchingKeyBytes(parameters), 'keys loaded before stay')
  t.equal(context.heap.used - used, keys.bytes)
})

t.test('errors of the runner are rethrown, and no partial key stays', async (t) => {
  const context = await newSimdContext(parameters)
  const keys = new SimdKeySet(context)
  const runner = { threads: 1, run: () => Promise.reject(new Error('lost')) }
  const { used } = context.heap
  await t.rejects(keys.load(await open(), wholeKeys(parameters, []), runner), { message: 'lost' })
  t.equal(context.heap.used, used)
  await t.rejects(
    keys.load(await open(), wholeKeys(parameters, rotationElements({ ring: RING }, [1, 2, 3]))),
    {
      code: 'KEYS_MISSING',
      facts: { galoisElements: [galoisElement(RING, 2), galoisElement(RING, 3)] },
    },
  )
})

t.test('keys have the primes and the digits of the level up to which they are used', async (t) => {
  const context = await newSimdContext(parameters)
  const keys = new SimdKeySet(context)
  await keys.load(await open(), wholeKeys(parameters, [first]))
  const whole = keys.galoisKeys.get(first)!
  const { heap, limbBytes } = context
  for (const level of [0, 2, parameters.topLevel - 1]) {
    const low = new SimdKeySet(context)
    await low.load(await open(), { relin: undefined, galois: new Map([[first, level]]) })
    t.equal(low.bytes, switchingKeyBytes(parameters, level))
    t.throws(() => low.relinKey, { code: 'KEYS_MISSING' }, 'what is not used is not loaded')
    const key = low.galoisKeys.get(first)!
    t.equal(key.digits, digitCount(parameters, level))
    t.strictSame(key.indices, [
      ...Array.from({ length: level + 1 }, (_, i) => i),
      ...parameters.specialPrimes.map((_, i) => parameters.primes.length + i),
    ])
    for (let j = 0; j < key.digits; j++) {
      for (const p of [0, 1]) {
        for (const index of key.indices) {
          const own = heap.bytes(key.address(j, p, index), limbBytes)
          t.ok(Buffer.compare(own, heap.bytes(whole.address(j, p, index), limbBytes)) === 0)
        }
      }
    }
    await low.load(await open(), { relin: undefined, galois: new Map([[first, 0]]) })
    t.equal(low.galoisKeys.get(first), key, 'a key of a higher level serves')
    await low.load(await open(), wholeKeys(parameters, [first]))
    t.equal(low.galoisKeys.get(first)!.level, parameters.topLevel, 'one of a lower level is loaded again')
    low.free()
  }
  keys.free()
})
