import { linkSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { directoryKeyStore } from '../../src/client/index.ts'
import { keySetListEntry } from '../../src/client/keys/entry-names.ts'
import { KeyBook } from '../../src/client/keys/key-book.ts'

delete process.env.POLYVEIL_PASSPHRASE

const place = { server: 'a'.repeat(64), fingerprint: 'b'.repeat(64) }
const keySet = (id: string) => ({ id, galoisElements: [5, 25], server: 'http://polyveil.test/' })
const idsIn = async (book: KeyBook) => (await book.keySets(place)).map(({ id }) => id)

t.test('no key set is lost when several programs share a store', async (t) => {
  const path = t.testdir()
  // Each program has a book of its own, as separate processes do.
  const names = Array.from({ length: 12 }, (_, i) => `set-${i}`)
  const book = () => new KeyBook(directoryKeyStore(path))
  await book().remember(place, keySet('first'))
  await Promise.all([book().forget(place, 'first'), ...names.map((id) => book().remember(place, keySet(id)))])
  t.strictSame((await idsIn(book())).sort(), names.sort())
})

t.test('the latest key set comes first; beyond the limit the oldest are forgotten', async (t) => {
  const book = new KeyBook(directoryKeyStore(t.testdir()))
  for (let i = 0; i < 66; i++) {
    await book.remember(place, keySet(`set-${i}`))
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const ids = await idsIn(book)
  t.strictSame([ids.length, ids[0], ids.at(-1)], [64, 'set-65', 'set-2'])
})

t.test('lists of earlier versions become entries, also when two programs read them at once', async (t) => {
  const path = t.testdir()
  const store = directoryKeyStore(path)
  const expires = (day: number) => `2099-01-0${day}T00:00:00.000Z`
  const list = [
    { ...keySet('new'), expires: expires(2) },
    { ...keySet('old'), expires: expires(1) },
  ]
  await store.put(keySetListEntry(place), new TextEncoder().encode(JSON.stringify(list)))
  const books = [1, 2].map(() => new KeyBook(directoryKeyStore(path)))
  t.strictSame(await Promise.all(books.map((book) => book.keys())), [
    [
      {
        hasSecretKey: false,
        servers: [{ digest: place.server, keySets: list }],
        parametersDigest: undefined,
        fingerprint: place.fingerprint,
      },
    ],
    [
      {
        hasSecretKey: false,
        servers: [{ digest: place.server, keySets: list }],
        parametersDigest: undefined,
        fingerprint: place.fingerprint,
      },
    ],
  ])
  t.notOk((await store.names()).includes(keySetListEntry(place)))
  await books[0].forget(place, 'new')
  t.strictSame(await idsIn(books[1]), ['old'])
})

t.test('an error names a damaged entry, and the entry is not overwritten', async (t) => {
  const store = directoryKeyStore(t.testdir())
  await store.put(keySetListEntry(place), new TextEncoder().encode('{'))
  await t.rejects(new KeyBook(store).keySets(place), { code: 'CONFIG_INVALID', message: /damaged/ })
})

t.test('opening a store deletes files that a crash left', async (t) => {
  const path = t.testdir()
  const at = (name: string) => join(path, name)
  await directoryKeyStore(path).put('a', Uint8Array.of(1))
  const part = (name: string, digit: string) =>
    `${name}.${digit.repeat(8)}-${`${digit.repeat(4)}-`.repeat(3)}${digit.repeat(12)}.part`
  const second = part('store.key', '1')
  linkSync(at('store.key'), at(second))
  const old = part('store.check', '2')
  const fresh = part('store.json', '3')
  const foreign = part('report.pdf', '4')
  for (const name of [old, fresh, foreign]) writeFileSync(at(name), 'x')
  for (const name of [old, foreign]) utimesSync(at(name), 0, 0)
  t.strictSame(await directoryKeyStore(path).get('a'), Uint8Array.of(1))
  const files = readdirSync(path)
  t.notOk(files.includes(second), 'the second copy of the key is deleted')
  t.notOk(files.includes(old))
  t.ok(files.includes(fresh), 'a fresh file stays, because another process may be writing it')
  t.ok(files.includes(foreign), 'a file of another program stays')
  t.equal(readFileSync(at('store.key')).length, 32)
})
