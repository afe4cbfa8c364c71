import t from 'tap'
import { readCircuit, writeCircuit } from '../../src/circuit/format/file.ts'
import { circuitText } from '../../src/circuit/format/text.ts'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { type CompileOptions, compile, planReport } from '../../src/compiler/index.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { SIMD_SPEEDS, type SimdSpeeds } from '../../src/schedule/cost.ts'
import { withOperation } from '../models/support/operations.ts'
import { clearLogits, golden, maxDifference } from './harness.ts'

t.test('one_shot', async (t) => {
  const { network, images, logits } = await golden('one_shot')
  const { circuit, plan } = compile(network, {
    model: 'one-shot',
    preprocessing: network.config.preprocessing,
    target: 'seal',
  })

  t.test('computes the golden logits', async (t) => {
    images.slice(0, 4).forEach((image, i) => {
      t.ok(maxDifference(clearLogits(circuit, image, 'none'), logits[i]) < 1e-4, `image ${i}, exact`)
    })
    const error = maxDifference(clearLogits(circuit, images[0], 'model'), logits[0])
    t.ok(error > 0 && error < 1e-2, `with the noise model: ${error}`)
  })

  t.test('has its known cost', async (t) => {
    t.equal(circuit.parameters.ring, 16384)
    t.ok(plan.logQP <= 430)
    // A product of tensors is two products of their real slots, with one relinearisation.
    t.match(plan.ops, { rotate: 121, conjugate: 19, multiply: 6, relinearise: 3 })
    t.equal(plan.galoisKeys, 20)
    t.equal(circuit.input.layout.ciphertexts, 1)
    t.equal(circuit.ops[circuit.result].level, 0, 'all levels are used')
  })

  t.test('flooding is half of the allowed error, and the tolerance 16 times that error', async (t) => {
    const { flooding, precision, tolerance } = circuit.output
    t.equal(tolerance / flooding, 32)
    // The precision is the allowed error, rounded up to a power of two.
    t.ok(precision >= 2 * flooding && precision < 4 * flooding, `${precision} and ${flooding}`)
  })

  t.test('is deterministic and obeys the laws', async (t) => {
    verifyCircuit(circuit)
    const again = compile(network, {
      model: 'one-shot',
      preprocessing: network.config.preprocessing,
      target: 'seal',
    })
    t.equal(circuitText(again.circuit), circuitText(circuit))
    t.equal(manifestOf(again.circuit).digest, manifestOf(circuit).digest)
  })

  t.test('the manifest contains no figure that is computed from weights', async (t) => {
    const stem = withOperation(network, 'convolution', 'stem', ({ layer }) => ({
      layer: { ...layer, weight: layer.weight.map((w) => w * 1.01) },
    }))
    const changed = withOperation(stem, 'classify', 'head', ({ bias }) => ({
      bias: bias.map((b) => b + 0.1),
    }))
    const other = compile(changed, {
      model: 'one-shot',
      preprocessing: network.config.preprocessing,
      target: 'seal',
    })
    t.strictSame(manifestOf(other.circuit), manifestOf(circuit))
  })

  t.test('a higher precision takes more bits and is reached', async (t) => {
    const precise = compile(network, {
      model: 'one-shot',
      preprocessing: network.config.preprocessing,
      target: 'seal',
      precisionBits: 12,
      rings: [32768],
    })
    t.ok(plan.precisionBits < 12 && precise.plan.precisionBits >= 12)
    t.ok(precise.plan.logQP > plan.logQP)
    t.ok(maxDifference(clearLogits(precise.circuit, images[0], 'model'), logits[0]) < 2e-3)
  })
})

