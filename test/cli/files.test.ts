import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { fileTrouble, PolyVeilError } from '../../src/errors/index.ts'
import { manifest } from '../client/fake-server.ts'
import { safetensors } from './safetensors.ts'
import { failed, polyveil, sourceOf, zooPath } from './support.ts'

// Files and directories that are missing or wrong. The error names the file and its fault, and is never an
// internal error of PolyVeil.

const QUIET = ['--json', '--quiet']
const image = zooPath('digits/images/digits-3-0.png')
const directory = t.testdir({
  file: 'a file',
  models: {},
  full: {},
  'manifest.json': JSON.stringify(manifest),
  'broken.safetensors': 'no tensors',
  'server.json': '[1]',
})
const path = (...names: string[]): string => join(directory, ...names)
const circuit = join(CIRCUITS, 'digits.pvc')

async function told(t: Test, args: string[], code: string, message: RegExp, remedy = /./): Promise<void> {
  const ran = await polyveil([...args, ...QUIET])
  failed(t, ran, 3, code)
  t.match(ran.json.error.message, message, args.slice(0, 1).join())
  t.match(ran.json.error.remedy, remedy)
}

t.test('fileTrouble describes system errors', async (t) => {
  for (const [code, words] of [
    ['EACCES', 'may not be used by this user (EACCES)'],
    ['EISDIR', 'is a directory where a file belongs (EISDIR)'],
    ['EUNHEARD', 'cannot be used (EUNHEARD)'],
  ]) {
    t.equal(fileTrouble(Object.assign(new Error('x'), { code })), words)
  }
  t.equal(fileTrouble(undefined), 'cannot be used')
})

t.test('a key directory that is a file or cannot be made is refused', async (t) => {
  const encrypt = (keys: string) => [
    'encrypt',
    image,
    '--manifest',
    path('manifest.json'),
    '--keys',
    keys,
    '--out',
    path('out'),
  ]
  await told(
    t,
    encrypt(path('file')),
    'CONFIG_INVALID',
    /^The key directory \S+file is a file.*\(ENOTDIR\)$/,
    /path/,
  )
  await told(t, encrypt(path('file', 'keys')), 'CONFIG_INVALID', /^The key directory .*\(ENOTDIR\)$/)
})

t.test('errors name images, manifests and frames', async (t) => {
  const with2 = ['--manifest', path('manifest.json'), '--keys', path('keys')]
  await told(
    t,
    ['encrypt', path('absent.png'), ...with2, '--out', path('o')],
    'IMAGE_UNREADABLE',
    /absent\.png does not exist \(ENOENT\)/,
    /Check the path/,
  )
  await told(
    t,
    ['encrypt', directory, ...with2, '--out', path('o')],
    'IMAGE_UNREADABLE',
    /is a directory where a file belongs/,
  )
  await told(
    t,
    ['encrypt', image, '--manifest', path('no.json'), '--keys', path('keys'), '--out', path('o')],
    'CONFIG_INVALID',
    /^The manifest \S+no\.json does not exist/,
  )
  await told(
    t,
    ['encrypt', image, ...with2, '--out', path('absent', 'o')],
    'CONFIG_INVALID',
    /its directory \S+absent does not exist \(ENOENT\)/,
    /may write/,
  )
  await told(
    t,
    ['encrypt', image, ...with2, '--out', path('models')],
    'CONFIG_INVALID',
    /models cannot be written: it /,
  )
})

