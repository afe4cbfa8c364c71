import { sha256 } from '@noble/hashes/sha2.js'
import t from 'tap'
import { checkParameters, parametersLiteral } from '../../../src/circuit/parameters/parameters.ts'
import { powMod } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit } from '../../../src/circuit/types.ts'
import { createClearEvaluator } from '../../../src/he-ops/clear/evaluator.ts'
import { ExecutionStopped, execute } from '../../../src/he-ops/executor.ts'
import { ConstantStore } from '../../../src/he-ops/simd/constants/constant-store.ts'
import { SimdEngine, type SimdSession } from '../../../src/he-ops/simd/index.ts'
import { switchingKeyBytes } from '../../../src/schedule/key-memory.ts'
import { engineMemory } from '../../../src/schedule/memory.ts'
import {
  type ByteSource,
  bytesSource,
  keySetLayout,
  type PackedFullRlwe,
  type PackedRlwe,
  type SeededRlwe,
} from '../../../src/wire/index.ts'
import { createSimdEvaluator } from '../../support/simd-evaluator.ts'
import { saturate } from '../../wire/fixtures.ts'
import { CircuitBuilder, parameters, STEPS, smallSimdCircuit } from './circuits.ts'
import { simdFixture, unpacked } from './fixture.ts'

const { ring, slots, topLevel, primes } = parameters
const circuit = smallSimdCircuit()
const fixture = await simdFixture(parameters, STEPS)
t.teardown(() => fixture.delete())
const keySet = (): ReturnType<typeof bytesSource> => bytesSource(fixture.keySet)

const slotVectors = [
  Float64Array.from({ length: slots }, (_, s) => Math.sin(s + 1)),
  Float64Array.from({ length: slots }, (_, s) => Math.cos(5 * s) - 0.25),
]
const encrypt = (values: readonly Float64Array[]): SeededRlwe[] =>
  values.map((v) => fixture.encrypt(v, topLevel, circuit.input.scale))
const packed = (pairs: readonly SeededRlwe[]): PackedRlwe[] =>
  pairs.map((pair) => fixture.packed(pair, topLevel))
const pairs = encrypt(slotVectors)
const inputs = packed(pairs)

function clear(of: Circuit, values: readonly Float64Array[]): Float64Array {
  const evaluator = createClearEvaluator(of)
  const { level, scale } = of.input
  return evaluator.decrypt(
    execute(
      of,
      evaluator,
      values.map((v) => evaluator.encrypt(v, level, scale)),
    ),
  ).real
}
const expected = clear(circuit, slotVectors)

const decrypted = (result: PackedFullRlwe, { output }: Circuit = circuit): Float64Array =>
  fixture.decryptPair(result, output.level, output.scale)

const worst = (found: Float64Array, wanted: Float64Array): number =>
  found.reduce((most, value, s) => Math.max(most, Math.abs(value - wanted[s])), 0)

/** Tolerance: the noise of the operations at these scales, and flooding of 10^-4. */
const TOLERANCE = 5e-3
const isRight = (result: PackedFullRlwe): boolean => worst(decrypted(result), expected) < TOLERANCE

async function withEngine(
  options: Parameters<typeof SimdEngine.create>[0],
  body: (engine: SimdEngine) => Promise<void>,
): Promise<void> {
  const engine = await SimdEngine.create(options)
  try {
    await body(engine)
  } finally {
    await engine.close()
  }
}

async function withSession(body: (session: SimdSession, engine: SimdEngine) => Promise<void>): Promise<void> {
  await withEngine({ threads: 2 }, async (engine) => {
    const session = await openSession(engine, circuit, keySet())
    try {
      await body(session, engine)
    } finally {
      session.free()
    }
  })
}

