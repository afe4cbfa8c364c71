import t from 'tap'
import { EPHEMERAL_WEIGHT } from '../../../src/circuit/parameters/ephemeral.ts'
import {
  checkParameters,
  digitRange,
  ephemeralParameters,
} from '../../../src/circuit/parameters/parameters.ts'
import { invert, nttPrimes } from '../../../src/circuit/parameters/primes.ts'
import { createClientKey, sampleSecretKey } from '../../../src/he-ops/client/create.ts'
import { createSealContext, type SealContext } from '../../../src/he-ops/seal/context.ts'
import { createKeyMaker, noEphemeralSecrets } from '../../../src/he-ops/seal/keys/switching.ts'
import { loadSeal } from '../../../src/he-ops/seal/runtime.ts'
import { EphemeralSecret } from '../../../src/he-ops/simd/encryption/ephemeral-secret.ts'
import { KernelKey } from '../../../src/he-ops/simd/encryption/kernel-key.ts'
import { KernelKeyMaker } from '../../../src/he-ops/simd/encryption/key-maker.ts'
import { negatedSecret } from '../../../src/he-ops/simd/encryption/secret.ts'
import { SymmetricEncryptor } from '../../../src/he-ops/simd/encryption/symmetric-encryptor.ts'
import { inverseArguments } from '../../../src/he-ops/simd/tables/modulus.ts'
import { inlineRunner, type ProgramRunner } from '../../../src/he-ops/simd/threads/run.ts'
import { bytesSource, keySetBytes, openKeySet, type Rlwe } from '../../../src/wire/index.ts'
import { readRlwe, rlweBytes, writeRlwe } from '../../../src/wire/rlwe.ts'
import { raising } from '../../support/raising.ts'
import { collect } from '../../wire/fixtures.ts'
import { expanded, mod, residuesOf, transforms } from '../seal/exact.ts'
import { newSimdContext } from './fixture.ts'

// The ephemeral secret and its two keys, in exact arithmetic.

const RING = 8192
const found = nttPrimes(RING, [27, 26, 28, 30, 29, 30]).map(String)
const parameters = raising(
  checkParameters({ ring: RING, primes: found.slice(0, 4), specialPrimes: found.slice(4) }),
  1,
)
const { primes, specialPrimes } = parameters
const all = [...primes, ...specialPrimes]
const restricted = ephemeralParameters(parameters)!
const restrictedPrimes = [...restricted.primes, ...restricted.specialPrimes]
const special = specialPrimes.reduce((product, prime) => product * prime, 1n)

const seal = await loadSeal()
const ctx = createSealContext(seal, parameters)
const restrictedCtx = createSealContext(seal, restricted)
const secret = await sampleSecretKey(parameters)
const secrets = residuesOf(parameters, secret)
t.teardown(() => {
  ctx.delete()
  restrictedCtx.delete()
})

/** Bound of SEAL's error, centred binomial of 42 bits. */
const ERROR_BOUND = 21n

/** c0 + c1 s modulo prime `i` of a context, in NTT form, s having these residues. */
function phase(ctx: SealContext, pair: Rlwe, i: number, prime: bigint, s: readonly bigint[]): bigint[] {
  const { c0, c1 } = expanded(ctx, pair)
  return s.map((value, b) => mod(c0[i * RING + b] + c1[i * RING + b] * value, prime))
}

/**
 * The ephemeral secret of a key that switches back. The errors of its pairs are read modulo the last prime, a
 * special one, to which nothing is added.
 *
 * @returns coefficients, if they are the same for all digits and primes
 */
function ephemeralOf(up: readonly Rlwe[]): bigint[] {
  const last = all.length - 1
  const candidates = up.flatMap((pair, digit) => {
    const errors = transforms(RING, all[last]).inverse(phase(ctx, pair, last, all[last], secrets(last)))
    t.ok(
      errors.every((e) => e >= -ERROR_BOUND && e <= ERROR_BOUND),
      'errors are small',
    )
    const { start, end } = digitRange(parameters, digit)
    return primes.flatMap((prime, i) => {
      const { inverse } = transforms(RING, prime)
      const message = inverse(phase(ctx, pair, i, prime, secrets(i))).map((value, k) => value - errors[k])
      if (i < start || i >= end) {
        t.ok(
          message.every((value) => mod(value, prime) === 0n),
          'nothing is added elsewhere',
        )
        return []
      }
      const factor = invert(special % prime, prime)
      return [message.map((value) => mod(value * factor, prime)).map((c) => (c === prime - 1n ? -1n : c))]
    })
  })
  for (const other of candidates.slice(1)) t.strictSame(other, candidates[0], 'one secret for all digits')
  return candidates[0]
}

