import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readCircuit } from '../../src/circuit/index.ts'
import { imageTensor } from '../../src/client/index.ts'
import { readCheckpoint } from '../../src/models/index.ts'
import { goldenJson } from '../models/support/golden.ts'
import { dictionary, integer } from '../models/support/pickle.ts'
import { scaled, TorchFile } from '../models/support/saved.ts'
import { failed, filesIn, goldenOf, goldenPath, polyveil } from './support.ts'

// Sources of weights and preprocessing in check and compile. test/models tests the readers in detail.

const folder = t.testdir()
const weights = await readCheckpoint(goldenPath('one_shot.pt'))
const QUIET = ['--json', '--quiet']

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

const config = (name: string, change: object): string =>
  file(name, JSON.stringify({ ...(goldenJson('one_shot') as object), ...change }))

const plain = ['--config', goldenPath('one_shot.json')]
const check = (checkpoint: string, ...flags: string[]) =>
  polyveil(['check', checkpoint, ...plain, ...goldenOf('one_shot'), ...flags])
// One way and one ring: what these tests look at does not depend on the plan.
const PLAN = ['--refresh', 'client', '--ring', '8192']
const dry = (checkpoint: string, ...flags: string[]) =>
  polyveil(['compile', checkpoint, '--dry-run', '--name', 'x', ...PLAN, ...flags])

t.test('averaged weights are read and reported; another entry can be chosen', async (t) => {
  const saved = new TorchFile()
  const path = saved.write(
    join(folder, 'trained.pt'),
    dictionary({
      epoch: integer(1),
      state_dict: saved.stateDict(scaled(weights, 0.5)),
      ema_state_dict: saved.stateDict(
        new Map([...weights, ['n_averaged', { shape: [], data: Float32Array.of(5) }]]),
        (name) => (name === 'n_averaged' ? name : `module._orig_mod.${name}`),
      ),
    }),
  )
  const { code, json } = await check(path, ...QUIET)
  t.equal(code, 0)
  t.match(json, {
    ok: true,
    parameters: 5920,
    weights: { entry: 'ema_state_dict', entries: ['state_dict', 'ema_state_dict'] },
  })
  t.match(
    (await check(path)).stdout.toString(),
    'weights read: the entry ema_state_dict; --weights can choose state_dict',
  )
  const raw = await check(path, '--weights', 'state_dict', ...QUIET)
  t.equal(raw.code, 1, 'the raw weights have other logits')
  t.equal(raw.json.weights.entry, 'state_dict')
  failed(t, await check(path, '--weights', 'best', ...QUIET), 3, 'CONFIG_INVALID', {
    weights: ['state_dict', 'ema_state_dict'],
  })
  const compiled = await dry(path, ...plain, ...QUIET)
  t.equal(compiled.json.weights.entry, 'ema_state_dict')
  t.match((await dry(path, ...plain)).stdout.toString(), 'weights read: the entry ema_state_dict')
})

t.test('the error names a common prefix, and --prefix accepts it', async (t) => {
  const saved = new TorchFile()
  const path = saved.write(
    join(folder, 'backbone.pt'),
    dictionary({ net: saved.stateDict(weights, (name) => `backbone.${name}`), acc: integer(7) }),
  )
  const refused = await check(path, ...QUIET)
  failed(t, refused, 3, 'TENSOR_MISSING', { prefixes: ['backbone.'] })
  t.match(refused.json.error.message, '--prefix backbone.')
  t.match(refused.json.error.remedy, '--prefix backbone.')
  t.equal((await check(path, '--prefix', 'backbone.', ...QUIET)).code, 0)
  t.equal((await dry(path, ...plain, '--prefix', 'backbone.', ...QUIET)).code, 0)
})