for (const threads of [1, 2, 3]) {
  t.test(`${threads} threads decrypt to what the clear backend says, run after run`, async (t) => {
    await withEngine({ threads }, async (engine) => {
      const session = await openSession(engine, circuit, keySet())
      const { used } = engine.memory
      for (let repetition = 0; repetition < 3; repetition++) {
        const error = worst(decrypted(await session.run(inputs)), expected)
        t.ok(error < TOLERANCE, `off by ${error}`)
        t.equal(engine.memory.used, used, 'a run takes no memory beyond what was linked')
      }
      const other = [slotVectors[1], slotVectors[0]]
      const result = await session.run(packed(encrypt(other)))
      t.ok(worst(decrypted(result), clear(circuit, other)) < TOLERANCE, 'other inputs, other results')
      t.notOk(isRight(result), 'the comparison can fail')
      session.free()
    })
  })
}

t.test('keys and weights in far memory: the same values, on all threads', async (t) => {
  const { far } = engineMemory(circuit, 0)
  t.ok(far > 3 * switchingKeyBytes(parameters), 'most of the memory is far')
  for (const threads of [1, 3]) {
    await withEngine({ threads, kernelBytes: 0 }, async (engine) => {
      const session = await openSession(engine, circuit, keySet())
      for (let repetition = 0; repetition < 2; repetition++) {
        t.ok(isRight(await session.run(inputs)), `${threads} threads`)
      }
      t.ok(engine.memory.used > far, 'far memory is counted')
      session.free()
      await engine.clear()
      t.equal(engine.memory.used, 0, 'all of it is given back')
    })
  }
})

t.test('a circuit that needs more far memory than it may have is refused', async (t) => {
  const { far } = engineMemory(circuit, 0)
  await withEngine({ threads: 1, kernelBytes: 0, memoryBytes: far }, async (engine) => {
    await t.rejects(openSession(engine, circuit, keySet()), { code: 'TOO_LARGE' })
  })
})

/** A session with keys of its own, which are freed with it after its last run. */
async function openSession(engine: SimdEngine, circuit: Circuit, source: ByteSource) {
  const keys = engine.newKeySet(circuit.parameters)
  try {
    const session = await engine.open(circuit, keys, source)
    const runs = new Set<Promise<unknown>>()
    let isFreed = false
    const release = (): void => {
      if (isFreed && runs.size === 0) keys.free()
    }
    return {
      memory: { ...session.memory, keys: keys.bytes },
      check: session.check.bind(session),
      run(...args: Parameters<typeof session.run>) {
        const running = session.run(...args)
        runs.add(running)
        const ended = (): void => {
          runs.delete(running)
          release()
        }
        running.then(ended, ended)
        return running
      },
      free() {
        session.free()
        isFreed = true
        release()
      },
    }
  } catch (error) {
    keys.free()
    throw error
  }
}

t.test('two runs asked for at once follow each other', async (t) => {
  await withSession(async (session) => {
    const other = [slotVectors[1], slotVectors[0]]
    const order: string[] = []
    const [first, second] = await Promise.all([
      session.run(inputs, { onProgress: () => order.push('first') }),
      session.run(packed(encrypt(other)), { onProgress: () => order.push('second') }),
    ])
    t.ok(isRight(first))
    t.ok(worst(decrypted(second), clear(circuit, other)) < TOLERANCE)
    t.equal(order.indexOf('second'), order.lastIndexOf('first') + 1, 'no phase of one among the other’s')
  })
})

t.test('two sessions of one engine do not disturb each other', async (t) => {
  await withSession(async (session, engine) => {
    const builder = new CircuitBuilder()
    const x = builder.input()
    const y = builder.input()
    builder.rescale(builder.dot([[builder.rotate(builder.add(x, y), 7), 0]]))
    const small = builder.finish([Float64Array.of(0.5, 0.25)])
    const other = await openSession(engine, small, keySet())
    const results = await Promise.all([session.run(inputs), other.run(inputs), session.run(inputs)])
    t.ok(isRight(results[0]))
    t.ok(worst(decrypted(results[1], small), clear(small, slotVectors)) < TOLERANCE)
    t.ok(isRight(results[2]))
    other.free()
    t.ok(isRight(await session.run(inputs)), 'nor does the end of one')
  })
})

