import fc from 'fast-check'
import t from 'tap'
import { circuitElements, conjugationElement, galoisElement, galoisKeyCount } from '../../src/circuit/keys.ts'
import { MAX_LOG_QP } from '../../src/circuit/parameters/parameters.ts'
import { complexCircuit, smallCircuit } from './circuits.ts'

t.test('Galois elements are successive powers of 5', async (t) => {
  for (const ring of Object.keys(MAX_LOG_QP).map(Number)) {
    let element = 1
    let wrong = -1
    for (let steps = 0; steps < ring / 2; steps++) {
      if (galoisElement(ring, steps) !== element) wrong = steps
      element = (element * 5) % (2 * ring)
    }
    t.equal(wrong, -1, `ring ${ring}`)
    t.equal(element, 1, 'a rotation by all slots is the identity')
  }
})

t.test('large numbers of steps are reduced modulo N / 2, the order of 5', async () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (steps) => galoisElement(8192, steps) === galoisElement(8192, steps % 4096)),
  )
})

t.test('an invalid number of steps is refused without a loop', async (t) => {
  for (const steps of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
    t.throws(() => galoisElement(8192, steps), { code: 'CONFIG_INVALID' }, `${steps}`)
  }
})

t.test('a circuit needs keys for its rotations, and one for all conjugations', async (t) => {
  const element = galoisElement(8192, 7)
  t.strictSame(circuitElements({ ring: 8192 }, smallCircuit()), [element])
  t.equal(galoisKeyCount(smallCircuit()), 1)
  const circuit = complexCircuit()
  const twice = { ops: [...circuit.ops, circuit.ops[2]] }
  t.strictSame(circuitElements({ ring: 8192 }, twice), [element, 2 * 8192 - 1])
  t.equal(galoisKeyCount(twice), 2)
})

t.test('conjugation is no rotation', async (t) => {
  for (const ring of Object.keys(MAX_LOG_QP).map(Number)) {
    const element = conjugationElement(ring)
    t.equal((element * element) % (2 * ring), 1)
    t.equal(element % 4, 3, 'powers of 5 are 1 modulo 4')
  }
})
