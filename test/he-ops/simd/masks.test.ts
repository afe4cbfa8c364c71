import t from 'tap'
import { bundledImages } from '../../../scripts/building/bundled-images.ts'
import { logitCoefficients } from '../../../src/circuit/answer.ts'
import { manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import { invert } from '../../../src/circuit/parameters/primes.ts'
import type { Circuit, InputSpec } from '../../../src/circuit/types.ts'
import { KeyRing, LocalModel, memoryKeyStore } from '../../../src/client/index.ts'
import { compile } from '../../../src/compiler/index.ts'
import { openSimdSession } from '../../../src/he-ops/engines/simd-session.ts'
import { newFloodingKeys } from '../../../src/he-ops/flooding.ts'
import { SimdEngine } from '../../../src/he-ops/simd/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint } from '../../../src/models/index.ts'
import {
  bytesSource,
  decodeTensor,
  type FullRlwe,
  maskedSpec,
  openFullTensor,
  type PackedFullRlwe,
  responseSpec,
} from '../../../src/wire/index.ts'
import { golden } from '../../compiler/harness.ts'
import { casesOf } from '../../support/thorough.ts'
import { collect } from '../../wire/fixtures.ts'
import { mod, residuesOf, transforms } from '../seal/exact.ts'
import { unpacked } from './fixture.ts'

// In a refresh round the client decrypts values that are uniform modulo the refresh level's modulus, for any
// picture; two queries of one picture are independent. Pictures without detail are the ones that weak masks
// would reveal: their energy is in few coefficients. The same holds for an answer outside its logits.

type Picture = (y: number, x: number, channel: number) => number

/** In units of the preprocessed image. */
const pictures = (white: number, black: number): Record<string, Picture> => {
  const noise = Float64Array.from({ length: 65_536 }, (_, i) => Math.sin(i * i * 12.9898))
  return {
    white: () => white,
    black: () => black,
    'half white': (_, x) => (x < 14 ? white : black),
    checkered: (y, x) => ((x + y) % 2 === 0 ? white : black),
    striped: (y) => (y % 4 < 2 ? white : black),
    'flat, +2 deviations': () => 2,
    noise: (y, x, c) => noise[(y * 257 + x * 31 + c * 7) % noise.length] * 2,
  }
}

function imageOf({ image, preprocessing }: InputSpec, picture: Picture) {
  const [channels, height, width] = image
  const tensor = Float64Array.from({ length: channels * height * width }, (_, i) => {
    const position = i % (height * width)
    return picture(Math.floor(position / width), position % width, Math.floor(i / (height * width)))
  })
  return { shape: image, tensor, preprocessing }
}

/**
 * Largest chi-squared of 32 cells of equal probability that hundreds of tests may reach by chance; mean 31,
 * standard deviation 7.9.
 */
const UNIFORM = 31 + 9 * 7.9
/** Largest correlation of independent samples that chance may reach, in units of 1 / sqrt(n). */
const CORRELATED = 6

/** @param fractions of the modulus, from 0 to 1 */
function chiSquared(fractions: Float64Array): number {
  const cells = new Array<number>(32).fill(0)
  for (const fraction of fractions) cells[Math.min(31, Math.floor(32 * fraction))]++
  const expected = fractions.length / 32
  return cells.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0)
}

function correlation(a: Float64Array, b: Float64Array): number {
  let [ab, aa, bb] = [0, 0, 0]
  a.forEach((_, i) => {
    const [x, y] = [a[i] - 0.5, b[i] - 0.5]
    ab += x * y
    aa += x * x
    bb += y * y
  })
  return (ab / Math.sqrt(aa * bb)) * Math.sqrt(a.length)
}

