import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readCheckpoint } from '../../src/models/index.ts'
import { goldenFile, goldenJson } from '../models/support/golden.ts'
import { call, global, pickle, text } from '../models/support/pickle.ts'
import { zip } from '../models/support/zip.ts'
import { safetensors } from './safetensors.ts'
import { failed, filesIn, goldenOf, goldenPath, polyveil, sourceOf } from './support.ts'

// Each bad input must end with its error code, exit code 3 and no stack, and leave no incomplete file. Tests
// of the modules cover each code in detail; these tests cover the command line.

const directory = t.testdir()
const QUIET = ['--json', '--quiet']
const good = readFileSync(goldenFile('one_shot.pt'))
const tensors = await readCheckpoint(goldenFile('one_shot.pt'))

function written(name: string, content: string | Uint8Array): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

const config = (change: object): string =>
  written('config.json', JSON.stringify({ ...(goldenJson('one_shot') as object), ...change }))

/** Compiles a checkpoint to a file, which must not be written, and checks it. */
async function bothOf(checkpoint: string, configuration = goldenPath('one_shot.json')) {
  const source = [checkpoint, '--config', configuration]
  const out = join(directory, 'out.pvc')
  const compiled = await polyveil(['compile', ...source, '--out', out, ...QUIET])
  if (existsSync(out)) throw new Error('a circuit was written')
  return [compiled, await polyveil(['check', ...source, ...goldenOf('one_shot'), ...QUIET])]
}

async function refused(t: Test, checkpoint: string, code: string, facts = {}, configuration?: string) {
  for (const ran of await bothOf(checkpoint, configuration)) failed(t, ran, 3, code, facts)
}

t.test('unreadable checkpoints are refused', async (t) => {
  const flipped = Buffer.from(good)
  flipped[flipped.indexOf('one_shot/data/0') + 100] ^= 1
  for (const [name, content] of [
    ['truncated.pt', good.subarray(0, good.length - 1000)],
    ['half.pt', good.subarray(0, good.length >> 1)],
    ['flipped.pt', flipped],
    ['empty.pt', Buffer.alloc(0)],
    ['text.pt', 'no checkpoint'],
    ['text.safetensors', 'no checkpoint'],
  ] as const) {
    await t.test(name, (t) => refused(t, written(name, content), 'CHECKPOINT_UNREADABLE'))
  }
  await refused(t, join(directory, 'absent.pt'), 'CHECKPOINT_UNREADABLE')
  await refused(t, directory, 'CHECKPOINT_UNREADABLE')
})

t.test('a pickle with a call is refused, and the call is not made', async (t) => {
  const witness = join(directory, 'witness')
  const evil = pickle(call(global('os', 'system'), text(`touch ${witness}`)))
  const archive = zip([
    { name: 'evil/data.pkl', content: evil },
    { name: 'evil/version', content: Buffer.from('3\n') },
  ])
  await refused(t, written('evil.pt', archive), 'CHECKPOINT_UNSAFE')
  t.notOk(existsSync(witness))
})

t.test('missing tensors, wrong shapes and networks that are not polynomial are refused', async (t) => {
  const changed = (name: string, shape?: number[]): string => {
    const entries = [...tensors]
      .filter(([key]) => key !== name || shape)
      .map(([key, tensor]) => [key, key === name && shape ? { ...tensor, shape } : tensor])
    return written('changed.safetensors', safetensors(Object.fromEntries(entries)))
  }
  await refused(t, changed('cells.0.ops.3.1.weight'), 'TENSOR_MISSING', { tensor: 'cells.0.ops.3.1.weight' })
  await refused(t, changed('proj.weight', [16, 64, 1, 1]), 'TENSOR_SHAPE', { tensor: 'proj.weight' })
  const entries = [...tensors].filter(([key]) => !key.startsWith('norm.'))
  const one = { shape: [16], data: new Float32Array(16).fill(1) }
  const layerNorm = safetensors({ ...Object.fromEntries(entries), 'norm.weight': one, 'norm.bias': one })
  await refused(t, written('layernorm.safetensors', layerNorm), 'NOT_POLYNOMIAL')
})

t.test('malformed configs, and configs that contradict the checkpoint, are refused', async (t) => {
  const checkpoint = goldenPath('one_shot.pt')
  await refused(t, checkpoint, 'TENSOR_SHAPE', {}, config({ num_classes: 11 }))
  await refused(t, checkpoint, 'TENSOR_SHAPE', { tensor: 'stem.weight' }, config({ init_channels: 32 }))
  await refused(t, checkpoint, 'TENSOR_SHAPE', {}, config({ input_size: 48 }))
  await refused(t, checkpoint, 'CONFIG_INVALID', {}, config({ layers: 2 }))
  await refused(t, checkpoint, 'CONFIG_INVALID', {}, config({ network: 'ResNet' }))
  await refused(t, checkpoint, 'CONFIG_INVALID', {}, written('torn.json', '{"layers":'))
  await refused(t, checkpoint, 'CONFIG_INVALID', {}, written('list.json', '[1]'))
  await refused(t, checkpoint, 'CONFIG_INVALID', {}, join(directory, 'absent.json'))
  failed(t, await polyveil(['check', checkpoint, '--arch', 'resnet', ...QUIET]), 3, 'MODEL_UNKNOWN')
  failed(t, await polyveil(['check', checkpoint, '--arch', 'lowres', ...QUIET]), 3, 'TENSOR_SHAPE')
})

t.test('malformed circuits are refused', async (t) => {
  const path = join(directory, 'good.pvc')
  await polyveil(['compile', ...sourceOf('one_shot'), '--out', path])
  const circuit = readFileSync(path)
  const flipped = Buffer.from(circuit)
  flipped[flipped.length >> 1] ^= 1
  const bad = {
    flipped,
    truncated: circuit.subarray(0, -1),
    longer: Buffer.concat([circuit, Buffer.alloc(1)]),
    text: Buffer.from('none'),
  }
  for (const [name, content] of Object.entries(bad)) {
    const file = written(`${name}.pvc`, content)
    failed(t, await polyveil(['inspect', file, ...QUIET]), 3, 'CONFIG_INVALID')
    failed(t, await polyveil(['verify', file, ...goldenOf('one_shot'), ...QUIET]), 3, 'CONFIG_INVALID')
  }
  failed(t, await polyveil(['inspect', join(directory, 'absent.pvc'), ...QUIET]), 3, 'CONFIG_INVALID')
})

t.test('no incomplete file is left', async (t) => {
  t.strictSame(
    filesIn(directory).filter((file) => /\.part$|out\.pvc/.test(file)),
    [],
  )
})
