import t from 'tap'
import { conjugationElement, galoisElement } from '../../src/circuit/keys.ts'
import { checkParameters } from '../../src/circuit/parameters/parameters.ts'
import { nttPrimes } from '../../src/circuit/parameters/primes.ts'
import type { Circuit, Constant, Op } from '../../src/circuit/types.ts'
import { requireEngineRoom } from '../../src/schedule/engine-room.ts'
import { Reads } from '../../src/schedule/far-storage.ts'
import { switchingKeyBytes } from '../../src/schedule/key-memory.ts'
import { MOST_KERNEL_BYTES, MOST_PLANNED_BYTES } from '../../src/schedule/limits.ts'
import { engineMemory, simdMemory } from '../../src/schedule/memory.ts'

const RING = 65536
const primes = nttPrimes(RING, new Array(44).fill(28)).map(String)
const parameters = checkParameters({
  ring: RING,
  primes: primes.slice(0, 35),
  specialPrimes: primes.slice(35),
})
const at = (level: number) => ({ level, scale: 2 ** 20, layer: 0 })
const input: Op = { kind: 'input', index: 0, ...at(34) }
const rotate = (steps: number, level = 34, source = 0): Op => ({
  kind: 'rotate',
  source,
  steps,
  ...at(level),
})
const circuitOf = (ops: Op[], constants: Constant[] = []): Circuit =>
  ({ parameters, constants, ops, result: ops.length - 1, model: 'large' }) as unknown as Circuit

const numbersTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1)
/** One rotation after the other. */
const chainOf = (steps: readonly number[]): Circuit =>
  circuitOf([input, ...steps.map((step, i) => rotate(step, 34, i))])

const KEY = switchingKeyBytes(parameters)

t.test('reads: keys by step, weights by sum', async (t) => {
  const dot = (...ids: number[]): Op => ({
    kind: 'dot',
    terms: ids.map((constant) => ({ value: 0, constant })),
    constantScale: 2 ** 20,
    ...at(34),
    scale: 2 ** 40,
  })
  const ops: Op[] = [
    input,
    // One step: rotations of one value. The second rotation by 1 waits for the first.
    rotate(1),
    rotate(2),
    { kind: 'conjugate', source: 0, ...at(34) },
    rotate(1, 34, 1),
    { kind: 'multiply', left: 0, right: 0, ...at(34), scale: 2 ** 40 },
    { kind: 'relinearise', source: 5, ...at(34), scale: 2 ** 40 },
    dot(0, 1),
    dot(1),
    { kind: 'addPlain', source: 0, constant: 2, ...at(34) },
  ]
  const reads = new Reads(
    circuitOf(
      ops,
      [0, 1, 2].map((value) => Float64Array.of(value)),
    ),
  )
  t.strictSame(
    new Map(reads.keys),
    new Map<unknown, number>([
      [galoisElement(RING, 1), 2],
      [galoisElement(RING, 2), 1],
      [conjugationElement(RING), 1],
      ['relin', 1],
    ]),
  )
  t.strictSame([...reads.weights], [1, 2, 0])
  const storage = reads.farUpTo(1)
  t.ok(storage.isFarKey('relin') && storage.isFarKey(galoisElement(RING, 2)))
  t.notOk(storage.isFarKey(galoisElement(RING, 1)), 'it is read twice')
  t.notOk(storage.isFarKey('up'), 'a key that nothing reads')
  t.strictSame(
    [0, 1, 2].map((id) => storage.isFarWeight(id)),
    [true, false, false],
    'an addend is no weight',
  )
})

t.test('all is in kernel memory where that suffices', async (t) => {
  const { near, far } = engineMemory(chainOf(numbersTo(40)))
  t.equal(far, 0)
  t.ok(near < MOST_PLANNED_BYTES && near > 40 * KEY)
})

t.test('keys that are read most rarely are far, and no more than needed', async (t) => {
  const circuit = chainOf([...numbersTo(50), ...numbersTo(20)])
  const { near, far, storage } = engineMemory(circuit)
  t.equal(far, 30 * KEY)
  t.notOk(storage.isFarKey(galoisElement(RING, 20)))
  t.ok(storage.isFarKey(galoisElement(RING, 21)))
  t.ok(near <= MOST_PLANNED_BYTES)
  t.equal(simdMemory(circuit), near + far)
  t.doesNotThrow(() => requireEngineRoom(circuit, near + far))
  t.throws(() => requireEngineRoom(circuit, near + far - 1), {
    code: 'TOO_LARGE',
    facts: { neededBytes: near + far, limitBytes: near + far - 1 },
  })
})

t.test('a circuit whose values exceed kernel memory is refused, whatever else is far', async (t) => {
  const ops: Op[] = [input]
  for (let i = 0; i < 250; i++) ops.push({ kind: 'add', left: 0, right: 0, ...at(34) })
  for (let i = 0; i < 250; i++) ops.push({ kind: 'add', left: i + 1, right: ops.length - 1, ...at(34) })
  const circuit = circuitOf([...ops, rotate(1)])
  const { near, far } = engineMemory(circuit)
  t.ok(near > MOST_KERNEL_BYTES)
  t.equal(far, KEY)
  t.throws(() => requireEngineRoom(circuit, Infinity), {
    code: 'TOO_LARGE',
    facts: { neededBytes: near, limitBytes: MOST_KERNEL_BYTES },
  })
})
