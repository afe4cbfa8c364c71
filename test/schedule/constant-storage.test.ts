import t from 'tap'
import type { Circuit, Constant, Op } from '../../src/circuit/types.ts'
import { expansionParts, expansionRule, NO_EXPANSION } from '../../src/schedule/constant-storage.ts'
import { parameters } from '../circuit/circuits.ts'

const MEGABYTE = 2 ** 20
const { slots } = parameters

/** A sum of `count` weights of full size, each 4 * 8192 bytes modulo each of four primes. */
function sumOf(count: number, largest = 1): Pick<Circuit, 'ops' | 'constants' | 'parameters'> {
  const fine = Float64Array.of(largest, 0)
  const constants: Constant[] = Array.from({ length: count }, (_, i) => ({
    fine,
    coarse: new Float64Array(slots / 2).fill(1 / (i + 1)),
  }))
  const terms = constants.map((_, constant) => ({ value: 0, constant }))
  const at = { layer: 0, level: 2, scale: 2 ** 30 }
  const ops: Op[] = [
    { kind: 'input', index: 0, ...at },
    { kind: 'dot', terms, constantScale: 2 ** 20, ...at },
  ]
  return { ops, constants, parameters }
}

t.test('a few weights are kept as residues', async (t) => {
  t.equal(expansionRule(sumOf(100)), NO_EXPANSION)
  const rule = expansionRule(sumOf(7000))
  t.ok(rule(0, 2 ** 20, 'weight'))
})

t.test('of many weights, those of the longest periods are kept as integers', async (t) => {
  const circuit = sumOf(7000)
  const constants = [...[...circuit.constants].slice(0, 6999), Float64Array.from({ length: 16 }, (_, i) => i)]
  const rule = expansionRule({ ...circuit, constants })
  t.ok(rule(6998, 2 ** 20, 'weight'))
  t.notOk(rule(6999, 2 ** 20, 'weight'))
})

t.test('complex weights take twice the integers', async (t) => {
  const part = new Float64Array(slots).fill(0.5)
  const short = new Float64Array(8).fill(0.5)
  const { ops, parameters } = sumOf(2)
  const [input, dot] = ops as [Op, Extract<Op, { kind: 'dot' }>]
  // Whether weights of a short period are expanded, too, beside so many of full size.
  const isExpanded = (large: Constant, count: number): boolean => {
    const terms = Array.from({ length: count }, () => ({ value: 0, constant: 0 }))
    const sum = { ...dot, terms: [...terms, { value: 0, constant: 1 }] }
    const rule = expansionRule({ ops: [input, sum], constants: [large, short], parameters })
    return rule(1, 2 ** 20, 'weight')
  }
  const most = (1152 * MEGABYTE) / (8192 * 2)
  t.notOk(isExpanded(part, most - 1))
  t.ok(isExpanded(part, most + 1))
  const complex = { real: part, imaginary: part }
  t.notOk(isExpanded(complex, most / 2 - 1))
  t.ok(isExpanded(complex, most / 2 + 1))
})

t.test('only weights below 2^30 are kept as integers', async (t) => {
  const rule = expansionRule(sumOf(7000, 2))
  t.ok(rule(0, 2 ** 28, 'weight'))
  t.notOk(rule(0, 2 ** 29, 'weight'))
  t.ok(rule(1, 2 ** 29, 'weight'))
})

t.test('sums of many weights are split into parts that fit', async (t) => {
  const sizes = [40, 20, 10, 100, 1, 30, 33].map((size) => size * MEGABYTE)
  const parts = expansionParts(sizes, (size) => size)
  t.same(
    parts.map((part) => part.map((size) => size / MEGABYTE)),
    [[40, 20], [10], [100], [1, 30, 33]],
  )
})

t.test('addends are kept as doubles, up to larger values', async (t) => {
  const rule = expansionRule(sumOf(7000, 2))
  t.ok(rule(0, 2 ** 49, 'addend'))
  t.notOk(rule(0, 2 ** 50, 'addend'))
})

t.test(
  'with very many integers, weights of short periods are kept as integers, too, except the shortest',
  async (t) => {
    /**
     * A sum of full-size weights, each of which takes half of 4 * 8192 bytes as integers, and of one weight
     * for each short period.
     */
    const withShort = (count: number) => {
      const { ops, constants, parameters } = sumOf(2)
      const [input, dot] = ops as [Op, Extract<Op, { kind: 'dot' }>]
      const short = [1, 2, 4, 8].map((period) => new Float64Array(period).fill(0.5))
      const terms = Array.from({ length: count }, (_, i) => ({ value: 0, constant: i % 2 }))
      terms.push(...short.map((_, i) => ({ value: 0, constant: 2 + i })))
      return { ops: [input, { ...dot, terms }], constants: [...constants, ...short], parameters }
    }
    const expanded = (count: number): boolean[] => {
      const rule = expansionRule(withShort(count))
      return [2, 3, 4, 5].map((id) => rule(id, 2 ** 20, 'weight'))
    }
    const most = (1152 * MEGABYTE) / (8192 * 2)
    t.strictSame(expanded(most - 1), [false, false, false, false])
    t.strictSame(expanded(most + 1), [false, false, true, true])
  },
)
