import t from 'tap'
import { overlong, rewrap } from '../scripts/comments/wrap.ts'

t.test('only wide paragraphs are wrapped', async (t) => {
  const text = [
    'const a = 1 // a comment behind code that is wide stays as it is',
    '  // one two three four five six seven',
    '  // eight',
    '',
    '  // short',
    '  // as it was',
  ].join('\n')
  t.strictSame(overlong(text, 30), [2])
  const wrapped = [
    'const a = 1 // a comment behind code that is wide stays as it is',
    '  // one two three four five',
    '  // six seven eight',
    '',
    '  // short',
    '  // as it was',
  ].join('\n')
  t.equal(rewrap(text, 30), wrapped)
  t.equal(rewrap(wrapped, 30), wrapped)
})

t.test('docstrings keep their tags separate, and a wide line becomes several', async (t) => {
  const text =
    '/** Gives the square of a number. */\n/**\n * Some.\n *\n * @param number that is squared here\n * @returns it\n */'
  t.equal(
    rewrap(text, 26),
    [
      '/**',
      ' * Gives the square of a',
      ' * number.',
      ' */',
      '/**',
      ' * Some.',
      ' *',
      ' * @param number that is',
      ' *   squared here',
      ' * @returns it',
      ' */',
    ].join('\n'),
  )
})

t.test('columns and long words stay as they are', async (t) => {
  const text = '//   0  2  magic of the object that follows\n// https://example.org/some/long/path'
  t.equal(rewrap(text, 20), text)
  t.strictSame(overlong(text, 20), [])
})