/** Whether a key from the secret key to the ephemeral secret is what it should be. */
function isDownKey(down: readonly Rlwe[], ephemeral: readonly bigint[]): boolean {
  return down.every((pair, digit) => {
    const errors = restrictedPrimes.map((prime, i) => {
      const { forward, inverse } = transforms(RING, prime)
      const phases = phase(restrictedCtx, pair, i, prime, forward(ephemeral))
      const s = secrets(i)
      return inverse(
        i === digit ? phases.map((value, b) => mod(value - specialPrimes[0] * s[b], prime)) : phases,
      )
    })
    const [first] = errors
    return (
      first.every((e) => e >= -ERROR_BOUND && e <= ERROR_BOUND) &&
      errors.every((error) => error.every((e, k) => e === first[k]))
    )
  })
}

async function keysOf(threads: number) {
  const key = await KernelKey.create(parameters, secret, { threads })
  const maker = await key.keyMaker()
  const { down, up } = await maker.raiseKeys()
  maker.delete()
  key.delete()
  const rlwe = (primes: readonly bigint[]) => (pair: (typeof down)[number]) => {
    const bytes = new Uint8Array(rlweBytes({ ring: RING, primes }, true))
    writeRlwe({ ring: RING, primes }, pair, bytes)
    return readRlwe({ ring: RING, primes }, bytes, true)
  }
  return { down: down.map(rlwe(restrictedPrimes)), up: up.map(rlwe(all)) }
}

const isTernary = (coefficients: readonly bigint[]): boolean =>
  coefficients.every((c) => c >= -1n && c <= 1n) &&
  coefficients.filter((c) => c !== 0n).length === EPHEMERAL_WEIGHT

for (const threads of [1, 2]) {
  t.test(`both keys decrypt to what they switch, made by ${threads} threads`, async (t) => {
    const { down, up } = await keysOf(threads)
    t.equal(down.length, 2)
    t.equal(up.length, 2)
    const ephemeral = ephemeralOf(up)
    t.ok(isTernary(ephemeral))
    t.ok(isDownKey(down, ephemeral))
    t.notOk(
      isDownKey(
        down,
        ephemeral.map((c) => -c),
      ),
      'another secret is noticed',
    )
    t.notOk(isDownKey(down.toReversed(), ephemeral), 'another order is noticed')
  })
}

t.test('a client’s key set has the keys, with a secret of its own each time', async (t) => {
  const key = await createClientKey(parameters, secret.slice(), '')
  const ephemeral: string[] = []
  for (let set = 0; set < 2; set++) {
    const frame = await collect(key.keySet([3]))
    t.equal(frame.length, keySetBytes(parameters, [3]))
    const reader = await openKeySet(parameters, bytesSource(frame))
    const coefficients = ephemeralOf(await reader.raiseKey('up'))
    t.ok(isDownKey(await reader.raiseKey('down'), coefficients))
    ephemeral.push(coefficients.join())
  }
  t.not(ephemeral[0], ephemeral[1])
  key.delete()
})

t.test('an ephemeral secret has 32 random signs at random positions', async (t) => {
  const context = await newSimdContext(parameters)
  const { call, heap, limbBytes, moduli } = context
  const { used } = heap
  const to = heap.allocate(limbBytes)
  /** Positions of coefficients that are not zero, with their signs. */
  const draw = (): [number, number][] => {
    const secret = new EphemeralSecret(context)
    secret.write(context, 2, 1n, to)
    secret.delete()
    call('nttInverse', inverseArguments(moduli[2], RING, to))
    return [...heap.words(to, RING).entries()]
      .filter(([, c]) => c !== 0)
      .map(([k, c]) => [k, c === 1 ? 1 : c === moduli[2].q - 1 ? -1 : Number.NaN])
  }
  const DRAWS = 300
  const BINS = 64
  const counts = new Float64Array(BINS)
  let signs = 0
  const seen = new Set<string>()
  for (let i = 0; i < DRAWS; i++) {
    const drawn = draw()
    t.equal(drawn.length, EPHEMERAL_WEIGHT)
    for (const [position, sign] of drawn) {
      counts[Math.floor((position * BINS) / RING)]++
      signs += sign
    }
    seen.add(drawn.join())
  }
  t.equal(seen.size, DRAWS)
  const total = DRAWS * EPHEMERAL_WEIGHT
  t.ok(Math.abs(signs) < 5 * Math.sqrt(total), `signs sum to ${signs}`)
  const expected = total / BINS
  const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  t.ok(Math.abs(chi - (BINS - 1)) < 5 * Math.sqrt(2 * (BINS - 1)), `chi squared ${chi}`)

  t.test('from words of the platform; a position that is taken is drawn again', async (t) => {
    const { kernels } = context
    const { random } = kernels
    t.teardown(() => {
      kernels.random = random
    })
    let calls = 0
    kernels.random = (address, bytes) => {
      t.equal(bytes, 4)
      // The third draw has the position of the second one, with another sign and other unused bits.
      const position = calls === 2 ? 1 : calls
      const sign = calls % 2
      heap.words(address, 1)[0] = sign * 2 ** 31 + calls * 2 ** 20 + position * 5
      return calls++
    }
    const drawn = draw()
    t.equal(calls, EPHEMERAL_WEIGHT + 1)
    t.strictSame(
      drawn,
      [0, 1, ...Array.from({ length: 30 }, (_, i) => i + 3)].map((n) => [5 * n, 1 - 2 * (n % 2)]),
    )
  })
  heap.free(to)
  t.equal(heap.used, used)
})

