import { copyFile, open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'

t.test('counts are kept by tenant and day, and survive a restart', async (t) => {
  const directory = join(t.testdir({}), 'data')
  const first = await StateDatabase.open(directory)
  t.strictSame(await first.of('clinic', '2030-01-01'), { today: 0, total: 0 })
  await first.add('clinic', '2030-01-01', 3)
  await first.add('clinic', '2030-01-02', 4)
  await first.add('clinic', '2030-01-02', -1)
  await first.add('bank', '2030-01-02', 7)
  first.close()
  const second = await StateDatabase.open(directory)
  t.strictSame(await second.of('clinic', '2030-01-02'), { today: 3, total: 6 })
  t.strictSame(await second.of('bank', '2030-01-01'), { today: 0, total: 7 })
  second.close()
})

t.test('a second service on the directory is refused while the first one runs', async (t) => {
  const directory = t.testdir({})
  const first = await StateDatabase.open(directory)
  await t.rejects(StateDatabase.open(directory), { code: 'CONFIG_INVALID', message: /Another service uses/ })
  first.close()
  ;(await StateDatabase.open(directory)).close()
})

t.test('a damaged file and one of a later version are named', async (t) => {
  const damaged = t.testdir({})
  await writeFile(join(damaged, 'state.db'), 'this is no database, but long enough for a header'.repeat(10))
  await t.rejects(StateDatabase.open(damaged), {
    code: 'CONFIG_INVALID',
    message: /state\.db is damaged/,
    remedy: /Restore the data directory from a backup/,
  })
  const later = join(damaged, 'later')
  ;(await StateDatabase.open(later)).close()
  const database = new DatabaseSync(join(later, 'state.db'))
  database.exec('PRAGMA user_version = 9')
  database.close()
  await t.rejects(StateDatabase.open(later), { code: 'CONFIG_INVALID', message: /later version.*layout 9/ })
})

t.test('a file with damaged pages is refused at the start, and stays as it is', async (t) => {
  const directory = t.testdir({})
  const path = join(directory, 'state.db')
  const first = await StateDatabase.open(directory)
  for (let i = 0; i < 500; i++) first.add(`tenant ${i}`, '2030-01-01', 1)
  first.close()
  const file = await open(path, 'r+')
  // The header and the schema stay good, and all other pages are overwritten.
  const { size } = await file.stat()
  await file.write(new Uint8Array(size - 4096).fill(0xa5), 0, size - 4096, 4096)
  await file.close()
  const before = await readFile(path)
  await t.rejects(StateDatabase.open(directory), {
    code: 'CONFIG_INVALID',
    message: /state\.db is damaged \(.+\); nothing was changed/,
    remedy: /backup/,
  })
  t.ok(before.equals(await readFile(path)))
})

t.test('a database of another program is refused by name, and stays as it is', async (t) => {
  for (const sql of [
    'CREATE TABLE notes (text TEXT)',
    'CREATE TABLE notes (text TEXT); PRAGMA user_version = 1',
    'CREATE TABLE images (text TEXT); PRAGMA application_id = 99; PRAGMA user_version = 1',
    'PRAGMA user_version = 3',
  ]) {
    const directory = t.testdir({})
    const path = join(directory, 'state.db')
    const theirs = new DatabaseSync(path)
    theirs.exec(sql)
    theirs.close()
    const before = await readFile(path)
    await t.rejects(
      StateDatabase.open(directory),
      {
        code: 'CONFIG_INVALID',
        message: /state\.db is a database of another program; nothing in it was changed/,
        remedy: /Move it elsewhere/,
      },
      sql,
    )
    t.ok(before.equals(await readFile(path)), sql)
    t.same(await readdir(directory), ['state.db'])
  }
})

t.test('a database of layout 1 keeps its counts and gets a table of key sets', async (t) => {
  const directory = t.testdir({})
  const path = join(directory, 'state.db')
  const older = new DatabaseSync(path)
  older.exec(`
    CREATE TABLE images (
      tenant TEXT NOT NULL, day TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (tenant, day)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO images VALUES ('clinic', '2030-01-01', 7);
    PRAGMA journal_mode = WAL; PRAGMA user_version = 1`)
  older.close()
  const state = await StateDatabase.open(directory)
  t.strictSame(await state.of('clinic', '2030-01-01'), { today: 7, total: 7 })
  t.same(await state.keySets.load(), { records: new Map(), unreadable: [] })
  state.close()
  const again = await StateDatabase.open(directory)
  t.strictSame(await again.of('clinic', '2030-01-01'), { today: 7, total: 7 })
  again.close()
})

t.test('a start that finds nothing to change writes nothing, and still locks the directory', async (t) => {
  const directory = t.testdir({})
  ;(await StateDatabase.open(directory)).close()
  const state = await StateDatabase.open(directory)
  const log = await stat(join(directory, 'state.db-wal')).then(
    ({ size }) => size,
    () => 0,
  )
  t.equal(log, 0)
  await t.rejects(StateDatabase.open(directory), { code: 'CONFIG_INVALID', message: /Another service uses/ })
  state.close()
})

t.test('a change of several records is made as a whole, or not at all', async (t) => {
  const { keySets } = StateDatabase.inMemory()
  const record = { parametersDigest: 'p', galoisElements: [3], bytes: 5, uploadOffset: 0, expires: 1.5 }
  const bad = { ...record, bytes: 'five' as unknown as number }
  const [one, two] = ['1', '2'].map((digit) => digit.repeat(64))
  await t.rejects(
    keySets.save(
      new Map([
        [one, record],
        [two, bad],
      ]),
    ),
  )
  t.equal((await keySets.load()).records.size, 0)
  await keySets.save(new Map([[one, record]]))
  t.strictSame((await keySets.load()).records, new Map([[one, record]]))
  await keySets.remove([one, two])
  t.equal((await keySets.load()).records.size, 0)
})

t.test('a copy of one moment of both files has all records, and other programs are locked out', async (t) => {
  const directory = t.testdir({ copy: {} })
  const state = await StateDatabase.open(directory)
  const record = { parametersDigest: 'p', galoisElements: [3], bytes: 5, uploadOffset: 0, expires: 1.5 }
  await state.keySets.save(new Map([['1'.repeat(64), record]]))
  const reader = new DatabaseSync(join(directory, 'state.db'), { readOnly: true })
  t.throws(() => reader.prepare('SELECT * FROM key_sets').all(), /locked/)
  reader.close()
  for (const file of ['state.db', 'state.db-wal'])
    await copyFile(join(directory, file), join(directory, 'copy', file))
  state.close()
  const copy = await StateDatabase.open(join(directory, 'copy'))
  t.equal((await copy.keySets.load()).records.size, 1)
  copy.close()
  t.notOk((await readdir(directory)).includes('state.db-wal'), 'the end leaves one complete file')
})