t.test('preprocessing comes from the config, from a flag, or is absent', async (t) => {
  const source = goldenPath('one_shot.pt')
  const none = await dry(source, ...plain, ...QUIET)
  t.equal(none.code, 0, 'a network of another architecture than the published ones compiles')
  t.equal(none.json.preprocessing, null)
  t.match(none.json.warnings, [/takes? preprocessed tensors, and no pictures/])
  t.match(
    (await dry(source, ...plain)).stdout.toString(),
    /preprocessing: none.*WARNING: neither the config/s,
  )

  const stated = await dry(source, '--config', config('stated.json', { preprocessing: 'lowres' }), ...QUIET)
  t.match(stated.json, { preprocessing: { channels: 'rgb', interpolation: 'bicubic' }, warnings: [] })
  const byFlag = await dry(source, ...plain, '--preprocessing', 'lowres', ...QUIET)
  t.strictSame(byFlag.json.preprocessing, stated.json.preprocessing)
  const grey = file(
    'grey.json',
    JSON.stringify({ resize: 40, interpolation: 'bicubic', channels: 'grey', mean: [0.5], std: [0.25] }),
  )
  t.match((await dry(source, ...plain, '--preprocessing', grey, ...QUIET)).json.preprocessing, {
    channels: 'grey',
    mean: [0.5],
  })
  t.match(
    (await polyveil(['check', source, ...plain, '--preprocessing', grey])).stdout.toString(),
    'preprocessing: grey, the same in all channels, to 40x40, bicubic with antialias, mean 0.5, deviation 0.25',
  )
  for (const [name, change, message] of [
    ['misspelt.json', { preprocesing: 'imagenet' }, /preprocesing .*did you mean preprocessing\?/],
    ['unknown.json', { preprocessing: { resize: 40, sdt: [1] } }, /preprocessing/],
  ] as const) {
    for (const run of [
      dry(source, '--config', config(name, change), ...QUIET),
      polyveil(['check', source, '--config', config(name, change), ...QUIET]),
    ]) {
      const ran = await run
      failed(t, ran, 3, 'CONFIG_INVALID')
      t.match(ran.json.error.message, message)
    }
  }
})

t.test('a circuit without preprocessing takes tensors, and refuses pictures with a remedy', async (t) => {
  const out = join(folder, 'tensors.pvc')
  t.equal(
    (await polyveil(['compile', goldenPath('one_shot.pt'), ...plain, ...PLAN, '--out', out, ...QUIET])).code,
    0,
  )
  const shown = await polyveil(['inspect', out, '--json', '--html', join(folder, 'plan.html')])
  t.equal(shown.json.preprocessing, null)
  t.match((await polyveil(['inspect', out])).stdout.toString(), 'preprocessing: none')
  t.match(readFileSync(join(folder, 'plan.html'), 'utf8'), /<dt>Preprocessing<\/dt><dd>none/)
  t.equal(
    (await polyveil(['verify', out, ...goldenOf('one_shot'), '--backend', 'clear', '--count', '1'])).code,
    0,
  )
  const { input } = readCircuit(new Uint8Array(readFileSync(out)))
  const picture = { width: 40, height: 40, channels: 1 as const, data: new Uint8Array(1600) }
  await t.rejects(imageTensor(picture, input), {
    code: 'CONFIG_INVALID',
    message: /without preprocessing/,
    remedy: /--preprocessing/,
  })
  t.same(
    (await imageTensor({ shape: [3, 40, 40], tensor: new Float64Array(4800) }, input)).shape,
    [3, 40, 40],
  )
})

t.test('a wrong --out or name is refused before anything is read', async (t) => {
  const taken = join(folder, 'taken')
  const directory = t.testdir({ taken: {}, 'earlier.pvc': 'an earlier circuit' })
  const run = (out: string, ...flags: string[]) =>
    polyveil(['compile', join(folder, 'no such.pt'), ...plain, '--out', out, ...flags, ...QUIET])
  const faults: [out: string, flags: string[], message: RegExp][] = [
    [join(directory, 'none', 'x.pvc'), [], /cannot be written/],
    [join(directory, 'taken'), [], /is a directory/],
    [join(directory, 'earlier.pvc'), [], /exists already; --force replaces it/],
    [join(directory, 'my model.pvc'), [], /cannot be served as "my model"/],
    [join(directory, 'x.pvc'), ['--name', 'a/b'], /cannot be served as "a\/b"/],
  ]
  for (const [out, flags, message] of faults) {
    const ran = await run(out, ...flags)
    failed(t, ran, 3, 'CONFIG_INVALID')
    t.match(ran.json.error.message, message)
  }
  failed(t, await run(join(directory, 'earlier.pvc'), '--force'), 3, 'CHECKPOINT_UNREADABLE')
  failed(t, await run(`${taken}.pvc`), 3, 'CHECKPOINT_UNREADABLE')
  t.strictSame(filesIn(directory), ['earlier.pvc'], 'no temporary file is left')
  t.equal(readFileSync(join(directory, 'earlier.pvc'), 'utf8'), 'an earlier circuit')
})