t.test('a stop leaves memory and session as they were', async (t) => {
  await withSession(async (session, engine) => {
    const { used } = engine.memory
    const stopped = await session.run(inputs, { shouldStop: () => true }).catch((error: unknown) => error)
    t.ok(stopped instanceof ExecutionStopped && stopped.done < circuit.ops.length)
    t.equal(engine.memory.used, used)
    const seen: number[] = []
    t.ok(isRight(await session.run(inputs, { onProgress: (done) => seen.push(done) })))
    t.ok(seen.every((done, i) => i === 0 || done >= seen[i - 1]))
    t.equal(seen.at(-1), circuit.ops.length)
  })
})

/** A copy of the pair, in which one residue of the first polynomial equals its prime. */
function withResidueAtPrime({ limbs, seed }: PackedRlwe, limb: number, at: number): PackedRlwe {
  return {
    seed,
    limbs: limbs.map(({ prime, bits, bytes }, i) => {
      if (i !== limb) return { prime, bits, bytes }
      const copy = bytes.slice()
      for (let bit = 0; bit < bits; bit++) {
        const position = at * bits + bit
        const mask = 1 << (position & 7)
        const isSet = (prime >> BigInt(bit)) & 1n
        copy[position >> 3] = isSet ? copy[position >> 3] | mask : copy[position >> 3] & ~mask
      }
      return { prime, bits, bytes: copy }
    }),
  }
}

t.test('a pair with a residue at its prime is TENSOR_MALFORMED, and the session works on', async (t) => {
  await withSession(async (session, engine) => {
    const { used } = engine.memory
    for (const [pair, limb, at] of [
      [0, 0, 0],
      [1, 4, ring - 1],
      [0, 2, 4097],
    ]) {
      const bad = inputs.map((input, i) => (i === pair ? withResidueAtPrime(input, limb, at) : input))
      await t.rejects(session.run(bad), { code: 'TENSOR_MALFORMED', facts: { prime: limb } })
      t.equal(engine.memory.used, used)
      t.ok(isRight(await session.run(inputs)))
    }
  })
})

t.test('inputs that are too few, too many or of another level are refused', async (t) => {
  await withSession(async (session) => {
    const lower = fixture.packed(fixture.encrypt(slotVectors[1], 2, circuit.input.scale), 2)
    for (const wrong of [[], inputs.slice(0, 1), [...inputs, inputs[0]], [inputs[0], lower]]) {
      await t.rejects(session.run(wrong), { code: 'TENSOR_MALFORMED' }, `${wrong.length} pairs`)
    }
    t.ok(isRight(await session.run(inputs)))
  })
})

/** An altered copy of the key set, with a matching digest. */
function forged(alter: (copy: Uint8Array) => void): ReturnType<typeof bytesSource> {
  const copy = Uint8Array.from(fixture.keySet)
  alter(copy)
  copy.set(sha256(copy.subarray(0, -32)), copy.length - 32)
  return bytesSource(copy)
}

t.test('key sets that are cut off, altered, or for something else', async (t) => {
  const layout = keySetLayout(parameters, STEPS.length)
  const lastGaloisPair = layout.galoisKeyAt(STEPS.length) - layout.pairBytes
  const refused: readonly (readonly [string, ReturnType<typeof bytesSource>, object])[] = [
    ['cut off', bytesSource(fixture.keySet.subarray(0, -1)), { code: 'TENSOR_MALFORMED' }],
    ['empty', bytesSource(new Uint8Array()), { code: 'TENSOR_MALFORMED' }],
    [
      'altered on the way',
      (() => {
        const copy = Uint8Array.from(fixture.keySet)
        copy[lastGaloisPair + 5] ^= 1
        return bytesSource(copy)
      })(),
      { code: 'TENSOR_MALFORMED', message: /altered/ },
    ],
    ...[layout.publicKeyAt, layout.relinKeyAt, lastGaloisPair].flatMap((at) => [
      [
        `a residue beyond its prime at ${at}`,
        forged((copy) => saturate(copy.subarray(at), 30 * 77, 30)),
        { code: 'TENSOR_MALFORMED', facts: { prime: 0 } },
      ] as const,
      [
        `another seed expander at ${at}`,
        forged((copy) => {
          copy[at + layout.pairBytes - 68] = 2
        }),
        { code: 'TENSOR_MALFORMED', facts: { seedType: 2 } },
      ] as const,
    ]),
    [
      'without a key that the circuit needs',
      forged((copy) => {
        const view = new DataView(copy.buffer, copy.byteOffset)
        const largest = 56 + 4 * (STEPS.length - 1)
        view.setUint32(largest, view.getUint32(largest, true) + 2, true)
      }),
      { code: 'KEYS_MISSING' },
    ],
    [
      'for other parameters',
      forged((copy) => {
        copy[20] ^= 1
      }),
      { code: 'PARAMETERS_MISMATCH' },
    ],
  ]
  await withSession(async (session, engine) => {
    const { used } = engine.memory
    for (const [what, source, error] of refused) {
      await t.rejects(openSession(engine, circuit, source), { name: 'PolyVeilError', ...error }, what)
      t.equal(engine.memory.used, used, `${what}: nothing is left of it`)
    }
    t.ok(isRight(await session.run(inputs)), 'a session that was there is not disturbed')
  })
})

