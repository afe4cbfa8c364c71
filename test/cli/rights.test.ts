import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { manifest } from '../client/fake-server.ts'
import { failed, polyveil, type Ran, sourceOf, zooPath } from './support.ts'

// Files and directories without permission for this user. Root has permission for all, so as root the program
// runs as another user.

const NOBODY = 65_534
const uid = process.getuid?.() === 0 ? NOBODY : undefined
const QUIET = ['--json', '--quiet']
const LOCKED = ['image', 'network', 'golden', 'circuit', 'settings', 'keys', 'data', 'out', 'models']
const directory = t.testdir({
  store: {},
  'manifest.json': JSON.stringify(manifest),
  ...Object.fromEntries(LOCKED.map((name, i) => [name, i < 5 ? '' : {}])),
})
const path = (...names: string[]): string => join(directory, ...names)
const image = zooPath('digits/images/digits-3-0.png')
const [network, ...config] = sourceOf('one_shot')
const EACCES = 'may not be used by this user \\(EACCES\\)'

/** Removes all permissions until the end of the test. */
function lock(t: Test): void {
  for (const name of LOCKED) chmodSync(path(name), 0)
  t.teardown(() => {
    for (const name of LOCKED) chmodSync(path(name), 0o700)
  })
}

// The test runner makes every process write a record of its end. The other user may not write into this
// clone, so the records go elsewhere.
const notes = path('notes')
mkdirSync(notes)
chmodSync(notes, 0o777)

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<Ran> =>
  polyveil([...args, ...QUIET], { uid, env: { _TAPJS_PROCESSINFO_CWD_: notes, ...env } })

const clone = await run(['check', network, ...config]).catch(() => undefined)
const skip = clone?.code !== 0 && 'Another user than root cannot read this clone'

async function told(t: Test, ran: Ran, code: string, sentence: string): Promise<void> {
  failed(t, ran, 3, code)
  t.match(ran.json.error.message, new RegExp(sentence))
}

t.test('errors name files of the client without permission', { skip }, async (t) => {
  lock(t)
  chmodSync(path('store'), 0o777)
  const encrypt = (file: string, keys: string, out: string) =>
    run(['encrypt', file, '--manifest', path('manifest.json'), '--keys', keys, '--out', out])
  await told(t, await encrypt(path('image'), path('keys'), path('q')), 'IMAGE_UNREADABLE', `image ${EACCES}`)
  await told(
    t,
    await encrypt(image, path('keys'), path('q')),
    'CONFIG_INVALID',
    `^The key directory \\S+keys ${EACCES}`,
  )
  await told(
    t,
    await encrypt(image, path('keys', 'below'), path('q')),
    'CONFIG_INVALID',
    `^The key directory \\S+below ${EACCES}`,
  )
  await told(
    t,
    await encrypt(image, path('store'), path('out', 'q')),
    'CONFIG_INVALID',
    `q cannot be written: it ${EACCES}`,
  )
})

t.test('errors name files of the compiler without permission', { skip }, async (t) => {
  lock(t)
  const check = await run(['check', path('network'), ...config])
  await told(t, check, 'CHECKPOINT_UNREADABLE', `^The checkpoint \\S+network ${EACCES}`)
  const golden = await run(['check', network, ...config, '--golden', path('golden')])
  await told(t, golden, 'CHECKPOINT_UNREADABLE', `^The golden file \\S+golden ${EACCES}`)
  const inspect = await run(['inspect', path('circuit')])
  await told(t, inspect, 'CONFIG_INVALID', `^The circuit \\S+circuit ${EACCES}`)
  const compile = await run(['compile', network, ...config, '--out', path('out', 'x.pvc')])
  await told(t, compile, 'CONFIG_INVALID', `x\\.pvc cannot be written: it ${EACCES}`)
})

t.test('errors name directories of the service without permission', { skip }, async (t) => {
  lock(t)
  const models = await run(['serve', '--models', path('models'), '--port', '0'])
  await told(t, models, 'CONFIG_INVALID', `^The models directory \\S+models ${EACCES}`)
  const settings = await run(['serve', '--config', path('settings'), '--port', '0'])
  await told(t, settings, 'CONFIG_INVALID', `settings ${EACCES}`)
  const data = await run(['serve', '--port', '0'], { POLYVEIL_DATA_DIR: path('data') })
  await told(t, data, 'CONFIG_INVALID', `^The data directory \\S+data\\S* ${EACCES}`)
})
