import { join } from 'node:path'
import t from 'tap'
import { selectEntry } from '../../../src/models/checkpoint/entries.ts'
import { type StorageReference, TensorReference } from '../../../src/models/checkpoint/pickle/values.ts'
import { loadNetwork, parseConfig, readCheckpoint, readWeights } from '../../../src/models/index.ts'
import { goldenFile, goldenJson } from '../support/golden.ts'
import { layerOf } from '../support/operations.ts'
import { call, dictionary, type Fragment, global, integer, raw, text, tuple } from '../support/pickle.ts'
import { scaled, TorchFile } from '../support/saved.ts'

const folder = t.testdir()
let files = 0
const path = (): string => join(folder, `${files++}.pt`)

/** A file with some entries. Each entry has one tensor, and its value identifies the entry. */
function fileOf(entries: (file: TorchFile) => Record<string, Fragment>): string {
  const file = new TorchFile()
  return file.write(path(), dictionary(entries(file)))
}

const one = (file: TorchFile, value: number): Fragment =>
  dictionary({ a: file.tensor(Float32Array.of(value)) })

const firstOf = async (file: string, weights?: string): Promise<number> =>
  (await readCheckpoint(file, { weights })).get('a')!.data[0]

t.test('averaged weights come before raw ones, in the order of the reference', async (t) => {
  const order = [
    'state_dict_ema',
    'model_ema',
    'ema',
    'ema_state_dict',
    'params_ema',
    'state_dict',
    'model',
    'model_state_dict',
    'net',
  ]
  for (const [k, best] of order.entries()) {
    const file = fileOf((file) => {
      const entries = order.slice(k).map((name, i) => [name, one(file, k + i)] as const)
      return Object.fromEntries(entries.reverse())
    })
    const found = await readWeights(file)
    t.equal(found.entry, best)
    t.equal(found.tensors.get('a')?.data[0], k)
    t.equal(found.entries.length, order.length - k)
    t.equal(await firstOf(file, 'net'), order.length - 1, '--weights chooses an entry')
  }
})

t.test('the averaged weights of the training script are read', async (t) => {
  const weights = await readCheckpoint(goldenFile('one_shot.pt'))
  const config = parseConfig(goldenJson('one_shot'))
  const file = new TorchFile()
  const average = new Map([
    ...scaled(weights, 0.5),
    ['n_averaged', { shape: [], data: Float32Array.of(1000) }] as const,
  ])
  const saved = file.write(
    path(),
    dictionary({
      epoch: integer(3),
      state_dict: file.stateDict(weights),
      best_acc: file.tensor(Float32Array.of(0.7), []),
      optimizer: dictionary({ param_groups: raw(0x5d) }),
      ema_state_dict: file.stateDict(average, (name) => (name === 'n_averaged' ? name : `module.${name}`)),
    }),
  )
  const found = await readWeights(saved)
  t.equal(found.entry, 'ema_state_dict')
  const stem = weights.get('stem.weight')!.data
  t.same(
    layerOf(loadNetwork(found.tensors, config), 'stem').weight,
    stem.map((x) => x / 2),
    'the average loads',
  )
  const raws = await readWeights(saved, { weights: 'state_dict' })
  t.same(layerOf(loadNetwork(raws.tensors, config), 'stem').weight, stem)
  await t.rejects(readWeights(saved, { weights: 'optimizer' }), {
    code: 'CONFIG_INVALID',
    message: /state_dict \(\d+ tensors\).*ema_state_dict/,
  })
})

t.test('a single dictionary of tensors is found under any name and within other dictionaries', async (t) => {
  t.equal(await firstOf(fileOf((file) => ({ acc: integer(9), anything: one(file, 4) }))), 4)
  t.equal(
    await firstOf(fileOf((file) => ({ acc: file.tensor(Float32Array.of(1), []), weights: one(file, 5) }))),
    5,
    'a lone tensor beside it is not a state dict',
  )
  const nested = fileOf((file) => ({
    checkpoint: dictionary({ generator: dictionary({ best: one(file, 6) }) }),
  }))
  t.equal((await readWeights(nested)).entry, 'checkpoint.generator.best')
  t.equal(await firstOf(nested), 6)
  const inner = fileOf((file) => ({
    model: one(file, 1),
    ema: dictionary({ updates: integer(7), module: one(file, 2) }),
  }))
  t.equal(
    (await readWeights(inner)).entry,
    'ema.module',
    'the dictionary of an average may be within another',
  )
  const parameter = (file: TorchFile): Fragment =>
    call(
      global('torch._utils', '_rebuild_parameter'),
      file.tensor(Float32Array.of(8)),
      raw(0x89),
      call(global('collections', 'OrderedDict')),
    )
  t.equal(await firstOf(fileOf((file) => ({ a: parameter(file) }))), 8, 'parameters are tensors')
})

t.test('the error for 150 000 dictionaries lists the first ones', async (t) => {
  const tensor = new TensorReference({} as StorageReference, 0, [1], [1])
  const root = new Map(Array.from({ length: 150_000 }, (_, i) => [`d${i}`, new Map([['a', tensor]])]))
  t.throws(() => selectEntry(root), { code: 'CHECKPOINT_UNREADABLE', message: /d0/ })
})