t.test('what is secret stays in kernel memory only while keys are made', async (t) => {
  const context = await newSimdContext(parameters)
  const { heap } = context
  const negated = negatedSecret(context, secret)
  const encryptor = new SymmetricEncryptor(context, negated)
  const inline = inlineRunner(context)
  const snapshots: Buffer[] = []
  let failing = false
  const runner: ProgramRunner = {
    threads: 1,
    run: async (program) => {
      snapshots.push(Buffer.from(Buffer.from(heap.memory.buffer)))
      if (failing) throw new Error('lost')
      await inline.run(program)
    },
  }
  const maker = new KernelKeyMaker(context, runner, encryptor, negated)
  const { used } = heap
  const pattern = (words: readonly bigint[]) =>
    Buffer.from(Uint32Array.from(words.slice(0, 16), Number).buffer)
  const q = primes[0]
  const scaledSecret = pattern(secrets(0).map((value) => (value * specialPrimes[0]) % q))
  const zeros = Buffer.from(new Uint32Array(64).fill(1).buffer)
  const memory = () => Buffer.from(heap.memory.buffer)

  await maker.raiseKeys()
  const { up } = await maker.raiseKeys()
  const shape = { ring: RING, primes: all }
  const bytes = new Uint8Array(rlweBytes(shape, true))
  const ephemeral = ephemeralOf(
    up.map((pair) => {
      writeRlwe(shape, pair, bytes)
      return readRlwe(shape, bytes, true)
    }),
  )
  const values = transforms(RING, q).forward(ephemeral)
  const patterns = {
    'coefficients of the ephemeral secret': Buffer.from(
      Uint32Array.from(ephemeral, (c) => Number(c) + 1).buffer,
    ),
    'its negative': pattern(values.map((value) => mod(-value * 2n ** 32n, q))),
    'its multiple': pattern(values.map((value) => (value * special) % q)),
    'multiple of the secret key': scaledSecret,
  }
  for (const [what, pattern] of Object.entries(patterns)) {
    t.ok(
      snapshots.some((snapshot) => snapshot.includes(pattern)),
      `${what} is there while keys are made`,
    )
    t.notOk(memory().includes(pattern), `${what} is gone`)
  }
  t.equal(heap.used, used, 'no memory is kept')

  failing = true
  snapshots.length = 0
  await t.rejects(maker.raiseKeys(), { message: 'lost' })
  for (const pattern of [scaledSecret, zeros]) {
    t.ok(snapshots[0].includes(pattern))
    t.notOk(memory().includes(pattern), 'nor after a failure')
  }
  t.equal(heap.used, used)
})

t.test('parameters with a raise level take the kernels', async (t) => {
  const large = nttPrimes(RING, [45, 40, 50]).map(String)
  const refused = raising(
    checkParameters({ ring: RING, primes: large.slice(0, 2), specialPrimes: large.slice(2) }),
    0,
  )
  const expected = { code: 'CONFIG_INVALID', message: noEphemeralSecrets().message }
  await t.rejects(createClientKey(refused, new Uint32Array(1), ''), expected)
  const sealContext = createSealContext(seal, refused)
  const generator = new seal.KeyGenerator(sealContext.context)
  const secretKey = generator.secretKey()
  t.throws(() => createKeyMaker(sealContext, secretKey), expected)
  for (const object of [secretKey, generator, sealContext]) object.delete()
  const plain = await KernelKey.create(
    checkParameters({ ring: RING, primes: found.slice(0, 4), specialPrimes: found.slice(4) }),
    secret,
  )
  const maker = await plain.keyMaker()
  await t.rejects(maker.raiseKeys(), { code: 'INTERNAL' })
  maker.delete()
  plain.delete()
})