t.test('the key set of another client opens, and gives noise', async (t) => {
  const other = await simdFixture(parameters, STEPS)
  await withEngine({ threads: 1 }, async (engine) => {
    const session = await openSession(engine, circuit, bytesSource(other.keySet))
    t.ok(worst(decrypted(await session.run(inputs)), expected) > 1)
    session.free()
  })
  other.delete()
})

t.test('a session’s memory is given back, and the next one takes no more', async (t) => {
  await withEngine({ threads: 2 }, async (engine) => {
    const first = await openSession(engine, circuit, keySet())
    const { used, peak } = engine.memory
    const { keys, constants, program } = first.memory
    t.ok(keys > 0 && constants > 0 && program > 0)
    first.free()
    const { used: kept } = engine.memory
    // Tables of the parameters and constants of the circuit stay.
    t.ok(used - kept >= keys + program, `${used - kept} of ${keys} + ${program} bytes`)
    for (let repetition = 0; repetition < 3; repetition++) {
      const session = await openSession(engine, circuit, keySet())
      t.equal(engine.memory.used, used)
      t.strictSame(session.memory, first.memory)
      t.ok(isRight(await session.run(inputs)))
      session.free()
      t.equal(engine.memory.used, kept)
    }
    // Constants and tables made meanwhile lie between what the first session had.
    t.ok(engine.memory.peak <= peak + constants + program, `${engine.memory.peak} after ${peak} bytes`)
  })
})

t.test('a freed session is not run, and not freed twice', async (t) => {
  await withEngine({ threads: 2 }, async (engine) => {
    const session = await openSession(engine, circuit, keySet())
    const running = session.run(inputs)
    const queued = session.run(inputs)
    session.free()
    t.ok(isRight(await running), 'the run that had been asked for ends first')
    t.ok(isRight(await queued))
    const { used } = engine.memory
    await t.rejects(session.run(inputs), { code: 'INTERNAL' })
    session.free()
    t.equal(engine.memory.used, used)
    const next = await openSession(engine, circuit, keySet())
    t.ok(isRight(await next.run(inputs)))
    next.free()
  })
})

t.test('with too little memory it is TOO_LARGE before anything runs', async (t) => {
  let needed = 0
  await withEngine({ threads: 2 }, async (engine) => {
    const session = await openSession(engine, circuit, keySet())
    needed = engine.memory.peak
    t.ok(isRight(await session.run(inputs)))
    t.equal(engine.memory.peak, needed, 'a run takes no more than opening')
    session.free()
  })
  const limits = Array.from({ length: 12 }, (_, i) => 2 ** 16 + i * Math.ceil(needed / 12))
  // The tables fit, and part of what loading keys needs.
  await withEngine({ threads: 2 }, async (engine) => {
    engine.newKeySet(circuit.parameters)
    limits.push(engine.memory.peak + 2 ** 16)
  })
  for (const memoryBytes of limits.filter((bytes) => bytes < needed)) {
    await withEngine({ threads: 2, memoryBytes }, async (engine) => {
      const facts = { limitBytes: memoryBytes }
      await t.rejects(
        openSession(engine, circuit, keySet()),
        { code: 'TOO_LARGE', facts },
        `${memoryBytes} bytes`,
      )
      // Tables stay, so that the next attempt may get a little further.
      for (let attempt = 0; attempt < 3; attempt++) {
        await t.rejects(openSession(engine, circuit, keySet()), { code: 'TOO_LARGE', facts })
      }
      const { used } = engine.memory
      await t.rejects(openSession(engine, circuit, keySet()), { code: 'TOO_LARGE', facts })
      t.equal(engine.memory.used, used, 'no further attempt leaves more')
    })
  }
  await withEngine({ threads: 2, memoryBytes: needed }, async (engine) => {
    const session = await openSession(engine, circuit, keySet())
    t.ok(isRight(await session.run(inputs)), 'what is needed is enough')
    session.free()
  })
})

