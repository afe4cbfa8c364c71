import { createCipheriv, createHash, randomBytes, randomUUID, scryptSync } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { directoryKeyStore, indexedDbKeyStore, memoryKeyStore } from '../../src/client/index.ts'
import { encryptedKeyStore } from '../../src/client/keys/encrypted-key-store.ts'
import { fileTrouble } from '../../src/errors/index.ts'
import { addFile, makeDirectory, replaceFile } from '../../src/files/atomic.ts'
import { sealFrame } from '../../src/wire/frame.ts'
import { behaves, secret, text } from './key-store-behaviour.ts'

delete process.env.POLYVEIL_PASSPHRASE

t.test('a store in memory', (t) => behaves(t, memoryKeyStore()))

t.test('a store in memory copies its entries', async (t) => {
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

t.test('a directory without a passphrase', async (t) => {
  const path = t.testdir()
  await behaves(t, directoryKeyStore(path))
  await t.rejects(directoryKeyStore(path, { passphrase: 'x' }).get('a'), { message: /without a passphrase/ })
})

t.test('files are encrypted, only their owner can read them, and no temporary file stays', async (t) => {
  const path = t.testdir()
  const store = directoryKeyStore(path)
  await store.put('a', secret)
  await store.add('a', secret)
  const files = readdirSync(path)
  t.equal(files.length, 4, 'header, key, check value and entry')
  for (const file of files) {
    t.equal(statSync(join(path, file)).mode & 0o777, 0o600, file)
    t.notOk(readFileSync(join(path, file)).includes(Buffer.from(secret.subarray(10, 30))), file)
  }
})

t.test('damaged files, and entries under another name, are refused', async (t) => {
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
  await t.rejects(
    store.get('a'),
    { code: 'CONFIG_INVALID', message: first, facts: { file: first } },
    'cut off',
  )
  writeFileSync(join(path, 'store.key'), new Uint8Array(32))
  await t.rejects(directoryKeyStore(path).put('c', secret), { message: /store.key is not the key/ })
  writeFileSync(join(path, 'store.key'), 'short')
  await t.rejects(directoryKeyStore(path).get('a'), { message: /store.key is damaged/ })
  rmSync(join(path, 'store.key'))
  await t.rejects(directoryKeyStore(path).put('c', secret), { message: /store.key is missing/ })
  writeFileSync(join(path, 'store.json'), '{"format":"polyveil-key-store-1"}')
  await t.rejects(directoryKeyStore(path).get('a'), { message: /store.json is damaged/ })
  rmSync(join(path, 'store.json'))
  await t.rejects(directoryKeyStore(path).put('c', secret), { message: /store.json is missing/ })
})

t.test('a header with excessive scrypt parameters is refused', async (t) => {
  for (const cost of [
    { N: 2 ** 20, r: 16 },
    { N: 2 ** 17 + 1, r: 8 },
  ]) {
    const path = t.testdir()
    const protection = { kind: 'passphrase', salt: 'a'.repeat(64), p: 1, ...cost }
    writeFileSync(join(path, 'store.json'), JSON.stringify({ format: 'polyveil-key-store-1', protection }))
    const store = directoryKeyStore(path, { passphrase: 'x' })
    await t.rejects(store.put('a', secret), { code: 'CONFIG_INVALID', message: /store.json is damaged/ })
  }
})

/** The files of a directory and their bytes. */
const contents = (path: string): Record<string, string> =>
  Object.fromEntries(readdirSync(path).map((file) => [file, readFileSync(join(path, file), 'hex')]))

t.test('no call writes anything under a wrong passphrase', async (t) => {
  const path = join(t.testdir(), 'keys')
  const right = directoryKeyStore(path, { passphrase: 'correct horse' })
  await right.put('a', secret)
  const before = contents(path)
  const wrong = directoryKeyStore(path, { passphrase: 'correct house' })
  const refused = { code: 'CONFIG_INVALID', message: /passphrase of the key store is wrong/ }
  await t.rejects(wrong.put('a', Uint8Array.of(1)), refused, 'put of an existing entry')
  await t.rejects(wrong.add('b', Uint8Array.of(1)), refused, 'add of a new entry')
  await t.rejects(wrong.add('a', Uint8Array.of(1)), refused, 'add of an existing entry')
  await t.rejects(wrong.delete('a'), refused)
  await t.rejects(wrong.get('absent'), refused)
  await t.rejects(wrong.names(), refused)
  t.strictSame(contents(path), before)
  t.equal(text(await right.get('a')), text(secret))
})

t.test('a lost check value is made again, but only with the correct passphrase', async (t) => {
  const path = join(t.testdir(), 'keys')
  const store = (passphrase: string) => directoryKeyStore(path, { passphrase })
  await store('correct horse').put('a', secret)
  rmSync(join(path, 'store.check'))
  const before = contents(path)
  await t.rejects(store('wrong').put('b', secret), { message: /passphrase of the key store is wrong/ })
  t.strictSame(contents(path), before)
  t.equal(text(await store('correct horse').get('a')), text(secret))
  t.ok(readdirSync(path).includes('store.check'))
})

t.test('an empty passphrase is refused', async (t) => {
  const path = join(t.testdir(), 'keys')
  const refused = { code: 'CONFIG_INVALID', message: /passphrase .* is empty/ }
  t.throws(() => directoryKeyStore(path, { passphrase: '' }), refused)
  t.throws(() => indexedDbKeyStore('a', { passphrase: '' }), refused)
  process.env.POLYVEIL_PASSPHRASE = ''
  t.throws(() => directoryKeyStore(path), { ...refused, message: /POLYVEIL_PASSPHRASE/ })
  delete process.env.POLYVEIL_PASSPHRASE
  t.notOk(existsIn(path))
})

const existsIn = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

t.test('reading does not make a store', async (t) => {
  const path = join(t.testdir(), 'keys')
  const store = directoryKeyStore(path)
  t.equal(await store.get('a'), undefined)
  await store.delete('a')
  t.strictSame(await store.names(), [])
  t.notOk(existsIn(path))
})

t.test('two processes that make a store at once agree on its key', async (t) => {
  const path = t.testdir()
  const stores = ['a', 'b', 'c'].map((name) => ({ name, store: directoryKeyStore(path) }))
  await Promise.all(stores.map(({ name, store }) => store.put(name, secret)))
  t.strictSame(await directoryKeyStore(path).names(), ['a', 'b', 'c'])
})

t.test('file names cannot be guessed from the names of entries', async (t) => {
  const [first, second] = [join(t.testdir(), 'first'), join(t.testdir(), 'second')]
  const name = `secret-key/${'a'.repeat(64)}`
  for (const path of [first, second]) await directoryKeyStore(path).put(name, secret)
  const entries = (path: string) => readdirSync(path).filter((file) => file.endsWith('.entry'))
  t.not(entries(first)[0], entries(second)[0], 'file names differ between stores')
  for (const length of [40, 64]) {
    t.notOk(entries(first).includes(`${plainDigest(name).slice(0, length)}.entry`))
  }
})

const plainDigest = (name: string): string => createHash('sha256').update(name).digest('hex')

/**
 * A store as PolyVeil 0.1 wrote it: it has no check value, its file names are plain digests, and the
 * additional data are the names of entries. Node's own cipher writes it here.
 */
function oldStore(path: string, passphrase: string, entries: Readonly<Record<string, Uint8Array>>): void {
  const salt = randomBytes(32)
  const cost = { N: 2 ** 14, r: 8, p: 1 }
  const protection = { kind: 'passphrase', salt: salt.toString('hex'), ...cost }
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'store.json'), JSON.stringify({ format: 'polyveil-key-store-1', protection }))
  const key = scryptSync(passphrase, salt, 32, cost)
  for (const [name, bytes] of Object.entries(entries)) {
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name))
    const sealed = Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
    writeFileSync(join(path, `${plainDigest(name).slice(0, 40)}.entry`), sealed)
  }
}