t.test('one_shot for the SIMD engine', async (t) => {
  const { network, images, logits } = await golden('one_shot')
  const compileFor = (options: Partial<CompileOptions> = {}) =>
    compile(network, {
      model: 'one-shot',
      preprocessing: network.config.preprocessing,
      target: 'simd',
      refresh: 'never',
      ...options,
    })
  const { circuit, plan } = compileFor()
  const { primes, specialPrimes } = circuit.parameters

  t.test('computes the golden logits', async (t) => {
    verifyCircuit(circuit)
    images.slice(0, 3).forEach((image, i) => {
      t.ok(maxDifference(clearLogits(circuit, image, 'none'), logits[i]) < 1e-4, `image ${i}, exact`)
      const error = maxDifference(clearLogits(circuit, image, 'model'), logits[i])
      t.ok(error > 0 && error < 1e-2, `image ${i}, with the noise model: ${error}`)
    })
    t.ok(plan.precisionBits >= 8.5)
  })

  t.test('has primes below 2^30, several of them special, and few digits', async (t) => {
    t.ok([...primes, ...specialPrimes].every((prime) => prime < 2n ** 30n && prime >= 2n ** 19n))
    t.equal(circuit.parameters.ring, 16384)
    t.ok(plan.logQP <= 430)
    t.ok(specialPrimes.length > 1)
    t.equal(plan.digits, Math.ceil(primes.length / specialPrimes.length))
    t.equal(circuit.output.level, 1, 'the logits take two primes')
  })

  t.test('has its known cost', async (t) => {
    t.match(plan.ops, { rotate: 189, conjugate: 19, multiply: 6, relinearise: 3 })
    t.equal(plan.galoisKeys, 40)
    t.ok(plan.bytes.keys < 200e6, 'the keys are of moderate size')
    const seal = compileFor({ target: 'seal' })
    t.ok(plan.seconds < seal.plan.seconds / 4, `${plan.seconds} s, node-seal ${seal.plan.seconds} s`)
    const layers = plan.layers.reduce((sum, { seconds }) => sum + seconds, 0)
    t.ok(Math.abs(layers - plan.seconds) < 1e-9, 'the seconds of layers add up')
  })

  t.test('the objective keys gives fewer keys', async (t) => {
    const frugal = compileFor({ objective: 'keys' }).plan
    t.ok(frugal.bytes.keys < plan.bytes.keys)
    t.ok(frugal.seconds > plan.seconds)
  })

  t.test('the plan depends on the speeds of the machine', async (t) => {
    const slow = Object.fromEntries(Object.entries(SIMD_SPEEDS).map(([kind, speed]) => [kind, 2 * speed]))
    const slowed = compileFor({ speeds: slow as unknown as SimdSpeeds })
    const { plan: slower } = slowed
    t.ok(slower.seconds > 1.5 * plan.seconds)
    const read = planReport(readCircuit(writeCircuit(slowed.circuit)))
    t.equal(read.seconds, slower.seconds, 'the file has the seconds of the plan')
    t.strictSame(
      read.layers.map(({ seconds }) => seconds),
      slower.layers.map(({ seconds }) => seconds),
      'the seconds of each layer agree',
    )
  })

  t.test('is deterministic', async (t) => {
    t.equal(circuitText(compileFor().circuit), circuitText(circuit))
  })
})

t.test('a network that does not fit is refused with layer, bits and remedy', async (t) => {
  const { network } = await golden('micro_lr')
  const compileMicro = (rings?: number[]) =>
    compile(network, {
      model: 'micro',
      preprocessing: network.config.preprocessing,
      refresh: 'never',
      rings,
    })
  for (const rings of [[8192], [16384], undefined]) {
    let error: unknown
    try {
      compileMicro(rings)
    } catch (caught) {
      error = caught
    }
    t.type(error, PolyVeilError)
    const { code, facts, message } = error as PolyVeilError
    t.equal(code, 'DEPTH_EXCEEDED')
    t.ok(Number(facts.missingBits) > 0)
    t.equal(Number(facts.neededBits) - Number(facts.limitBits), facts.missingBits)
    t.match(facts.layer, /^(stem|cells\.|reductions\.|head)/)
    t.match(message, /What would help/)
  }
})

t.test('a network of a single logit, whose deviation is 0, gets the usual deviation', async (t) => {
  const { network, images, logits } = await golden('one_shot')
  const single = withOperation(network, 'classify', 'head', ({ weight, bias }) => ({
    weight: weight.slice(0, weight.length / bias.length),
    bias: bias.slice(0, 1),
    shape: [1, 1, 1],
  }))
  const { preprocessing } = network.config
  const { circuit } = compile(
    { ...single, classes: 1 },
    { model: 'single', preprocessing, calibration: images },
  )
  images.forEach((image, k) => {
    const [logit] = clearLogits(circuit, image, 'model')
    const error = Math.abs(logit - logits[k][0])
    t.ok(error < 4 * circuit.estimate.logitError, `image ${k}: ${error}, of ${logit}`)
  })
})
