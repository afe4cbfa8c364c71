import t from 'tap'
import { table } from '../../src/cli/output/table.ts'

t.test('columns of numbers are right-aligned, all others left-aligned', async (t) => {
  const rows = [
    ['name', 'count', 'mixed'],
    ['a', '7', '1'],
    ['bcd', '+1,234 s', 'two'],
  ]
  t.equal(table(rows), ['name     count  mixed', 'a            7  1', 'bcd   +1,234 s  two'].join('\n'))
})

t.test('columns of names are left-aligned, also where all names start with a digit', async (t) => {
  const rows = [
    ['key', 'n'],
    ['9353354fdd28', '12'],
  ]
  t.equal(table(rows, 1), ['key            n', '9353354fdd28  12'].join('\n'))
})
