import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import t from 'tap'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { writeCircuit } from '../../src/circuit/index.ts'
import { smallCircuit } from '../circuit/circuits.ts'
import { startProgram, startService } from './service.ts'
import { failed, polyveil, zooPath } from './support.ts'

const QUIET = ['--json', '--quiet']
const IMAGES = ['digits/images/digits-3-0.png', 'digits/images/digits-7-0.png'].map(zooPath)
const directory = t.testdir()
const service = await startService(join(directory, 'data'))
t.teardown(() => service.stop())
const { url } = service
const get = async (path: string): Promise<Response> => fetch(new URL(path, url))

t.test('serve says which circuits it leaves out, and looks again at SIGHUP', async (t) => {
  const folder = t.testdir({ circuits: { 'bad.pvc': 'this is no circuit' } })
  const models = join(folder, 'circuits')
  writeFileSync(join(models, 'small.pvc'), writeCircuit(smallCircuit()))
  const settings = join(folder, 'server.json')
  writeFileSync(settings, JSON.stringify({ modelsDir: models, modelsPollSeconds: 0 }))
  const some = await startService(join(folder, 'data'), '--config', settings)
  t.teardown(() => some.stop())
  t.match(some.document, {
    leftOut: [{ file: 'bad.pvc', reason: /no circuit file/, remedy: String }],
  })
  t.match(some.stderr(), /^left out bad\.pvc: The circuit file cannot be used\./m)
  const names = async () => {
    const { models } = (await (await fetch(`${some.url}/v2/models`)).json()) as { models: { name: string }[] }
    return models.map(({ name }) => name).sort()
  }
  writeFileSync(join(models, 'later.pvc'), writeCircuit({ ...smallCircuit(), model: 'later' }))
  t.strictSame(await names(), ['small'])
  some.hangUp()
  while ((await names()).length < 2);
  t.strictSame(await names(), ['later', 'small'])
})

t.test('serve offers the bundled networks', async (t) => {
  const { models } = (await (await get('/v2/models')).json()) as { models: { name: string }[] }
  t.strictSame(models.map(({ name }) => name).sort(), ['clothing', 'digits'])
})

t.test('classify uploads keys once, and finds the correct class of encrypted images', async (t) => {
  const keys = join(directory, 'keys')
  const args = ['--url', url, '--model', 'digits', '--keys', keys]
  const first = await polyveil(['classify', IMAGES[0], ...args, '--top', '3', ...QUIET])
  t.equal(first.code, 0)
  t.equal(first.stderr, '')
  const { model, images } = first.json
  t.equal(model, 'digits')
  t.match(images, [{ file: IMAGES[0], classes: [{ label: '3', index: 3, score: Number, logit: Number }] }])
  t.equal(images[0].classes.length, 3)
  t.ok(images[0].classes[0].score > images[0].classes[1].score)

  const second = await polyveil(['classify', IMAGES[1], ...args])
  t.equal(second.code, 0)
  t.match(second.stdout.toString(), /digits-7-0\.png\nclass +score +logit\n +7 +\d/)
  // A slow machine prints more lines between these, with the progress of a step.
  t.match(
    second.stderr,
    /^connecting to .*\n.*digits-7-0\.png: encrypting\n(.*\n)*.*: waiting for the server\n/,
  )
  t.notMatch(second.stderr, 'uploading keys', 'the keys of the first call are reused')
  t.match(await (await get('/metrics')).text(), /^polyveil_key_sets 1$/m)
  t.match(await (await get('/metrics')).text(), /^polyveil_inferences_total\{.*outcome="ok"\} 2$/m)
})

t.test('encrypt takes the same keys, and the manifest by its URL', async (t) => {
  const local = ['--manifest', `${url}/v2/models/digits/manifest`, '--keys', join(directory, 'keys')]
  const query = await polyveil(['encrypt', IMAGES[0], ...local, '--quiet'])
  t.equal(query.code, 0)
  const { models } = (await (await get('/v2/models')).json()) as {
    models: { name: string; inputs: { parameters: { binary_data_size: number } }[] }[]
  }
  const [input] = models.find(({ name }) => name === 'digits')!.inputs
  t.equal(
    query.stdout.length,
    input.parameters.binary_data_size,
    'the query has the size that the service states',
  )
})

