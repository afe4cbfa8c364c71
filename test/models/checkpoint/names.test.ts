import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Checkpoint, loadNetwork, parseConfig, readCheckpoint } from '../../../src/models/index.ts'
import { safetensors } from '../../cli/safetensors.ts'
import { goldenFile, goldenJson } from '../support/golden.ts'
import { TorchFile } from '../support/saved.ts'

const folder = t.testdir()
const weights = await readCheckpoint(goldenFile('one_shot.pt'))
const config = parseConfig(goldenJson('one_shot'))

/** The golden weights under other names, read again. */
async function renamed(rename: (name: string) => string, prefix?: string): Promise<Checkpoint> {
  const file = new TorchFile()
  return readCheckpoint(file.write(join(folder, 'renamed.pt'), file.stateDict(weights, rename)), { prefix })
}

const message = async (checkpoint: Promise<Checkpoint>): Promise<{ code: string; message: string }> => {
  try {
    loadNetwork(await checkpoint, config)
  } catch (error) {
    return error as { code: string; message: string }
  }
  throw new Error('it loads')
}

t.test('prefixes of wrappers are removed, also nested ones', async (t) => {
  for (const prefix of [
    'module.',
    '_orig_mod.',
    'module._orig_mod.',
    '_orig_mod.module.',
    'model.',
    'model._orig_mod.',
    '_orig_mod.model.module.',
    'module.module.',
    '_fsdp_wrapped_module._orig_mod.',
  ]) {
    t.same([...(await renamed((name) => prefix + name)).keys()], [...weights.keys()], prefix)
  }
  const inside = (name: string): string =>
    name.replace(/^(cells\.\d+\.)/, '$1_orig_mod.').replace(/^(proj)\./, '$1._orig_mod.')
  t.same([...(await renamed(inside)).keys()], [...weights.keys()], 'modules that were compiled separately')
})

t.test('the error names another common prefix, and --prefix accepts it', async (t) => {
  for (const prefix of ['backbone.', 'module.backbone.', 'model.student.net.']) {
    const bare = prefix.replace(/^(module|model)\./, '')
    const error = await message(renamed((name) => prefix + name))
    t.equal(error.code, 'TENSOR_MISSING')
    t.match(error.message, `give --prefix ${bare} to read the network there`)
    t.same([...(await renamed((name) => prefix + name, bare)).keys()], [...weights.keys()], bare)
    t.same([...(await renamed((name) => prefix + name, prefix)).keys()], [...weights.keys()], prefix)
  }
  const path = join(folder, 'weights.safetensors')
  writeFileSync(
    path,
    safetensors(Object.fromEntries([...weights].map(([name, tensor]) => [`backbone.${name}`, tensor]))),
  )
  t.match((await message(readCheckpoint(path))).message, '--prefix backbone.')
  loadNetwork(await readCheckpoint(path, { prefix: 'backbone.' }), config)
  await t.rejects(readCheckpoint(path, { prefix: 'neck.' }), {
    code: 'CONFIG_INVALID',
    message: /neck\..*backbone\./,
  })
  await t.rejects(readCheckpoint(path, { weights: 'ema' }), {
    code: 'CONFIG_INVALID',
    message: /one state dict/,
  })
})

t.test('the error names a common prefix of names of another network', async (t) => {
  const error = await message(renamed((name) => `tower.${name.replace('stem', 'trunk')}`))
  t.match(error, { code: 'TENSOR_MISSING', message: /all its names begin with tower\./ })
  const other = await message(renamed((name) => name.replace('stem', 'trunk')))
  t.match(other, { code: 'TENSOR_MISSING', message: /no stem\.weight of shape/ })
})

t.test('the error names the prefixes of two networks in one state dict', async (t) => {
  const file = new TorchFile()
  const both = new Map([
    ...[...weights].map(([name, tensor]) => [`model.${name}`, tensor] as const),
    ...[...weights].map(([name, tensor]) => [`ema_model.module.${name}`, tensor] as const),
    ['criterion.weight', { shape: [10], data: new Float32Array(10) }] as const,
  ])
  const path = file.write(join(folder, 'both.pt'), file.stateDict(both))
  const error = await message(readCheckpoint(path))
  t.match(error, { code: 'CONFIG_INVALID', message: /--prefix ema_model\.module\. reads/ })
  for (const prefix of ['model.', 'ema_model.', 'ema_model.module.']) {
    t.equal((await readCheckpoint(path, { prefix })).size, weights.size, prefix)
  }
})

t.test('the error names the prefix of a network beside other tensors, as of Lightning', async (t) => {
  const file = new TorchFile()
  for (const [prefix, other] of [
    ['model.', 'criterion.weight'],
    ['module.model.', 'criterion.weight'],
  ]) {
    const beside = new Map([...weights].map(([name, tensor]) => [prefix + name, tensor] as const))
    beside.set(other, { shape: [1], data: Float32Array.of(1) })
    const path = file.write(join(folder, `beside-${prefix}pt`), file.stateDict(beside))
    const read = await readCheckpoint(path)
    t.throws(() => loadNetwork(read, config), {
      code: 'CONFIG_INVALID',
      message: RegExp(`1 tensors .* such as criterion\\.weight; --prefix ${prefix} reads`),
      remedy: RegExp(`--prefix ${prefix}`),
    })
    loadNetwork(await readCheckpoint(path, { prefix }), config)
  }
  const extra = new Map([...weights, ['extra', { shape: [1], data: Float32Array.of(1) }] as const])
  const path = file.write(
    join(folder, 'extra.pt'),
    file.stateDict(extra, (name) => `model.${name}`),
  )
  const error = await message(readCheckpoint(path))
  t.notMatch(error.message, '--prefix', 'the prefix would not leave this tensor out')
})
