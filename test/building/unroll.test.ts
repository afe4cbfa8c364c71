import { readFileSync } from 'node:fs'
import t from 'tap'
import { unroll } from '../../scripts/building/unroll.ts'

t.test('lines are repeated for each row with its values', async (t) => {
  const source = [
    'before',
    '// #each a, start = 0, iv(0);  1, h ^ 2',
    '  let v$a = $start + $other',
    '// #end',
    'after',
  ]
  t.equal(
    unroll(source.join('\n')),
    ['before', '  let v0 = iv(0) + $other', '  let v1 = h ^ 2 + $other', 'after'].join('\n'),
  )
})

t.test('rows may be on lines of their own, and blocks within blocks', async (t) => {
  const source = [
    '  // #each a, b =',
    '  //   0, 4;  1, 5',
    '  //   2, 6',
    '    v$a += v$b',
    '    // #each n = s; t',
    '      $n$a += $n$b',
    '    // #end',
    '  // #end',
  ]
  t.strictSame(
    unroll(source.join('\n'))
      .split('\n')
      .map((line) => line.trim()),
    [
      'v0 += v4',
      's0 += s4',
      't0 += t4',
      'v1 += v5',
      's1 += s5',
      't1 += t5',
      'v2 += v6',
      's2 += s6',
      't2 += t6',
    ],
  )
})

t.test('a row without all values and a block without an end are refused', async (t) => {
  t.throws(() => unroll('// #each a, b = 0\n  v$a\n// #end'), { message: /1 values/ })
  t.throws(() => unroll('// #each a = 0\n  v$a\n'), { message: /does not end/ })
})

t.test('a round of BLAKE2b is unrolled to eight mixings', async (t) => {
  const file = new URL('../../src/he-ops/kernels/assembly/blake2b.ts', import.meta.url)
  const lines = unroll(readFileSync(file, 'utf8')).split('\n')
  const mixings = lines
    .filter((line) => /rotr<u64>\(v\d+ \^ v\d+, 63\)/.test(line))
    .map((line) => line.trim())
  t.equal(mixings.length, 8)
  t.equal(mixings[0], 'v4 = rotr<u64>(v4 ^ v8, 63)')
  t.equal(mixings[7], 'v4 = rotr<u64>(v4 ^ v9, 63)')
})
