import fc from 'fast-check'
import t from 'tap'
import { galoisElement } from '../../src/circuit/keys.ts'
import { MAX_LOG_QP } from '../../src/circuit/parameters/parameters.ts'

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
