import type { Command } from 'commander'
import t from 'tap'
import { program } from '../../src/cli/program.ts'
import { configSchema } from '../../src/server/config.ts'
import { managed } from '../server/management/support.ts'
import { page } from './support.ts'

const text = page('docs/administration.md')

t.test('the page has every route of the management port, and no other', async (t) => {
  const { paths = {} } = (await managed(t)).management.swagger()
  const [, table] = text.split('## The port')
  const rows = table.split('\n').filter((line) => line.startsWith('| `'))
  for (const path of Object.keys(paths)) t.ok(table.includes(path), path)
  for (const [, path] of rows.join('\n').matchAll(/(\/[a-z]+(?:\/[a-z{}]+)?)[`?]/g)) t.ok(path in paths, path)
})

t.test('the page has every command of polyveil admin, and no other', async (t) => {
  const found = program().commands.find((each) => each.name() === 'admin') as Command
  const names = found.commands.flatMap((each) =>
    each.commands.length === 0 ? [each.name()] : each.commands.map((part) => `${each.name()} ${part.name()}`),
  )
  const used = [...text.matchAll(/^ {4}polyveil admin (keys \w+|\w+)/gm)].map(([, name]) => name)
  t.strictSame([...new Set(used)].sort(), names.sort())
})

t.test('its settings are settings', async (t) => {
  const rows = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name)
  t.equal(rows.length, 5)
  for (const name of rows) t.ok(name in configSchema.shape, name)
})