t.test('errors name golden and calibration files', async (t) => {
  const check = ['check', ...sourceOf('one_shot'), '--golden']
  await told(
    t,
    [...check, path('absent')],
    'CHECKPOINT_UNREADABLE',
    /^The golden file \S+absent does not exist/,
    /Check the path/,
  )
  await told(
    t,
    [...check, path('broken.safetensors')],
    'CHECKPOINT_UNREADABLE',
    /^The golden file \S+broken\.safetensors: /,
    /input \[n, 3, H, W\]/,
  )
  const logits = { shape: [1, 10], data: new Float32Array(10) }
  writeFileSync(path('logits.safetensors'), safetensors({ logits }))
  await told(
    t,
    [...check, path('logits.safetensors')],
    'TENSOR_MISSING',
    /^The golden file \S+logits\.safetensors: .*"input"/,
    /golden file|input/,
  )
  const compile = ['compile', ...sourceOf('one_shot'), '--dry-run', '--calibrate']
  await told(
    t,
    [...compile, path('absent')],
    'CHECKPOINT_UNREADABLE',
    /^The calibration file \S+absent does not exist/,
  )
  await told(
    t,
    [...compile, path('logits.safetensors')],
    'TENSOR_MISSING',
    /^The calibration file \S+logits\.safetensors: /,
  )
})

t.test('errors name checkpoints and circuits', async (t) => {
  const [, ...config] = sourceOf('one_shot')
  await told(
    t,
    ['check', path('absent.pt'), ...config],
    'CHECKPOINT_UNREADABLE',
    /^The checkpoint \S+absent\.pt does not exist/,
    /Check the path/,
  )
  await told(
    t,
    ['inspect', path('absent.pvc')],
    'CONFIG_INVALID',
    /^The circuit \S+absent\.pvc does not exist/,
  )
  await told(t, ['inspect', path('file')], 'CONFIG_INVALID', /^The circuit \S+file: /, /polyveil compile/)
})

t.test('serve refuses a models directory without a good circuit, and names each file', async (t) => {
  const serve = (models: string) => ['serve', '--models', models, '--port', '0']
  await told(t, serve(path('none')), 'CONFIG_INVALID', /^The models directory \S+none does not exist/)
  await told(t, serve(path('models')), 'CONFIG_INVALID', /models holds no circuit/, /polyveil compile/)
  writeFileSync(path('full', 'two.pvc'), 'broken')
  await told(t, serve(path('full')), 'CONFIG_INVALID', /^The circuit \S+two\.pvc: /, /take it out/)
  writeFileSync(path('full', 'one.pvc'), 'PVCIRC01 and so on')
  await told(
    t,
    serve(path('full')),
    'CONFIG_INVALID',
    /^The circuit \S+one\.pvc: .*version 1 of the format.*\. The circuit \S+two\.pvc: /,
    /take it out/,
  )
})

t.test('errors name the settings and directories of the service', async (t) => {
  mkdirSync(path('good'))
  copyFileSync(circuit, path('good', 'digits.pvc'))
  const serve = ['serve', '--models', path('good')]
  await told(
    t,
    [...serve, '--config', path('server.json')],
    'CONFIG_INVALID',
    /server\.json is no JSON object/,
  )
  await told(t, [...serve, '--config', path('none.json')], 'CONFIG_INVALID', /none\.json does not exist/)
  await told(
    t,
    [...serve, '--host', '192.0.2.1', '--port', '0'],
    'CONFIG_INVALID',
    /no such address \(EADDRNOTAVAIL\)/,
    /host/,
  )
  const ran = await polyveil([...serve, '--port', '0', ...QUIET], {
    env: { POLYVEIL_DATA_DIR: path('file') },
  })
  failed(t, ran, 3, 'CONFIG_INVALID')
  t.match(ran.json.error.message, /^The data directory \S+file is there already/)
})

t.test('an error keeps its own remedy across threads and the network', async (t) => {
  const error = new PolyVeilError('MODEL_UNKNOWN', 'none', {}, { remedy: 'Take another.' })
  t.strictSame(error.toJSON(), { code: 'MODEL_UNKNOWN', message: 'none', facts: {}, remedy: 'Take another.' })
  t.equal(PolyVeilError.fromJSON(error.toJSON()).remedy, 'Take another.')
  const usual = new PolyVeilError('MODEL_UNKNOWN', 'none')
  t.equal(usual.remedy, usual.entry.remedy)
  t.notOk('remedy' in usual.toJSON())
})
