import t from 'tap'
import { manifestOf } from '../../src/circuit/manifest/manifest.ts'
import type { Circuit, Op } from '../../src/circuit/types.ts'
import { verifyCircuit } from '../../src/circuit/verify.ts'
import { type CompileOptions, compile } from '../../src/compiler/index.ts'
import { casesOf } from '../support/thorough.ts'
import { clearBatch, golden, maxDifference } from './harness.ts'

/**
 * Known costs of a circuit: its rotations and their keys, and the ciphertexts of a query and of all refresh
 * rounds.
 */
type Counts = readonly [rotations: number, keys: number, inputs: number, refreshed: number]

/** Costs of plans for the reference speeds, by batch. */
const KNOWN: Readonly<Record<string, Readonly<Record<number, Counts>>>> = {
  one_shot: { 1: [183, 32, 1, 0], 2: [182, 31, 1, 0], 4: [138, 28, 2, 0] },
  micro_t: { 1: [846, 66, 2, 30], 2: [953, 72, 3, 32], 4: [846, 75, 6, 33] },
  micro_s: { 1: [1140, 96, 6, 36], 2: [1084, 82, 12, 44], 4: [1173, 72, 24, 70] },
  micro_lr: { 1: [647, 82, 1, 23], 2: [666, 84, 1, 31], 4: [791, 82, 2, 44] },
}

for (const [name, known] of Object.entries(KNOWN)) {
  t.test(`${name}: each place of a batch has another image`, async (t) => {
    const { network, images, logits } = await golden(name)
    const { preprocessing } = network.config
    for (const batch of casesOf([1, 2, 4], name === 'one_shot' ? [1, 2, 4] : [name === 'micro_lr' ? 4 : 2])) {
      const { circuit, plan } = compile(network, {
        model: name,
        preprocessing,
        batch,
        refresh: name === 'one_shot' ? 'never' : 'client',
        precisionBits: 10,
      })
      verifyCircuit(circuit)
      t.equal(circuit.batch, batch)
      const { rotate, input, refresh } = plan.ops
      t.strictSame([rotate, plan.galoisKeys, input, refresh], known[batch], `counts of ${batch}`)
      t.equal(plan.secondsPerImage, plan.seconds / batch)
      const found = clearBatch(circuit, images.slice(0, batch), 'none')
      found.forEach((row, place) => {
        t.ok(maxDifference(row, logits[place]) < 1e-4, `image ${place} of ${batch}, exact`)
      })
      const noisy = clearBatch(circuit, images.slice(0, batch), 'model')
      const errors = noisy.map((row, place) => maxDifference(row, logits[place]))
      t.ok(
        errors.every((error) => error > 0 && error < 3e-2),
        `with the noise model: ${errors}`,
      )
    }
  })
}

t.test('the logits of the images differ enough to detect a wrong place', async (t) => {
  for (const name of Object.keys(KNOWN)) {
    const { logits } = await golden(name)
    for (let a = 0; a < 4; a++) {
      for (let b = 0; b < a; b++) t.ok(maxDifference(logits[a], logits[b]) > 0.05, `${name}, ${a} and ${b}`)
    }
  }
})

const { network, images, logits } = await golden('one_shot')
const { preprocessing } = network.config
const compiled = (options: Partial<CompileOptions>) =>
  compile(network, { model: 'x', preprocessing, refresh: 'never', ...options })

t.test('a rotation off by one place is refused, and one off by a position changes all images', async (t) => {
  const { circuit } = compiled({ batch: 2 })
  const first = circuit.ops.findIndex(({ kind }) => kind === 'rotate')
  const astray = (by: number): Circuit => ({
    ...circuit,
    ops: circuit.ops.map((op, id) =>
      id === first ? ({ ...op, steps: (op as Rotate).steps + by } as Op) : op,
    ),
  })
  t.throws(() => verifyCircuit(astray(1)), { code: 'CONFIG_INVALID', message: /mixes the 2 images/ })
  verifyCircuit(astray(2))
  clearBatch(astray(2), images.slice(0, 2), 'none').forEach((row, place) => {
    t.ok(maxDifference(row, logits[place]) > 1e-2, `image ${place}`)
  })
})

type Rotate = Extract<Op, { kind: 'rotate' }>

t.test('the places of a batch that is not full hold the images in turn', async (t) => {
  const { circuit } = compiled({ batch: 4 })
  const rows = clearBatch(circuit, images.slice(0, 3), 'none')
  t.equal(rows.length, 4)
  ;[0, 1, 2, 0].forEach((image, place) => {
    t.ok(maxDifference(rows[place], logits[image]) < 1e-4, `place ${place}`)
  })
})

t.test('an automatic batch has as many images as there is room for', async (t) => {
  t.equal(compiled({}).circuit.batch, 1, 'the default is one image')
  const auto = compiled({ batch: 'auto', rings: [32768] }).plan
  const one = compiled({ rings: [32768] }).plan
  t.equal(auto.batch, 4)
  t.ok(auto.seconds < 1.05 * one.seconds, `${auto.seconds} s for four, ${one.seconds} s for one`)
  t.equal(compiled({ batch: 'auto' }).plan.batch, 2, 'a third image would need another ciphertext')
})

t.test('the manifest states the batch, and its digest covers it', async (t) => {
  const [one, two] = [1, 2].map((batch) => manifestOf(compiled({ batch }).circuit))
  t.equal(one.batch, 1)
  t.equal(two.batch, 2)
  t.ok(two.rotationSteps.every((steps) => steps % 2 === 0))
  t.not(one.digest, two.digest)
})

t.test('plans for node-seal can have batches', async (t) => {
  const { circuit, plan } = compiled({ batch: 2, target: 'seal' })
  t.ok(plan.primeBits.some((bits) => bits > 30))
  clearBatch(circuit, images.slice(2, 4), 'none').forEach((row, place) => {
    t.ok(maxDifference(row, logits[2 + place]) < 1e-4)
  })
})

t.test('a batch that does not fit is refused', async (t) => {
  for (const batch of [0, 3, -2, 1.5, Number.NaN, 2 ** 20]) {
    t.throws(() => compiled({ batch }), { code: 'CONFIG_INVALID', message: /no power of two/ }, String(batch))
  }
  // 10 x 10 positions take 128 slots.
  t.throws(() => compiled({ batch: 64, rings: [8192] }), {
    code: 'CONFIG_INVALID',
    message: /A 10 x 10 map and 10 classes do not fit the 64 slots that each of 64 images has/,
    facts: { batch: 64, ring: 8192, slots: 64 },
  })
  t.equal(compiled({ batch: 64, rings: [8192, 16384] }).plan.ring, 16384, 'a larger ring holds it')
  t.throws(() => compiled({ batch: 2, rings: [8192], refresh: 'never' }), { code: 'DEPTH_EXCEEDED' })
})
