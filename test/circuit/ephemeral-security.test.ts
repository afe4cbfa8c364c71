import { readFileSync } from 'node:fs'
import t from 'tap'
import { EPHEMERAL_WEIGHT, MAX_EPHEMERAL_LOG_QP } from '../../src/circuit/parameters/ephemeral.ts'
import { MAX_LOG_QP } from '../../src/circuit/parameters/parameters.ts'
import { denseBits, dualHybrid, primalHybrid, type SparseInstance } from '../support/sparse-secret-attacks.ts'

const LEAST_BITS = 128

/** log2 of the cheapest attack by core-SVP. */
const bitsOf = (instance: SparseInstance): number =>
  Math.min(primalHybrid(instance).bits, dualHybrid(instance).bits)

const weight = EPHEMERAL_WEIGHT

for (const [ring, logModulus] of Object.entries(MAX_EPHEMERAL_LOG_QP)) {
  t.test(
    `the ephemeral secret of ring ${ring} has ${LEAST_BITS} bits at ${logModulus} bits of modulus`,
    async (t) => {
      const instance = { ring: Number(ring), logModulus, weight }
      const [primal, dual] = [primalHybrid(instance), dualHybrid(instance)]
      t.comment(primal, dual)
      t.ok(primal.bits >= LEAST_BITS, `guessing and nearest planes: ${primal.bits}`)
      t.ok(dual.bits >= LEAST_BITS, `guessing and dual vectors: ${dual.bits}`)
    },
  )
}

t.test('weak secrets are noticed', async (t) => {
  const cases: readonly SparseInstance[] = [
    { ring: 65536, logModulus: 121, weight: 8 },
    { ring: 32768, logModulus: 90, weight: 24 },
    { ring: 8192, logModulus: 214, weight },
    // The modulus that ring 65536 allows.
    { ring: 32768, logModulus: 121, weight },
  ]
  for (const weak of cases) t.ok(bitsOf(weak) < LEAST_BITS, JSON.stringify(weak))
})

t.test('more weight, a smaller modulus and a larger ring make attacks dearer', async (t) => {
  const usual = { ring: 32768, logModulus: 90, weight }
  for (const attack of [primalHybrid, dualHybrid]) {
    const { bits } = attack(usual)
    t.ok(attack({ ...usual, weight: 40 }).bits > bits + 5)
    t.ok(attack({ ...usual, logModulus: 76 }).bits > bits + 2)
    t.ok(attack({ ...usual, ring: 65536 }).bits > bits + 10)
  }
})

t.test('the model of the security table gives its bounds for dense secrets 128 bits', async (t) => {
  for (const [ring, logModulus] of Object.entries(MAX_LOG_QP)) {
    const bits = denseBits({ ring: Number(ring), logModulus }, 'sieve')
    t.ok(bits >= LEAST_BITS && bits < LEAST_BITS + 4, `ring ${ring}: ${bits}`)
    const least = denseBits({ ring: Number(ring), logModulus }, 'core-SVP')
    t.ok(least > 90 && least < 100, `core-SVP is stricter by far: ${least}`)
  }
})

t.test('the threat model has the figures', async (t) => {
  const text = readFileSync(new URL('../../docs/threat-model.md', import.meta.url), 'utf8')
  const rows = [...text.matchAll(/^\| (\d+), (\d+)[^|]*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$/gm)]
  t.equal(rows.length, 4)
  for (const [, ring, logModulus, ...stated] of rows) {
    const instance = { ring: Number(ring), logModulus: Number(logModulus), weight }
    const found = (['core-SVP', 'sieve'] as const).flatMap((reduction) => [
      primalHybrid(instance, reduction).bits,
      dualHybrid(instance, reduction).bits,
    ])
    t.strictSame(found.map(Math.floor), stated.map(Number), `ring ${ring}, ${logModulus} bits`)
  }
  for (const [ring, logModulus] of Object.entries(MAX_EPHEMERAL_LOG_QP)) {
    t.match(text, `| ${ring}, ${logModulus}, the limit |`)
  }
})