t.test('a store of PolyVeil 0.1 is taken over once its passphrase has proved correct', async (t) => {
  const digest = 'ab'.repeat(32)
  const entries = {
    [`secret-key/${digest}`]: sealFrame('secretKey', digest, secret),
    'key-sets/x/y': Buffer.from('[]'),
  }
  const path = t.testdir()
  oldStore(path, 'correct horse', entries)
  const before = contents(path)
  const wrong = () => directoryKeyStore(path, { passphrase: 'wrong' })
  const refused = { code: 'CONFIG_INVALID', message: /passphrase of the key store is wrong/ }
  await t.rejects(wrong().put(`secret-key/${digest}`, secret), refused)
  await t.rejects(wrong().add('another', secret), refused)
  await t.rejects(wrong().get(`secret-key/${digest}`), refused)
  t.strictSame(contents(path), before, 'nothing is written, not even a check value')

  const store = directoryKeyStore(path, { passphrase: 'correct horse' })
  t.strictSame(await store.add('another', Uint8Array.of(1)), Uint8Array.of(1), 'no old entry has this name')
  t.strictSame(
    await store.names(),
    ['another', `secret-key/${digest}`],
    'the content of a secret key shows its name',
  )
  await t.rejects(wrong().put('another', secret), refused, 'the check value exists')
  for (const [name, bytes] of Object.entries(entries)) {
    t.equal(text(await store.get(name)), text(bytes), name)
  }
  const added = await store.add('key-sets/x/y', Uint8Array.of(2))
  t.equal(text(added), text(entries['key-sets/x/y']), 'add keeps an existing entry')
  t.strictSame(await store.names(), ['another', 'key-sets/x/y', `secret-key/${digest}`])
  const files = readdirSync(path).filter((file) => file.endsWith('.entry'))
  t.ok(
    files.every((file) => /^[0-9a-f]{64}\.entry$/.test(file)),
    'no file has a guessable name',
  )
})