t.test('the error lists the entries that could be chosen', async (t) => {
  const several = fileOf((file) => ({ encoder: one(file, 1), decoder: one(file, 2) }))
  await t.rejects(readWeights(several), {
    code: 'CHECKPOINT_UNREADABLE',
    message: /encoder \(1 tensors\), decoder \(1 tensors\)/,
    remedy: /--weights/,
    facts: { weights: ['encoder', 'decoder'] },
  })
  t.equal(await firstOf(several, 'decoder'), 2)
  await t.rejects(
    readWeights(fileOf(() => ({ epoch: integer(3), name: text('x\u001b[2J'), ema: dictionary({}) }))),
    {
      code: 'CHECKPOINT_UNREADABLE',
      message: /epoch \(a number\), name \(a text\), ema \(a dictionary of 0\)/,
    },
  )
  await t.rejects(
    readWeights(
      fileOf((file) => ({ a: file.tensor(Float32Array.of(1)) })),
      { weights: 'ema' },
    ),
    {
      code: 'CONFIG_INVALID',
      message: /one state dict/,
    },
  )
  const escapes = fileOf((file) => ({ '\u001b[2Ja': one(file, 1), b: one(file, 2) }))
  await t.rejects(
    readWeights(escapes),
    { message: /^\P{Cc}*\[2Ja\P{Cc}*$/u },
    'the message has no control characters',
  )
})

t.test('a note says that an average in another form is not read', async (t) => {
  const list = (file: TorchFile): Fragment =>
    dictionary({ shadow_params: Buffer.concat([raw(0x5d), file.tensor(Float32Array.of(1)), raw(0x61)]) })
  const found = await readWeights(fileOf((file) => ({ state_dict: one(file, 3), ema: list(file) })))
  t.equal(found.entry, 'state_dict')
  t.match(found.notes, [/ema is no dictionary of tensors by name and is not read/])
  const none = await readWeights(fileOf((file) => ({ state_dict: one(file, 3), ema: raw(0x4e) })))
  t.same(none.notes, [])
})

t.test(
  'an average that is the same object as the weights is read under its own name, without a note',
  async (t) => {
    // The memo has the dictionary of the first entry.
    const stored = (file: TorchFile): Fragment => Buffer.concat([one(file, 3), raw(0x71, 7)])
    const file = fileOf((file) => ({ params: stored(file), params_ema: raw(0x68, 7) }))
    const found = await readWeights(file)
    t.same(found.notes, [])
    t.equal(found.entry, 'params_ema')
    t.same(
      found.entries.map(({ name }) => name),
      ['params', 'params_ema'],
    )
    t.equal(await firstOf(file, 'params'), 3)
    const twice = fileOf((file) => ({ last: stored(file), best: raw(0x68, 7) }))
    t.equal(await firstOf(twice), 3, 'two names of one dictionary are no choice')
    const other = fileOf((file) => ({ state_dict: one(file, 4), last: stored(file), ema: raw(0x68, 7) }))
    t.equal((await readWeights(other)).entry, 'ema', 'the average is found behind another name')
  },
)

t.test('unknown options are refused with the names of those that exist', async (t) => {
  const file = fileOf((file) => ({ net: one(file, 1), ema: one(file, 2) }))
  await t.rejects(readCheckpoint(file, { weight: 'net' } as object), {
    code: 'CONFIG_INVALID',
    message: /no option weight$/,
    remedy: /weights, prefix/,
  })
})

t.test('metadata of unusual types are passed over', async (t) => {
  const seed = Buffer.from([0x8a, 8, 1, 0, 0, 0, 0, 0, 0, 0x40])
  const large = Buffer.concat([raw(0x8a, 13), Buffer.alloc(12, 0), raw(0x10)])
  const keys = Buffer.concat([
    raw(0x7d, 0x28),
    ...[
      raw(0x4e),
      integer(1),
      tuple(integer(1), text('a')),
      integer(2),
      seed,
      integer(3),
      text('b'),
      integer(4),
    ],
    raw(0x75),
  ])
  const file = fileOf((file) => ({ state_dict: one(file, 5), seed, large, keys }))
  t.equal(await firstOf(file), 5)
  await t.rejects(readWeights(fileOf(() => ({ seed }))), { message: /seed \(a number\)/ })
})

t.test('the error for a tuple or a list names the item that has tensors', async (t) => {
  const file = new TorchFile()
  const list = (...items: Fragment[]) => Buffer.concat([raw(0x5d, 0x28), ...items, raw(0x65)])
  const options = dictionary({ lr: integer(1) })
  for (const [root, message, place] of [
    [
      tuple(one(file, 1), options),
      /is a tuple of 2 .* items are 0 \(a dictionary of 1\), 1 \(a dictionary/,
      0,
    ],
    [
      list(text('x'), dictionary({ model: one(file, 1) })),
      /is a list of 2 .* 0 \(a text\), 1 .* item 1 has/,
      1,
    ],
  ] as const) {
    await t.rejects(readWeights(file.write(path(), root)), {
      code: 'CHECKPOINT_UNREADABLE',
      message,
      remedy: RegExp(`torch\\.save\\(torch\\.load\\(path\\)\\[${place}\\], new_path\\)`),
      facts: { item: place },
    })
  }
  await t.rejects(readWeights(file.write(path(), tuple(integer(1)))), { message: /holds no state dict/ })
})

t.test('dictionaries that contain themselves are read in finite time', async (t) => {
  // In the pickle a memoised dictionary is the value of each of its own items.
  const items = Array.from({ length: 2000 }, (_, k) => Buffer.concat([text(`k${k}`), raw(0x68, 0)]))
  const root = Buffer.concat([raw(0x7d, 0x71, 0, 0x28), ...items, raw(0x75)])
  await t.rejects(readWeights(new TorchFile().write(path(), root)), { code: 'CHECKPOINT_UNREADABLE' })
})
