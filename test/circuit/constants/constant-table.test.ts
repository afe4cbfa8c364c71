import t from 'tap'
import {
  boundOfEach,
  ConstantTable,
  constantTable,
  GrowingConstants,
} from '../../../src/circuit/constants/constant-table.ts'
import {
  circuitPieces,
  readCircuit,
  readCircuitFrom,
  writeCircuit,
} from '../../../src/circuit/format/file.ts'
import { smallCircuit } from '../circuits.ts'

const coarse = Float64Array.from({ length: 100 }, (_, i) => Math.cos(i))
const CONSTANTS = [
  Float64Array.of(1, 2),
  { fine: Float64Array.of(3, -4), coarse },
  { fine: Float64Array.of(1, 2), coarse },
  Float64Array.of(1, 2),
  coarse,
]

t.test('a table gives the constants of its list, also when they are read repeatedly', async (t) => {
  const table = constantTable(CONSTANTS)
  t.equal(table.length, 5)
  t.strictSame([...table], CONSTANTS)
  t.strictSame(
    table.map((constant, id) => [id, constant]),
    CONSTANTS.map((constant, id) => [id, constant]),
  )
  t.equal(constantTable(table), table)
})

t.test('a table gives complex constants, and stores each part once', async (t) => {
  const [real, imaginary] = [Float64Array.of(1, 2), Float64Array.of(0, -3)]
  const complex = [
    { real, imaginary },
    { real: imaginary, imaginary: real },
    { fine: { real, imaginary }, coarse },
    real,
  ]
  const table = constantTable(complex)
  t.strictSame([...table], complex)
  t.equal(table.factors.length, 3)
  const pushed = new GrowingConstants()
  const [a, b, c, d] = complex.map((constant) => JSON.stringify(pushed.factorsOf(constant)))
  t.equal(new Set([a, b, c, d]).size, 4, 'constants of other parts have other numbers')
  t.equal(JSON.stringify(pushed.factorsOf({ real: real.slice(), imaginary })), a)
  const largest = boundOfEach(complex)
  const expected = Math.hypot(2, 3)
  t.ok(Math.abs(largest[0] - expected) < 1e-15 && Math.abs(largest[2] - expected * Math.cos(0)) < 1e-15)
  t.equal(largest[3], 2)
})

t.test('each factor is read once for the bounds of all combinations of factors', async (t) => {
  const reads = new Map<number, number>()
  const factors = {
    length: 30,
    at: (number: number) => {
      reads.set(number, (reads.get(number) ?? 0) + 1)
      return Float64Array.of(0, number === 7 ? Number.NaN : -number)
    },
  }
  const pairs = Array.from({ length: 900 }, (_, id) => [id % 30, Math.floor(id / 30)])
  const words = (numbers: number[]) => ({ length: 900, at: (id: number) => numbers[id] })
  const [fine, imaginary] = [words(pairs.map(([a]) => a)), words(pairs.map(([, b]) => b + 1))]
  const bounds = boundOfEach(new ConstantTable(factors, fine, words(pairs.map(() => 0)), imaginary))
  t.strictSame([...reads.values()], new Array(30).fill(1))
  for (const [id, [a, b]] of pairs.entries()) {
    if (a === 7 || b === 7) t.ok(Number.isNaN(bounds[id]))
    else t.equal(bounds[id], Math.sqrt(a * a + b * b))
  }
})

t.test('factors are stored once; constants share the array of their coarse factor', async (t) => {
  const table = constantTable(CONSTANTS)
  t.equal(table.factors.length, 3)
  const [, first, second] = table
  t.equal(
    (first as (typeof CONSTANTS)[1] & object as { coarse: object }).coarse,
    (second as never as { coarse: object }).coarse,
  )
})

t.test('the table copies its input', async (t) => {
  const table = new GrowingConstants()
  const values = Float64Array.of(1, 2, 3, 4)
  table.push(table.factorsOf(values))
  values.fill(0)
  t.strictSame(table.at(0), Float64Array.of(1, 2, 3, 4))
})

t.test('the written file does not depend on the numbering of factors in a table', async (t) => {
  const small = smallCircuit()
  const backwards = new GrowingConstants()
  for (const constant of [...small.constants].reverse()) backwards.factorsOf(constant)
  for (const constant of small.constants) backwards.push(backwards.factorsOf(constant))
  t.not(backwards.fine.at(0), 0, 'the numbers differ from those in the file')
  t.same(writeCircuit({ ...small, constants: backwards }), writeCircuit(small))
})

t.test('values are written in pieces, also factors that cross a boundary', async (t) => {
  const small = smallCircuit()
  // These values are more than one piece of 2^17 doubles. They follow the values of the small circuit, so no
  // factor ends at the boundary.
  const many = Array.from({ length: 80 }, (_, k) =>
    Float64Array.from({ length: 2048 }, (_, i) => 1 + k + i / 4096),
  )
  const circuit = { ...small, constants: [...small.constants, ...many] }
  const lengths = [...circuitPieces(circuit)].map((piece) => piece.length)
  t.ok(lengths.filter((length) => length === 2 ** 20).length >= 1, `${lengths}`)
  t.ok(Math.max(...lengths) <= 2 ** 20)
  t.strictSame([...readCircuit(writeCircuit(circuit)).constants], circuit.constants)
})

t.test('a file is read in pieces of limited size', async (t) => {
  const bytes = writeCircuit(smallCircuit())
  let end = 0
  const { digest } = readCircuitFrom({
    size: bytes.length,
    read(target, offset) {
      t.equal(offset, end, 'each piece follows the one before')
      t.ok(target.length <= 2 ** 20)
      target.set(bytes.subarray(offset, offset + target.length))
      end = offset + target.length
    },
  })
  t.equal(end, bytes.length)
  t.equal(digest, Buffer.from(bytes.subarray(-32)).toString('hex'))
})