t.test('bad images do not affect the other images of a call', async (t) => {
  const args = ['--url', url, '--model', 'digits', '--keys', join(directory, 'keys'), '--top', '1']
  const dark = join(directory, 'dark-on-light.png')
  writeFileSync(dark, await sharp(IMAGES[0]).removeAlpha().negate().png().toBuffer())
  const damaged = join(directory, 'damaged.png')
  writeFileSync(damaged, readFileSync(IMAGES[0]).subarray(0, -40))
  const absent = join(directory, 'absent.png')
  const files = [absent, IMAGES[0], damaged, dark, IMAGES[1]]
  const { code, json, stderr } = await polyveil(['classify', ...files, ...args, ...QUIET])
  t.equal(code, 3)
  t.equal(stderr, '')
  t.match(json.images, [
    {
      file: absent,
      error: { code: 'IMAGE_UNREADABLE', message: /absent\.png does not exist/, remedy: String },
    },
    { file: IMAGES[0], classes: [{ label: '3' }] },
    { file: damaged, error: { code: 'IMAGE_UNREADABLE', message: /damaged\.png: The PNG image is damaged/ } },
    {
      file: dark,
      error: {
        code: 'TENSOR_OUT_OF_RANGE',
        message:
          /does not handle this picture.*light on dark \(mean brightness 0\.13.*--invert .*This picture has 0\.8/,
        facts: { file: dark, brightness: Number },
      },
    },
    { file: IMAGES[1], classes: [{ label: '7' }] },
  ])
  const inverted = await polyveil(['classify', dark, damaged, ...args, '--invert'])
  t.equal(inverted.code, 3)
  t.match(inverted.stdout.toString(), /^[^\n]*dark-on-light\.png\nclass +score +logit\n +3 [^\n]*\n$/)
  t.match(inverted.stderr, /dark-on-light\.png: encrypting\n/)
  t.match(
    inverted.stderr,
    /\npolyveil: IMAGE_UNREADABLE: [^\n]*damaged\.png: The PNG image is damaged[^\n]*\n/,
  )
  const none = await polyveil(['classify', damaged, absent, ...args, ...QUIET])
  t.equal(none.code, 3)
  t.match(none.json, { model: 'digits', images: [{ error: {} }, { error: {} }] })
})

t.test('encrypt names an image that cannot be read, and can invert images', async (t) => {
  const local = ['--manifest', `${url}/v2/models/digits/manifest`, '--keys', join(directory, 'keys')]
  const text = join(directory, 'note.png')
  writeFileSync(text, 'no image')
  const out = join(directory, 'query')
  failed(t, await polyveil(['encrypt', text, ...local, '--out', out, ...QUIET]), 3, 'IMAGE_UNREADABLE', {
    file: text,
  })
  t.notOk(existsSync(out))
  t.equal((await polyveil(['encrypt', IMAGES[0], '--invert', ...local, '--out', out, ...QUIET])).code, 0)
})

t.test('wrong models and images of a client are refused', async (t) => {
  const classify = (image: string, model = 'digits', ...more: string[]) =>
    polyveil(['classify', image, '--url', url, '--model', model, ...more, ...QUIET])
  failed(t, await classify(IMAGES[0], 'faces'), 3, 'MODEL_UNKNOWN')
  failed(t, await classify(join(directory, 'absent.png')), 3, 'IMAGE_UNREADABLE')
  const text = join(directory, 'text.png')
  writeFileSync(text, 'no image')
  failed(t, await classify(text), 3, 'IMAGE_UNREADABLE')
  const keys = join(directory, 'refused')
  failed(t, await classify(text, 'digits', '--keys', keys), 3, 'IMAGE_UNREADABLE')
  t.notOk(existsSync(keys), 'a malformed image makes no keys')
  t.match(await (await get('/metrics')).text(), /^polyveil_key_sets 1$/m, 'nothing is uploaded')
  t.equal((await get('/v2/health/ready')).status, 200, 'the server still serves')
})

t.test('a service stops with exit code 0, and has written only its line on stderr', async (t) => {
  t.equal(service.stderr(), `serving ${CIRCUITS} at ${url}\n`)
  t.equal(await service.stop(), 0)
  failed(
    t,
    await polyveil(['classify', IMAGES[0], '--url', url, '--model', 'digits', ...QUIET]),
    5,
    'SERVER_UNREACHABLE',
  )
})

t.test('npm start serves the bundled networks', async (t) => {
  const root = new URL('../../', import.meta.url)
  const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'))
  t.equal(scripts.start, 'node scripts/start.ts')
  const script = fileURLToPath(new URL('scripts/start.ts', root))
  const started = await startProgram([script, '--port', '0', '--json', '--quiet'], join(directory, 'data'))
  const { models } = (await (await fetch(`${started.url}/v2/models`)).json()) as { models: unknown[] }
  t.equal(models.length, 2)
  t.equal(await started.stop(), 0)
})

t.test('serve takes a directory or a file of settings', async (t) => {
  const folder = t.testdir({ circuits: {} })
  writeFileSync(join(folder, 'circuits', 'small.pvc'), writeCircuit(smallCircuit()))
  const settings = join(folder, 'settings.json')
  writeFileSync(settings, JSON.stringify({ modelsDir: join(folder, 'circuits'), workers: 1, queue: 0 }))
  for (const args of [
    ['--models', join(folder, 'circuits')],
    ['--config', settings],
  ]) {
    const small = await startService(join(folder, 'data'), ...args, '--quiet')
    const { models } = (await (await fetch(`${small.url}/v2/models`)).json()) as {
      models: { name: string }[]
    }
    t.strictSame(
      models.map(({ name }) => name),
      ['small'],
    )
    t.equal(await small.stop(), 0)
    t.equal(small.stderr(), '')
  }
})

t.test('a service that cannot start states the reason', async (t) => {
  const folder = t.testdir({
    none: {},
    bad: { 'bad.pvc': 'this is no circuit' },
    data: {},
    'settings.json': '{"pört":1}',
  })
  const serve = (...args: string[]) =>
    polyveil(['serve', ...args, ...QUIET], { env: { POLYVEIL_DATA_DIR: join(folder, 'data') } })
  failed(t, await serve('--models', join(folder, 'none'), '--port', '0'), 3, 'CONFIG_INVALID')
  failed(t, await serve('--models', join(folder, 'absent'), '--port', '0'), 3, 'CONFIG_INVALID')
  failed(t, await serve('--models', join(folder, 'bad'), '--port', '0'), 3, 'CONFIG_INVALID')
  failed(t, await serve('--config', join(folder, 'settings.json')), 3, 'CONFIG_INVALID')
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const { port } = taken.address() as { port: number }
  failed(t, await serve('--port', String(port)), 3, 'CONFIG_INVALID', { port })
  taken.close()
})
