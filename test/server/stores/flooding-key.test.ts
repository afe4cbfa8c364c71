import { randomUUID } from 'node:crypto'
import { linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadFloodingKey } from '../../../src/server/stores/flooding-key.ts'

t.test('the key is made once, stays the same, and can be read only by its owner', async (t) => {
  const directory = join(t.testdir(), 'data')
  const [first, second] = await Promise.all([loadFloodingKey(directory), loadFloodingKey(directory)])
  t.equal(first.length, 32)
  t.same(first, second, 'two services that start at once have the same key')
  t.same(await loadFloodingKey(directory), first)
  const path = join(directory, 'flooding.key')
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.same(new Uint8Array(readFileSync(path)), first)
})

t.test('a second copy of the key, left by a crash, is deleted', async (t) => {
  const directory = t.testdir({})
  const key = await loadFloodingKey(directory)
  const copy = `flooding.key.${randomUUID()}.part`
  linkSync(join(directory, 'flooding.key'), join(directory, copy))
  t.same(await loadFloodingKey(directory), key)
  t.strictSame(readdirSync(directory), ['flooding.key'])
})

t.test('a file that is not a key is refused and kept', async (t) => {
  const directory = t.testdir({ 'flooding.key': 'short' })
  await t.rejects(loadFloodingKey(directory), { code: 'CONFIG_INVALID', message: /must have 32 bytes/ })
  t.equal(readFileSync(join(directory, 'flooding.key'), 'utf8'), 'short')
  const other = t.testdir({})
  mkdirSync(join(other, 'flooding.key'))
  await t.rejects(loadFloodingKey(other), { code: 'CONFIG_INVALID', message: /EISDIR/ })
  writeFileSync(join(other, 'file'), '')
  await t.rejects(loadFloodingKey(join(other, 'file')), { code: 'CONFIG_INVALID' })
})