t.test('old entries of PolyVeil 0.1 can be overwritten and deleted', async (t) => {
  const path = t.testdir()
  oldStore(path, 'p', { a: secret, b: secret })
  const store = directoryKeyStore(path, { passphrase: 'p' })
  await store.put('a', Uint8Array.of(1))
  await store.delete('b')
  t.strictSame(await store.names(), ['a'])
  t.strictSame(await store.get('a'), Uint8Array.of(1))
  t.equal(await store.get('b'), undefined)
  t.equal(readdirSync(path).filter((file) => file.endsWith('.entry')).length, 1)
})

t.test('entries that are links to files in other directories are listed, too', async (t) => {
  const directory = t.testdir({ store: {}, elsewhere: {} })
  const path = join(directory, 'store')
  await directoryKeyStore(path).put('a', secret)
  const entry = readdirSync(path).find((file) => file.endsWith('.entry'))!
  const elsewhere = join(directory, 'elsewhere', entry)
  renameSync(join(path, entry), elsewhere)
  symlinkSync(elsewhere, join(path, entry))
  t.equal(text(await directoryKeyStore(path).get('a')), text(secret))
  t.strictSame(await directoryKeyStore(path).names(), ['a'])
})

t.test('a passphrase of another type is refused, and no store is made', async (t) => {
  const path = join(t.testdir(), 'keys')
  for (const passphrase of [0, 5, {}, null]) {
    const options = { passphrase: passphrase as unknown as string }
    t.throws(() => directoryKeyStore(path, options), { code: 'CONFIG_INVALID', message: /must be a string/ })
  }
  t.notOk(existsIn(path))
})

t.test('an open store notices that its directory was deleted or replaced', async (t) => {
  const path = join(t.testdir({}), 'keys')
  const store = directoryKeyStore(path)
  await store.put('a', secret)
  rmSync(path, { recursive: true })
  t.equal(await store.get('a'), undefined)
  t.strictSame(await store.names(), [])
  t.strictSame(await store.add('b', Uint8Array.of(1)), Uint8Array.of(1), 'a new store')
  t.strictSame(await directoryKeyStore(path).names(), ['b'], 'another process can read the new store')

  rmSync(path, { recursive: true })
  await directoryKeyStore(path, { passphrase: 'another' }).put('c', secret)
  const files = readdirSync(path).sort()
  await t.rejects(store.put('d', secret), { code: 'CONFIG_INVALID' })
  t.strictSame(readdirSync(path).sort(), files, 'nothing is written to the other store')
})

t.test('an open store notices that its key or header alone is gone', async (t) => {
  for (const file of ['store.key', 'store.json']) {
    const path = t.testdir({})
    const store = directoryKeyStore(path)
    await store.put('a', secret)
    rmSync(join(path, file))
    const left = readdirSync(path).sort()
    await t.rejects(store.put('b', secret), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`${file} is missing`),
    })
    t.strictSame(readdirSync(path).sort(), left, 'nothing is written')
  }
})

