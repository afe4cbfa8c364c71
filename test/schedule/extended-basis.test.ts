import t from 'tap'
import type { Op } from '../../src/circuit/types.ts'
import { extendedBasis, rescaleSource } from '../../src/schedule/extended-basis.ts'

const typed = { level: 1, scale: 2 ** 20, layer: 0 }
const rotate = (source: number, steps: number): Op => ({ kind: 'rotate', source, steps, ...typed })
const add = (left: number, right: number): Op => ({ kind: 'add', left, right, ...typed })
const dot = (...values: number[]): Op => ({
  kind: 'dot',
  terms: values.map((value) => ({ value, constant: 0 })),
  constantScale: 1,
  ...typed,
})
const input: Op = { kind: 'input', index: 0, ...typed }
const rescale = (source: number): Op => ({ kind: 'rescale', source, ...typed })

const basis = (ops: readonly Op[]) => {
  const { inQP, staysInQP } = extendedBasis({ ops, result: ops.length - 1 })
  return { made: [...inQP], staysInQP: [...staysInQP] }
}

t.test('rotations stay extended if only sums read them, and so do these sums except the last', async (t) => {
  const ops = [input, rotate(0, 1), rotate(0, 2), dot(0, 1), dot(1, 2), add(3, 4), rotate(5, 1)]
  t.strictSame(basis(ops), { made: [0, 1, 1, 1, 1, 1, 1], staysInQP: [0, 1, 1, 1, 1, 0, 0] })
})

t.test('a rotation with another reader is divided, and its sums are not extended', async (t) => {
  const ops = [input, rotate(0, 1), rotate(1, 1), dot(0, 1), rotate(2, 5), add(3, 3), add(4, 5)]
  t.strictSame(basis(ops), { made: [0, 1, 1, 0, 1, 0, 1], staysInQP: [0, 0, 0, 0, 1, 0, 0] })
})

t.test('a rescale of an extended value also divides by the special primes', async (t) => {
  t.strictSame(basis([input, rotate(0, 1), rescale(1)]), { made: [0, 1, 0], staysInQP: [0, 1, 0] })
  const twice = extendedBasis({ ops: [input, rotate(0, 1), rescale(1), rescale(2)], result: 3 })
  t.strictSame([...twice.staysInQP], [0, 1, 0, 0])
  t.strictSame([...twice.fusedRescale], [0, 0, 1, 0])
  const ops = [input, rotate(0, 1), rescale(1), rescale(2)]
  t.equal(rescaleSource(ops, twice.fusedRescale, 3), 1)
  t.equal(rescaleSource(ops, twice.fusedRescale, 2), 1)
})

t.test('a value with two rescales is divided before them', async (t) => {
  const ops = [input, rotate(0, 1), rescale(1), rescale(1), add(2, 3)]
  t.strictSame(basis(ops), { made: [0, 1, 0, 0, 0], staysInQP: [0, 0, 0, 0, 0] })
})

t.test('the result has a ModDown', async (t) => {
  t.strictSame(basis([input, rotate(0, 1)]), { made: [0, 1], staysInQP: [0, 0] })
  t.strictSame(basis([input, rotate(0, 1), add(0, 1)]), { made: [0, 1, 1], staysInQP: [0, 1, 0] })
})

t.test('sums of plain values are plain', async (t) => {
  t.strictSame(basis([input, add(0, 0), dot(1), add(1, 2)]), { made: [0, 0, 0, 0], staysInQP: [0, 0, 0, 0] })
})
