import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { StateDatabase } from '../../../src/server/stores/state-database.ts'

t.test('counts are kept by tenant and day, and survive a restart', async (t) => {
  const directory = join(t.testdir({}), 'data')
  const first = await StateDatabase.open(directory)
  t.strictSame(first.of('clinic', '2030-01-01'), { today: 0, total: 0 })
  first.add('clinic', '2030-01-01', 3)
  first.add('clinic', '2030-01-02', 4)
  first.add('clinic', '2030-01-02', -1)
  first.add('bank', '2030-01-02', 7)
  first.close()
  const second = await StateDatabase.open(directory)
  t.strictSame(second.of('clinic', '2030-01-02'), { today: 3, total: 6 })
  t.strictSame(second.of('bank', '2030-01-01'), { today: 0, total: 7 })
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
    message: /state\.db cannot be used/,
  })
  const later = join(damaged, 'later')
  ;(await StateDatabase.open(later)).close()
  const database = new DatabaseSync(join(later, 'state.db'))
  database.exec('PRAGMA user_version = 9')
  database.close()
  await t.rejects(StateDatabase.open(later), { code: 'CONFIG_INVALID', message: /later version.*layout 9/ })
})
