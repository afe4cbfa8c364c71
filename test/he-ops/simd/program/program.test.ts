import t from 'tap'
import type { Item, ProgramBuilder } from '../../../../src/he-ops/simd/program/program.ts'
import { linkProgram } from '../../../../src/he-ops/simd/threads/run.ts'
import { smallParameters } from '../../seal/fixture.ts'
import { newSimdContext } from '../fixture.ts'

const context = await newSimdContext(smallParameters([30, 30, 30], 30))

/** Clears `count` places. */
const clearing = (builder: ProgramBuilder, count: number): void => {
  const at = builder.allocate(64 * count)
  const item =
    (i: number): Item =>
    (call) =>
      call('clear', { start: at + 64 * i, bytes: 64 })
  builder.phase(Array.from({ length: count }, (_, i) => item(i)))
}

t.test('a program has memory for its words once, to the word, and threads share it', async (t) => {
  for (const threads of [1, 2]) {
    const { program, sizes, free } = linkProgram(context, threads, 0, (builder) => clearing(builder, 100))
    t.equal(program.words.length, 100 * 3, 'a kernel and two arguments each')
    t.equal(program.items.length, 101)
    t.match(sizes, { words: 300, items: 101, arena: 6400 })
    for (const words of [program.words, program.items]) {
      t.equal(words.buffer.byteLength, 4 * words.length, 'nothing was kept in reserve')
      t.equal(words.buffer instanceof SharedArrayBuffer, threads > 1)
    }
    free()
  }
})

t.test('both builds of a program must be the same', async (t) => {
  for (const second of [99, 101]) {
    let count = 100
    const emit = (builder: ProgramBuilder): void => {
      clearing(builder, count)
      count = second
    }
    t.throws(() => linkProgram(context, 1, 0, emit), { code: 'INTERNAL' }, `${second} calls`)
  }
})