/** A service's engine and a client, in this process. */
async function open(circuit: Circuit) {
  const { parameters } = circuit
  const manifest = manifestOf(circuit)
  const ring = new KeyRing(memoryKeyStore())
  const model = new LocalModel(manifest, ring)
  const engine = await SimdEngine.create({ threads: 2 })
  const keySet = bytesSource(await collect(model.keySet()))
  const session = await openSimdSession(engine, {
    circuit,
    manifest,
    keys: engine.newKeySet(parameters),
    source: keySet,
    floodingKeys: newFloodingKeys(),
  })
  const residues = residuesOf(parameters, (await ring.unlock(parameters)).copySecret())
  const primes = parameters.primes.slice(0, circuit.refresh!.level + 1)
  const modulus = primes.reduce((product, prime) => product * prime, 1n)
  const limbs = primes.map((prime, i) => ({
    prime,
    secret: residues(i),
    transform: transforms(parameters.ring, prime),
    unit: (modulus / prime) * invert(modulus / prime, prime),
  }))

  /**
   * The decrypted values as fractions of the modulus, exact integers by the Chinese remainder theorem; and
   * their residues as fractions of each prime.
   */
  function decrypted(masked: PackedFullRlwe): Float64Array[] {
    const { c0, c1 } = unpacked(masked)
    const { ring: size } = parameters
    const coefficients = limbs.map(({ prime, secret, transform }, i) =>
      transform.inverse(
        secret.map((s, b) => {
          const at = 2 * (i * size + b)
          return mod(BigInt(c0[at]) + BigInt(c1[at]) * s, prime)
        }),
      ),
    )
    const whole = Float64Array.from({ length: size }, (_, k) => {
      const sum = limbs.reduce((all, { unit, prime }, i) => all + unit * mod(coefficients[i][k], prime), 0n)
      return Number(((sum % modulus) * 2n ** 52n) / modulus) / 2 ** 52
    })
    const residues = limbs.map(({ prime }, i) =>
      Float64Array.from(coefficients[i], (value) => Number(mod(value, prime)) / Number(prime)),
    )
    return [whole, ...residues]
  }

  /** The answer's residues as fractions of each prime, without the coefficients that carry logits. */
  function outsideLogits(frame: Uint8Array): Float64Array[] {
    const [{ c0, c1 }] = decodeTensor(parameters, responseSpec(manifest), frame) as FullRlwe[]
    const { ring: size } = parameters
    const { stride } = logitCoefficients(circuit)
    return parameters.primes.slice(0, circuit.output.level + 1).map((prime, i) => {
      const phase = residues(i).map((s, b) => {
        const at = 2 * (i * size + b)
        return mod(BigInt(c0[at]) + BigInt(c1[at]) * s, prime)
      })
      const masked = transforms(size, prime)
        .inverse(phase)
        .filter((_, k) => k % stride !== 0)
      return Float64Array.from(masked, (value) => Number(mod(value, prime)) / Number(prime))
    })
  }

  /** The first ciphertext of some rounds of a query, and what its answer has outside the logits. */
  async function query(picture: Picture, rounds: readonly number[]) {
    const seen = new Map<number, PackedFullRlwe>()
    const frame = await model.encrypt(imageOf(circuit.input, picture))
    const answer = await session.infer(frame, {}, async (round, masked, take) => {
      if (rounds.includes(round)) {
        seen.set(round, openFullTensor(parameters, maskedSpec(manifest, round), masked.slice())[0])
      }
      await take(await model.refresh(round, masked))
    })
    return {
      masked: rounds.map((round) => decrypted(seen.get(round)!)),
      outside: () => outsideLogits(answer),
    }
  }

  return {
    rounds: manifest.rounds,
    query,
    async close() {
      await engine.close()
      ring.close()
    },
  }
}

async function digits(): Promise<Circuit> {
  const bundled = bundledNetworks()[0]
  const { config } = bundled
  const network = loadNetwork(await readCheckpoint(bundled.checkpoint), config)
  const calibration = await bundledImages(bundled)
  const { preprocessing, labels } = config
  return compile(network, {
    model: 'digits',
    labels,
    preprocessing,
    calibration,
    refresh: 'client',
    precisionBits: 8,
  }).circuit
}

async function microT(): Promise<Circuit> {
  const { network } = await golden('micro_t')
  const { preprocessing } = network.config
  return compile(network, { model: 'micro_t', preprocessing, refresh: 'client', precisionBits: 8 }).circuit
}

for (const [name, make] of Object.entries({ digits, micro_t: microT })) {
  t.test(`${name}: masked values are uniform and independent on pictures of every kind`, async (t) => {
    const circuit = await make()
    const service = await open(circuit)
    t.teardown(() => service.close())
    const { mean, std } = circuit.input.preprocessing ?? { mean: [0.5], std: [0.25] }
    const extremes = pictures((1 - mean[0]) / std[0], -mean[0] / std[0])
    const last = service.rounds - 1
    const rounds = [0, Math.floor(last / 2), last]
    const all = Object.entries(extremes)
    // The other network has every kind in each run.
    const few = all.filter(([kind]) => name === 'digits' || ['white', 'noise'].includes(kind))
    for (const [kind, picture] of casesOf(all, few)) {
      const first = await service.query(picture, rounds)
      const second = await service.query(picture, rounds)
      rounds.forEach((round, i) => {
        first.masked[i].forEach((values, k) => {
          const what = `${kind}, round ${round}, ${k === 0 ? 'integers' : `residues modulo prime ${k - 1}`}`
          for (const each of [values, second.masked[i][k]]) {
            const chi = chiSquared(each)
            t.ok(chi < UNIFORM, `${what}: chi-squared ${chi.toFixed(1)}`)
          }
          const common = correlation(values, second.masked[i][k])
          t.ok(Math.abs(common) < CORRELATED, `${what}: correlation of ${common.toFixed(1)} deviations`)
        })
      })
      if (kind !== 'white' && kind !== 'noise') continue
      const again = second.outside()
      first.outside().forEach((values, k) => {
        const what = `${kind}, answer modulo prime ${k}`
        for (const each of [values, again[k]]) {
          const chi = chiSquared(each)
          t.ok(chi < UNIFORM, `${what}: chi-squared ${chi.toFixed(1)}`)
        }
        const common = correlation(values, again[k])
        t.ok(Math.abs(common) < CORRELATED, `${what}: correlation of ${common.toFixed(1)} deviations`)
      })
    }
  })
}

t.test(
  'positive control: the tests detect a mask that is too small, and a value that two queries share',
  async (t) => {
    const random = (): Float64Array =>
      Float64Array.from(crypto.getRandomValues(new Uint32Array(8192)), (word) => word / 2 ** 32)
    const [a, b, common] = [random(), random(), random()]
    t.ok(chiSquared(a) < UNIFORM)
    t.ok(Math.abs(correlation(a, b)) < CORRELATED)
    // A message of a fifth of the modulus beside the mask, as integers and not modulo anything.
    const weak = (mask: Float64Array) =>
      mask.map((value, i) => (value + 0.2 * (common[i] > 0.5 ? 1 : 0)) / 1.2)
    t.ok(chiSquared(weak(a)) > UNIFORM)
    t.ok(correlation(weak(a), weak(b)) > CORRELATED)
  },
)