t.test('primes beyond 30 bits are refused', async (t) => {
  const literal = parametersLiteral(parameters)
  const wide = checkParameters({
    ...literal,
    primes: literal.primes.slice(0, 2),
    specialPrimes: ['1152921504606830593'],
  })
  await withEngine({ threads: 1 }, async (engine) => {
    await t.rejects(openSession(engine, { ...circuit, parameters: wide }, keySet()), {
      code: 'CONFIG_INVALID',
    })
  })
})

// The attack of test/he-ops/seal/rerandomise.test.ts: after one product with weights, c1_out / c1_in is the
// plaintext of the weights, residue by residue, for anyone who holds the input.

const weights = Float64Array.from({ length: slots }, (_, i) => Math.sin(i + 1))
const SAMPLES = 512
const scaled = (() => {
  const builder = new CircuitBuilder()
  builder.dot([[builder.input(), 0]], 2 ** 20)
  return builder.finish([weights])
})()

/** Samples of what the simd backend makes of the input, and of the encoded weights, modulo q_0. */
function trial(): { before: bigint[]; after: bigint[]; encoded: bigint[] } {
  const evaluator = createSimdEvaluator(fixture.context, fixture.keys, scaled)
  const input = evaluator.load(inputs[0], topLevel, circuit.input.scale)
  const product = evaluator.dot([{ ciphertext: input, constant: 0 }], 2 ** 20)
  const [before, after] = [input, product].map((ciphertext) =>
    Array.from(evaluator.residues(ciphertext)[1].subarray(0, SAMPLES), BigInt),
  )
  for (const ciphertext of [input, product]) evaluator.free(ciphertext)
  evaluator.delete()
  const store = new ConstantStore(fixture.context, [weights])
  const { address } = store.encoded(0, 2 ** 20, 1, 'addend')
  const encoded = Array.from(fixture.context.heap.words(address, SAMPLES), BigInt)
  store.free()
  return { before, after, encoded }
}

/** The first residues modulo q_0 of a polynomial of halves. */
const samples = (polynomial: Uint32Array): bigint[] =>
  Array.from({ length: SAMPLES }, (_, i) => BigInt(polynomial[2 * i]))

t.test('weights cannot be read off the result: each result is re-randomised', async (t) => {
  const [prime] = primes
  const { before, after, encoded } = trial()
  const recovered = (c1: readonly bigint[]): number =>
    c1.filter((value, i) => (value * powMod(before[i], prime - 2n, prime)) % prime === encoded[i]).length
  t.equal(recovered(after), SAMPLES, 'the attack works')
  await withEngine({ threads: 1 }, async (engine) => {
    const session = await openSession(engine, scaled, keySet())
    const results = [await session.run(inputs.slice(0, 1)), await session.run(inputs.slice(0, 1))]
    const [first, second] = results.map((result) => samples(unpacked(result).c1))
    t.equal(recovered(first), 0, 'the defence holds')
    t.equal(recovered(second), 0)
    t.ok(first.filter((word, i) => word === second[i]).length < 3, 'two runs have nothing in common')
    for (const result of results) {
      const error = worst(
        decrypted(result, scaled),
        weights.map((w, s) => w * slotVectors[0][s]),
      )
      t.ok(error < TOLERANCE, `the message stays, off by ${error}`)
    }
    session.free()
  })
})
