import { readFile } from 'node:fs/promises'
import t from 'tap'
import { log2Modulus } from '../../src/circuit/laws.ts'
import { refreshFailure, refreshModulusBits, refreshRounds } from '../../src/circuit/refresh.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { type CompileOptions, compile, planReport } from '../../src/compiler/index.ts'
import { clearLogits, golden, maxDifference } from './harness.ts'

/** Known costs of plans for the reference speeds. */
const KNOWN = {
  one_shot: { ring: 8192, refreshes: 4, rounds: 4, products: 6 },
  micro_lr: { ring: 8192, refreshes: 23, rounds: 17, products: 20 },
  micro_t: { ring: 8192, refreshes: 32, rounds: 24, products: 22 },
  micro_s: { ring: 8192, refreshes: 33, rounds: 25, products: 26 },
} as const

t.test('the documentation has the same counts', async (t) => {
  const text = await readFile(new URL('../../docs/deep-networks.md', import.meta.url), 'utf8')
  for (const [name, { ring, rounds, refreshes, products }] of Object.entries(KNOWN)) {
    t.ok(text.includes(`| \`${name}\` | ${ring} | ${rounds} | ${refreshes} | ${products} |`), name)
  }
})

for (const [name, known] of Object.entries(KNOWN)) {
  t.test(`${name} in segments`, async (t) => {
    const { network, images, logits } = await golden(name)
    const options: CompileOptions = {
      model: name,
      preprocessing: network.config.preprocessing,
      refresh: 'client',
      precisionBits: 8,
    }
    const { circuit, plan } = compile(network, options)
    verifyCircuit(circuit)
    const rounds = refreshRounds(circuit)
    t.strictSame(
      { ring: plan.ring, refreshes: plan.ops.refresh, rounds: rounds.length, products: plan.ops.multiply },
      known,
    )
    t.strictSame(plan.rounds, rounds)
    t.ok(refreshFailure(circuit) <= -30, `a chance of 2^${refreshFailure(circuit)} that a value wraps`)
    const stated = /comes back wrong with a chance below 2\^(-\d+)/.exec(planReport(circuit).why.join('\n'))
    t.equal(Number(stated?.[1]), Math.ceil(refreshFailure(circuit)), 'the plan states it')
    const modulus = log2Modulus(circuit.parameters, circuit.refresh!.level)
    t.ok(modulus < refreshModulusBits(circuit) + 4, 'the refresh level has only a few spare bits')
    images.slice(0, 2).forEach((image, i) => {
      t.ok(maxDifference(clearLogits(circuit, image, 'none'), logits[i]) < 1e-4, `image ${i}, exact`)
    })
    const error = maxDifference(clearLogits(circuit, images[0], 'model'), logits[0])
    t.ok(error > 0 && error < 3e-2, `with the noise model: ${error}`)
  })
}

t.test('a network has refreshes where one shot does not fit, unless that is not allowed', async (t) => {
  const { network } = await golden('one_shot')
  const compiled = (options: Partial<CompileOptions>) =>
    compile(network, { model: 'x', preprocessing: network.config.preprocessing, ...options })
  t.equal(compiled({ refresh: 'never' }).circuit.refresh, undefined)
  t.ok(compiled({ rings: [8192] }).circuit.refresh)
  const uncut = compiled({ refresh: 'client', precisionBits: 16 }).circuit
  verifyCircuit(uncut)
  t.equal(uncut.refresh, undefined, 'the plan has no cuts')
  t.throws(() => compiled({ rings: [8192], refresh: 'never' }), { code: 'DEPTH_EXCEEDED' })
  t.throws(() => compiled({ rings: [8192], target: 'seal' }), { code: 'DEPTH_EXCEEDED' })
})

t.test('a slow link gives fewer rounds, and the objective traffic gives less traffic', async (t) => {
  const { network } = await golden('micro_lr')
  const compiled = (options: Partial<CompileOptions>) =>
    compile(network, {
      model: 'x',
      preprocessing: network.config.preprocessing,
      precisionBits: 8,
      ...options,
    }).plan
  const near = compiled({})
  const far = compiled({ link: { roundTripMs: 2000, megabitsPerSecond: 1000 } })
  t.ok(far.rounds.length < near.rounds.length, `${far.rounds.length} rounds instead of ${near.rounds.length}`)
  const lean = compiled({ objective: 'traffic' })
  const traffic = ({ bytes }: typeof near): number => bytes.query + bytes.refreshUp + bytes.refreshDown
  t.ok(traffic(lean) <= traffic(near), `${traffic(lean)} bytes, and ${traffic(near)} for latency`)
})
