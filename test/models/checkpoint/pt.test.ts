import { execFileSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { unpickle } from '../../../src/models/checkpoint/pickle/unpickle.ts'
import type { Value } from '../../../src/models/checkpoint/pickle/values.ts'
import { readCheckpoint } from '../../../src/models/index.ts'
import { goldenFile } from '../support/golden.ts'
import {
  call,
  dictionary,
  type Fragment,
  global,
  integer,
  pickle,
  raw,
  tensor,
  text,
  tuple,
} from '../support/pickle.ts'
import { type ZipEntry, zip } from '../support/zip.ts'

const folder = t.testdir()
let files = 0

function file(content: Uint8Array): string {
  const path = join(folder, `${files++}.pt`)
  writeFileSync(path, content)
  return path
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer)

/** A checkpoint of one pickle and some storages. */
function checkpoint(
  root: Fragment,
  storages: Record<string, Uint8Array> = {},
  more: ZipEntry[] = [],
): string {
  const entries = Object.entries(storages).map(([key, content]) => ({ name: `any/data/${key}`, content }))
  return file(zip([{ name: 'any/data.pkl', content: pickle(root) }, ...entries, ...more]))
}

const two = { elements: 2, shape: [2], strides: [1] }
const numbers = floats(1.5, -2, 3, 4.25, 5, 6)

t.test('tensors are read from views and wrappers', async (t) => {
  t.test('a plain state dict', async (t) => {
    const tensors = await readCheckpoint(checkpoint(dictionary({ a: tensor(two) }), { 0: floats(7, -0.5) }))
    t.same([...tensors.keys()], ['a'])
    t.same(tensors.get('a')?.shape, [2])
    t.same(tensors.get('a')?.data, Float32Array.of(7, -0.5))
  })

  t.test('two views of one storage, one transposed', async (t) => {
    const root = dictionary({
      transposed: tensor({ elements: 6, shape: [3, 2], strides: [1, 3] }),
      tail: tensor({ elements: 6, offset: 4, shape: [2], strides: [1] }),
      scalar: tensor({ elements: 6, offset: 3, shape: [], strides: [] }),
      none: tensor({ elements: 6, shape: [0, 3], strides: [3, 1] }),
    })
    const tensors = await readCheckpoint(checkpoint(root, { 0: numbers }))
    t.same(tensors.get('transposed')?.data, Float32Array.of(1.5, 4.25, -2, 5, 3, 6))
    t.same(tensors.get('tail')?.data, Float32Array.of(5, 6))
    t.same(tensors.get('scalar')?.data, Float32Array.of(4.25))
    t.same(tensors.get('none')?.data, new Float32Array())
  })

  for (const wrapper of ['state_dict', 'model', 'state_dict_ema', 'model_ema', 'ema']) {
    t.test(`under ${wrapper}, with module. before the name`, async (t) => {
      const root = dictionary({ epoch: integer(3), [wrapper]: dictionary({ 'module.a': tensor(two) }) })
      const tensors = await readCheckpoint(checkpoint(root, { 0: floats(1, 2) }))
      t.same([...tensors.keys()], ['a'])
    })
  }

  t.test('an OrderedDict with attributes, as torch.save writes it', async (t) => {
    const root = Buffer.concat([
      call(global('collections', 'OrderedDict')),
      text('a'),
      tensor(two),
      raw(0x73), // SETITEM
      dictionary({ _metadata: call(global('collections', 'OrderedDict')) }),
      raw(0x62), // BUILD
    ])
    t.ok((await readCheckpoint(checkpoint(root, { 0: floats(1, 2) }))).has('a'))
  })

  const encodings: [type: string, storage: Uint8Array][] = [
    ['HalfStorage', Uint8Array.of(0x00, 0x3e, 0x01, 0x80)], // 1.5, -2^-24
    ['BFloat16Storage', Uint8Array.of(0xc0, 0x3f, 0x80, 0xb3)], // 1.5, -2^-24
    ['DoubleStorage', new Uint8Array(Float64Array.of(1.5, -(2 ** -24)).buffer)],
  ]
  for (const [type, storage] of encodings) {
    t.test(type, async (t) => {
      const tensors = await readCheckpoint(
        checkpoint(dictionary({ a: tensor({ ...two, type }) }), { 0: storage }),
      )
      t.same(tensors.get('a')?.data, Float32Array.of(1.5, -(2 ** -24)))
    })
  }

  t.test('a LongStorage is read as numbers', async (t) => {
    const storage = new Uint8Array(BigInt64Array.of(-3n, 60_000n).buffer)
    const root = dictionary({ a: tensor({ ...two, type: 'LongStorage' }) })
    t.same(
      (await readCheckpoint(checkpoint(root, { 0: storage }))).get('a')?.data,
      Float32Array.of(-3, 60_000),
    )
  })
})

t.test('a pickle with other globals is refused by name, and nothing is called', async (t) => {
  const witness = join(folder, 'witness')
  const attacks: [what: string, root: Fragment, message: RegExp][] = [
    ['os.system', call(global('os', 'system'), text(`touch ${witness}`)), /os\.system/],
    ['posix.system, never called', global('posix', 'system'), /posix\.system/],
    [
      'builtins.eval by STACK_GLOBAL',
      Buffer.concat([text('builtins'), text('eval'), raw(0x93)]),
      /builtins\.eval/,
    ],
    ['torch.load', global('torch', 'load'), /torch\.load/],
    ['a near name', global('torch._utils', '_rebuild_tensor_v3'), /_rebuild_tensor_v3/],
    ['NEWOBJ', Buffer.concat([global('collections', 'OrderedDict'), tuple(), raw(0x81)]), /NEWOBJ/],
    ['INST', Buffer.concat([raw(0x28), Buffer.from('ios\nsystem\n')]), /INST/],
    ['an extension', raw(0x82, 1), /EXT1/],
    ['OrderedDict with arguments', call(global('collections', 'OrderedDict'), tuple()), /orderedDict/],
    ['a storage type called', call(global('torch', 'FloatStorage')), /storageType/],
    ['a string called', call(text('print'), text('hello')), /no function/],
    ['attributes of a tensor', Buffer.concat([tensor(two), dictionary({}), raw(0x62)]), /attributes/],
  ]
  for (const [what, root, message] of attacks) {
    await t.rejects(
      readCheckpoint(checkpoint(root, { 0: floats(1, 2) })),
      { code: 'CHECKPOINT_UNSAFE', message },
      what,
    )
  }
  t.throws(() => readFileSync(witness), { code: 'ENOENT' })
})

t.test('malformed pickles are refused', async (t) => {
  const long = 2 ** 40
  const faults: [what: string, root: Fragment][] = [
    ['no dictionary', integer(5)],
    ['no tensor in the state dict', dictionary({ state_dict: dictionary({ a: integer(1) }) })],
    ['an unknown opcode', raw(0xff)],
    ['an empty stack', raw(0x30)],
    ['a mark that was never set', raw(0x74)],
    ['a memo that was never set', raw(0x68, 9)],
    ['taking from below a mark', Buffer.concat([integer(1), raw(0x28, 0x30)])],
    ['a truncated string', raw(0x58, 0xff, 0xff, 0xff, 0x7f, 0x61)],
    ['a global without end', Buffer.from('cos')],
    ['malformed UTF-8', raw(0x8c, 1, 0xff)],
    ['a newer protocol', raw(0x80, 9)],
    ['nesting without end', Buffer.alloc(10_000, 0x28)],
    [
      'a tuple of nine dimensions',
      dictionary({ a: tensor({ elements: 1, shape: Array(9).fill(1), strides: Array(9).fill(1) }) }),
    ],
    ['a shape beyond the storage', dictionary({ a: tensor({ elements: 2, shape: [3], strides: [1] }) })],
    ['strides beyond the storage', dictionary({ a: tensor({ elements: 2, shape: [2], strides: [2] }) })],
    ['an offset beyond the storage', dictionary({ a: tensor({ ...two, offset: 1 }) })],
    ['a negative offset', dictionary({ a: tensor({ ...two, offset: -1 }) })],
    ['a negative stride', dictionary({ a: tensor({ elements: 2, offset: 1, shape: [2], strides: [-1] }) })],
    ['more strides than sizes', dictionary({ a: tensor({ elements: 2, shape: [2], strides: [1, 1] }) })],
    ['a bomb of repeated elements', dictionary({ a: tensor({ elements: 2, shape: [long], strides: [0] }) })],
    [
      'a small file of many elements',
      dictionary({ a: tensor({ elements: 2, shape: [2 ** 20], strides: [0] }) }),
    ],
    ['a bomb of small views', dictionary({ a: tensor({ elements: 2 ** 28, shape: [1], strides: [1] }) })],
    [
      'an inexact number of elements',
      dictionary({ a: tensor({ elements: 2, shape: [long, long], strides: [0, 0] }) }),
    ],
    ['a storage shorter than it says', dictionary({ a: tensor({ elements: 3, shape: [1], strides: [1] }) })],
    ['a storage that is not there', dictionary({ a: tensor({ ...two, key: '1' }) })],
    ['a storage outside the archive', dictionary({ a: tensor({ ...two, key: '../../0' }) })],
    [
      'a storage of two types',
      dictionary({
        a: tensor(two),
        b: tensor({ elements: 1, type: 'DoubleStorage', shape: [1], strides: [1] }),
      }),
    ],
    ['a name with and without module.', dictionary({ a: tensor(two), 'module.a': tensor(two) })],
  ]
  for (const [what, root] of faults) {
    await t.rejects(
      readCheckpoint(checkpoint(root, { 0: floats(1, 2) })),
      { code: 'CHECKPOINT_UNREADABLE' },
      what,
    )
  }
})

t.test('pickles of many values are refused quickly and with little memory', async (t) => {
  const bytes = 2 ** 24
  const filled = (...codes: number[]): Buffer => Buffer.alloc(bytes - 16, Buffer.from(codes))
  const bombs: [what: string, root: Fragment][] = [
    ['empty dictionaries', filled(0x7d)],
    ['empty lists', filled(0x5d)],
    ['dictionaries that are dropped again', filled(0x7d, 0x30)],
    ['lists inside lists, without a mark', Buffer.concat([raw(0x5d), filled(0x5d, 0x61)])],
    ['one dictionary under many memo numbers', Buffer.concat([raw(0x7d), filled(0x94)])],
    ['one dictionary many times', Buffer.concat([raw(0x7d, 0x71, 0), filled(0x68, 0)])],
    ['empty texts', filled(0x8c, 0)],
    ['numbers', filled(0x4b, 1)],
    ['empty tuples', filled(0x29)],
  ]
  for (const [what, root] of bombs) {
    const content = zip([{ name: 'x/data.pkl', content: pickle(root) }])
    const before = process.memoryUsage().rss
    await t.rejects(readCheckpoint(file(content)), {
      code: 'CHECKPOINT_UNREADABLE',
      message: /values|remembers/,
    })
    const megabytes = (process.memoryUsage().rss - before) / 1e6
    // Without the bound the first of them took 3.4 GB and 14 s.
    t.ok(megabytes < 400, `${what}: ${megabytes.toFixed(0)} MB`)
  }
})

t.test('an archive of long names is refused', async (t) => {
  const entries = Array.from({ length: 300 }, (_, k) => ({
    name: `x/${k}${'n'.repeat(60_000)}`,
    content: new Uint8Array(),
  }))
  await t.rejects(readCheckpoint(file(zip(entries))), {
    code: 'CHECKPOINT_UNREADABLE',
    message: /directory is too long/,
  })
})

t.test('damaged archives are refused', async (t) => {
  const good = readFileSync(goldenFile('one_shot.pt'))
  const root = pickle(dictionary({ a: tensor(two) }))
  const entry = { name: 'x/data.pkl', content: root }
  const weight = { name: 'x/data/0', content: floats(1, 2) }
  const flipped = Buffer.from(good)
  flipped[good.indexOf('one_shot/data/0') + 100] ^= 1
  const faults: [what: string, content: Uint8Array][] = [
    ['an empty file', Buffer.alloc(0)],
    ['a text', Buffer.from('no checkpoint at all')],
    ['a flipped bit in a weight', flipped],
    ['no pickle', zip([weight])],
    ['two pickles', zip([entry, { ...entry, name: 'y/data.pkl' }])],
    ['two entries of one name', zip([entry, weight, weight])],
    ['a wrong checksum', zip([entry, { ...weight, claim: { crc: 1 } }])],
    ['an entry larger than the file', zip([entry, { ...weight, claim: { size: 2 ** 31 } }])],
    ['a pickle larger than the file', zip([{ ...entry, claim: { size: 2 ** 30 } }, weight])],
    ['a compressed entry', zip([entry, { ...weight, claim: { method: 8 } }])],
    ['an absolute name', zip([entry, { ...weight, name: '/etc/passwd' }])],
    ['another byte order', zip([entry, weight, { name: 'x/byteorder', content: Buffer.from('big') }])],
    ['a pickle too large', zip([{ ...entry, content: Buffer.alloc(2 ** 24 + 1) }])],
  ]
  for (const [what, content] of faults) {
    await t.rejects(readCheckpoint(file(content)), { code: 'CHECKPOINT_UNREADABLE' }, what)
  }
  await t.rejects(readCheckpoint(join(folder, 'absent.pt')), {
    code: 'CHECKPOINT_UNREADABLE',
    message: /ENOENT/,
  })
  const old = file(Buffer.from('80026c0a', 'hex'))
  await t.rejects(readCheckpoint(old), { code: 'CHECKPOINT_UNREADABLE', message: /old format/ })
  const sparse = file(readFileSync(goldenFile('one_shot.pt')))
  truncateSync(sparse, 2 ** 31)
  await t.rejects(readCheckpoint(sparse), { code: 'TOO_LARGE' })
  truncateSync(sparse, 0)
  await t.rejects(readCheckpoint(folder), { code: 'CHECKPOINT_UNREADABLE' })
})

t.test('a checkpoint that is truncated anywhere is refused', async (t) => {
  const good = readFileSync(goldenFile('one_shot.pt'))
  for (let bytes = 1; bytes < good.length; bytes += 1499) {
    await t.rejects(
      readCheckpoint(file(good.subarray(0, bytes))),
      { code: 'CHECKPOINT_UNREADABLE' },
      `${bytes} bytes`,
    )
  }
})

t.test('a flipped byte anywhere is harmless or refused with a code', async (t) => {
  const good = readFileSync(goldenFile('one_shot.pt'))
  const whole = await readCheckpoint(goldenFile('one_shot.pt'))
  for (let at = 3; at < good.length; at += 211) {
    const bad = Buffer.from(good)
    bad[at] ^= 0x55
    try {
      // Bytes that the reader ignores (dates, padding) may change.
      t.same(await readCheckpoint(file(bad)), whole)
    } catch (error) {
      t.match(error, { code: /^CHECKPOINT_(UNREADABLE|UNSAFE)$/ }, `byte ${at}`)
    }
  }
})

t.test('pickles of newer protocols by Python are read', { skip: !hasPython() && 'no python3' }, async (t) => {
  const script =
    'import pickle, collections, sys; sys.stdout.buffer.write(pickle.dumps(' +
    '{"epoch": 2**40, "lr": 1e-3, "flags": [True, False, None], "ema": collections.OrderedDict()}, int(sys.argv[1])))'
  for (const protocol of ['2', '3', '4', '5']) {
    const root = unpickle(execFileSync('python3', ['-c', script, protocol]))
    const expected: [string, Value][] = [
      ['epoch', 2 ** 40],
      ['lr', 1e-3],
      ['flags', [true, false, null]],
      ['ema', new Map()],
    ]
    t.same(root, new Map(expected), `protocol ${protocol}`)
  }
})

function hasPython(): boolean {
  try {
    execFileSync('python3', ['--version'])
    return true
  } catch {
    return false
  }
}
