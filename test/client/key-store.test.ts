import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { directoryKeyStore, memoryKeyStore } from '../../src/client/index.ts'
import { behaves, secret, text } from './key-store-behaviour.ts'

delete process.env.POLYVEIL_PASSPHRASE

t.test('memory', (t) => behaves(t, memoryKeyStore()))

t.test('entries in memory are copies', async (t) => {
  const store = memoryKeyStore()
  const bytes = Uint8Array.of(1)
  await store.put('a', bytes)
  bytes[0] = 9
  ;(await store.get('a'))!.fill(8)
  t.strictSame(await store.get('a'), Uint8Array.of(1))
})

t.test('a directory with a passphrase', async (t) => {
  const path = join(t.testdir(), 'new', 'keys')
  await behaves(t, directoryKeyStore(path, { passphrase: 'correct horse' }))
  await directoryKeyStore(path, { passphrase: 'correct horse' }).put('a', secret)
  const again = directoryKeyStore(path, { passphrase: 'correct horse' })
  t.equal(text(await again.get('a')), text(secret))
  await t.rejects(directoryKeyStore(path, { passphrase: 'wrong' }).get('a'), { code: 'CONFIG_INVALID' })
  await t.rejects(directoryKeyStore(path).get('a'), {
    code: 'CONFIG_INVALID',
    message: /POLYVEIL_PASSPHRASE/,
  })
  process.env.POLYVEIL_PASSPHRASE = 'correct horse'
  t.equal(text(await directoryKeyStore(path).get('a')), text(secret))
  delete process.env.POLYVEIL_PASSPHRASE
  t.notOk(readdirSync(path).includes('store.key'))
})

t.test('a directory without one', async (t) => {
  const path = t.testdir()
  await behaves(t, directoryKeyStore(path))
  await t.rejects(directoryKeyStore(path, { passphrase: 'x' }).get('a'), { message: /without a passphrase/ })
})

t.test('files are encrypted, for their owner alone, and nothing temporary stays', async (t) => {
  const path = t.testdir()
  const store = directoryKeyStore(path)
  await store.put('a', secret)
  await store.add('a', secret)
  const files = readdirSync(path)
  t.equal(files.length, 3)
  for (const file of files) {
    t.equal(statSync(join(path, file)).mode & 0o777, 0o600, file)
    t.notOk(readFileSync(join(path, file)).includes(Buffer.from(secret.subarray(10, 30))), file)
  }
})

t.test('damaged files, and entries under another name', async (t) => {
  const path = t.testdir()
  const store = directoryKeyStore(path)
  const entry = () => readdirSync(path).find((file) => file.endsWith('.entry'))!
  await store.put('a', secret)
  const first = entry()
  const bytes = readFileSync(join(path, first))
  await store.put('b', secret)
  const second = readdirSync(path).find((file) => file.endsWith('.entry') && file !== first)!
  writeFileSync(join(path, second), bytes)
  await t.rejects(store.get('b'), { code: 'CONFIG_INVALID' }, 'moved')
  bytes[40] ^= 1
  writeFileSync(join(path, first), bytes)
  await t.rejects(store.get('a'), { code: 'CONFIG_INVALID' }, 'altered')
  writeFileSync(join(path, first), bytes.subarray(0, 5))
  await t.rejects(store.get('a'), { code: 'CONFIG_INVALID' }, 'cut off')
  writeFileSync(join(path, 'store.key'), 'short')
  await t.rejects(directoryKeyStore(path).get('a'), { message: /store.key is damaged/ })
  writeFileSync(join(path, 'store.json'), '{"format":"polyveil-key-store-1"}')
  await t.rejects(directoryKeyStore(path).get('a'), { message: /store.json is damaged/ })
})
