import { readFileSync } from 'node:fs'
import t from 'tap'
import { loadNetwork, parseConfig, readCheckpoint } from '../../src/models/index.ts'
import { goldenPath } from '../cli/support.ts'
import { code, page } from './support.ts'

const text = page('docs/network-config.md')
const example = JSON.parse(page('examples/network.json'))

/** First cells of the tables between two lines of the page. */
function fieldsBetween(start: string, end: string): string[] {
  const part = text.slice(text.indexOf(start), text.indexOf(end))
  return [...part.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name),
  )
}

/** The known fields that the reader's error lists for an unknown field. */
function knownFields(config: object): string[] {
  try {
    parseConfig(config)
  } catch (error) {
    const [, names] = String((error as Error).message).match(/no such field; known are (.*)$/) ?? []
    if (names) return names.split(', ')
  }
  throw new Error('the reader named no fields')
}

const UNKNOWN = { qqqqqqqqqqqqqqqqqqqq: 1 }

t.test('docs/network-config.md has exactly the fields of the config', async (t) => {
  t.strictSame(
    fieldsBetween('## network.json', '`config` has the names').sort(),
    knownFields({ ...example, ...UNKNOWN }).sort(),
  )
  t.strictSame(
    fieldsBetween('`config` has the names', 'A network of one cell').sort(),
    knownFields({ ...example, config: { ...example.config, ...UNKNOWN } }).sort(),
  )
})

t.test('docs/network-config.md has exactly the fields of preprocessing', async (t) => {
  t.strictSame(
    fieldsBetween('## Preprocessing', '## Names in the state dict').sort(),
    knownFields({ ...example, preprocessing: { ...example.preprocessing, ...UNKNOWN } }).sort(),
  )
})

t.test('the example of docs/network-config.md is that of examples, and is valid', async (t) => {
  const [json] = code('docs/network-config.md', '## network.json', 'json')
  t.equal(json, page('examples/network.json'))
  t.equal(parseConfig(json).preprocessing?.interpolation, 'bilinear')
  const [python] = code('docs/network-config.md', '## A network that stays in range', 'python')
  t.ok(page('examples/polynext.py').includes(python))
})

t.test('the tensor names of docs/network-config.md are those of checkpoints', async (t) => {
  const part = text.slice(text.indexOf('## Names in the state dict'), text.indexOf('## A network that stays'))
  const documented = [...part.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  )
  const patterns = documented.map(
    (name) =>
      new RegExp(
        `^${name
          .replaceAll('.', '\\.')
          .replace(/\{6j(?:\+\d)?\}|\{\w\}/g, '\\d+')
          .replace(/\*$/, '(gamma_c|gamma_hw|running_mean|running_var)')}$`,
      ),
  )
  const ignored = /num_batches_tracked$|^head\.2\.p$|^n_averaged$/
  const used = new Set<number>()
  for (const name of ['micro_t', 'micro_s']) {
    for (const tensor of (await readCheckpoint(goldenPath(`${name}.pt`))).keys()) {
      if (ignored.test(tensor)) continue
      const matching = patterns.flatMap((pattern, i) => (pattern.test(tensor) ? [i] : []))
      t.ok(matching.length > 0, tensor)
      for (const i of matching) used.add(i)
    }
  }
  t.equal(used.size, patterns.length, 'each name of the table is that of a tensor')
})

t.test('a network with BatchNorm2d is refused as docs/models.md says', async (t) => {
  const config = parseConfig(readFileSync(goldenPath('one_shot.json'), 'utf8'))
  const tensors = new Map(await readCheckpoint(goldenPath('one_shot.pt')))
  for (const [name, { data, datatype }] of [...tensors]) {
    const norm = name.match(/^(.*)\.gamma_c$/)?.[1]
    if (norm === undefined) continue
    for (const old of ['gamma_c', 'gamma_hw', 'running_mean', 'running_var']) tensors.delete(`${norm}.${old}`)
    for (const own of ['weight', 'bias', 'running_mean', 'running_var'])
      tensors.set(`${norm}.${own}`, { shape: [data.length], data, datatype })
  }
  t.throws(() => loadNetwork(tensors, config), {
    code: 'TENSOR_MISSING',
    message: /cells\.0\.postprocess\.gamma_c/,
  })
})