t.test('a wrong passphrase deletes nothing, not even what a crash has left', async (t) => {
  const path = t.testdir()
  const store = (passphrase: string) => directoryKeyStore(path, { passphrase })
  await store('correct horse').put('a', secret)
  const left = `${readdirSync(path).find((file) => file.endsWith('.entry'))}.${randomUUID()}.part`
  writeFileSync(join(path, left), 'x')
  utimesSync(join(path, left), 0, 0)
  await t.rejects(store('wrong').names(), { code: 'CONFIG_INVALID' })
  t.ok(readdirSync(path).includes(left))
  await store('correct horse').names()
  t.notOk(readdirSync(path).includes(left))
})

t.test('an entry is taken back when its store is deleted while it is written', async (t) => {
  const files = new Map<string, Uint8Array>()
  let deletes = false
  const write = (name: string, bytes: Uint8Array): void => {
    if (deletes) files.clear()
    files.set(name, bytes)
  }
  const store = encryptedKeyStore(
    {
      make: async () => {},
      tidy: async () => {},
      get: async (name) => files.get(name),
      put: async (name, bytes) => write(name, bytes),
      add: async (name, bytes) => {
        if (!files.has(name)) write(name, bytes)
        return files.get(name)!
      },
      delete: async (name) => void files.delete(name),
      names: async () => [...files.keys()],
    },
    undefined,
  )
  await store.put('a', secret)
  deletes = true
  for (const write of [store.put('b', secret), store.add('c', secret).then(() => {})]) {
    await t.rejects(write, { code: 'CONFIG_INVALID' })
  }
  t.equal(files.size, 0, 'no entry is left that nobody can read')
})

t.test('writing an entry does not recreate a deleted store', async (t) => {
  const path = join(t.testdir({}), 'keys')
  await makeDirectory(path)
  rmSync(path, { recursive: true })
  await t.rejects(addFile(path, 'a.entry', secret), { code: 'ENOENT' })
  await t.rejects(replaceFile(path, 'a.entry', secret), { code: 'ENOENT' })
})

t.test('the error distinguishes a damaged check value from a wrong passphrase', async (t) => {
  const path = t.testdir()
  const open = (passphrase: string) => directoryKeyStore(path, { passphrase })
  await open('correct horse').put('a', secret)
  writeFileSync(join(path, 'store.check'), 'damaged')
  await t.rejects(open('correct horse').get('a'), {
    code: 'CONFIG_INVALID',
    message: /store\.check is damaged.*delete store\.check/,
  })
  await t.rejects(open('wrong').get('a'), {
    message: /passphrase of the key store is wrong, or the store is dam/,
  })
  rmSync(join(path, 'store.check'))
  t.equal(text(await open('correct horse').get('a')), text(secret))
  await t.rejects(open('wrong').get('a'), { message: /passphrase of the key store is wrong/ })
})

t.test('a new store refuses a key file that it did not make', async (t) => {
  const path = t.testdir({ 'store.key': 'x'.repeat(32) })
  await t.rejects(directoryKeyStore(path).put('a', secret), {
    code: 'CONFIG_INVALID',
    message: /There is a file store\.key/,
  })
  t.strictSame(readdirSync(path), ['store.key'])
  const other = t.testdir({ 'store.key': 'x'.repeat(32) })
  await t.rejects(directoryKeyStore(other, { passphrase: 'correct horse' }).put('a', secret), {
    message: /There is a file store\.key/,
  })
})

t.test('the error names a file system without hard links', async (t) => {
  const refused = (syscall: string) => Object.assign(new Error('refused'), { code: 'EPERM', syscall })
  t.match(fileTrouble(refused('link')), /without hard links, such as FAT/)
  t.match(fileTrouble(refused('open')), /may not be used by this user/)
})

t.test('a store without indexedDB says that it is missing, in all methods', async (t) => {
  t.equal(globalThis.indexedDB, undefined, 'Node has none')
  const store = indexedDbKeyStore('missing')
  const missing = {
    code: 'KEY_STORE_UNAVAILABLE',
    message: 'There is no indexedDB here for the key store missing',
    facts: { database: 'missing', reason: 'missing' },
    remedy: /store in memory/,
  }
  const bytes = Uint8Array.of(1)
  const calls: (() => Promise<unknown>)[] = [
    () => store.get('a'),
    () => store.put('a', bytes),
    () => store.add('a', bytes),
    () => store.delete('a'),
    () => store.names(),
    () => store.forget(),
  ]
  for (const call of calls) await t.rejects(call() as Promise<void>, missing)
})
