import t from 'tap'
import type { Graph } from '../../../../src/compiler/graph/graph.ts'
import { copiesWorthTrying } from '../../../../src/compiler/planner/search/copies.ts'

/** A graph of tensors of these shapes, the input first and the logits last. */
const graphOf = (...shapes: readonly (readonly number[])[]): Graph =>
  ({
    nodes: shapes.map((shape, id) => ({ kind: id === 0 ? 'input' : 'conv', shape })),
    output: shapes.length - 1,
  }) as unknown as Graph

t.test('copies fill the slots that no tensor needs', async (t) => {
  // 16 channels of 32 x 32 in 8 lanes of 1024 positions.
  t.strictSame(copiesWorthTrying(graphOf([1, 32, 32], [16, 32, 32], [64, 8, 8], [10]), 32768), [2, 1])
  t.strictSame(copiesWorthTrying(graphOf([1, 32, 32], [16, 32, 32], [64, 8, 8], [10]), 65536), [4, 2])
})

t.test('an odd map and odd channels take the next powers of two', async (t) => {
  // 25 channels in 13 lanes of 256 positions for 11 x 13: 16 lanes are 4096 slots.
  t.strictSame(copiesWorthTrying(graphOf([3, 11, 13], [25, 11, 13], [7]), 32768), [4, 2])
})

t.test('there is one copy where a tensor fills the slots, or several ciphertexts', async (t) => {
  t.strictSame(copiesWorthTrying(graphOf([3, 32, 32], [32, 32, 32], [10]), 32768), [1])
  t.strictSame(copiesWorthTrying(graphOf([3, 56, 56], [48, 56, 56], [10]), 65536), [1])
})

t.test('two ciphertexts that are both half full are no reason for copies', async (t) => {
  // 17 lanes of 1024 positions take two ciphertexts of 16384 slots, and three of 8192.
  t.strictSame(copiesWorthTrying(graphOf([1, 32, 32], [34, 32, 32], [10]), 32768), [1])
})

t.test('a copy holds the largest map and the logits', async (t) => {
  t.strictSame(copiesWorthTrying(graphOf([1, 4, 4], [1, 4, 4], [100]), 32768), [128, 64])
  t.strictSame(copiesWorthTrying(graphOf([1, 60, 60], [1, 60, 60], [10]), 32768), [4, 2])
})
