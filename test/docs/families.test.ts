import { existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { parseConfig, readCheckpoint } from '../../src/models/index.ts'
import { goldenPath } from '../cli/support.ts'
import { goldenJson } from '../models/support/golden.ts'
import { code, page, project, shell } from './support.ts'

const text = page('docs/families.md')

/** A section of the page with its tables. */
const section = (title: string): string => text.split(`\n## ${title}\n`)[1].split('\n## ')[0]

/** The known fields that the reader's error lists for an unknown field. */
function knownFields(name: string): string[] {
  try {
    parseConfig({ ...(goldenJson(name) as object), qqqqqqqqqqqqqqqqqqqq: 1 })
  } catch (error) {
    const [, names] = String((error as Error).message).match(/no such field; known are (.*)$/) ?? []
    if (names) return names.split(', ')
  }
  throw new Error('the reader named no fields')
}

const FAMILIES = { MONet: 'micro_monet', DTTN: 'micro_dttn' }

for (const [family, name] of Object.entries(FAMILIES)) {
  t.test(`docs/families.md has exactly the fields of ${family}`, async (t) => {
    const tables = section('Fields that MONet and DTTN share') + section(family)
    const fields = [...tables.matchAll(/^\| `(\w+)` \|/gm)].map(([, field]) => field)
    t.strictSame(fields.sort(), knownFields(name).sort())
  })

  t.test(`docs/families.md has exactly the names of the tensors of ${family}`, async (t) => {
    const names = [...section(family).matchAll(/^\| (`[^|]*[.{][^|]*`) \| .*$/gm)].flatMap(([, cell]) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, documented]) => documented),
    )
    t.ok(names.length > 10, names.join())
    const patterns = names.map(
      (documented) =>
        new RegExp(
          `^${documented
            .replaceAll('.', '\\.')
            .replaceAll(/\{[^}]*\}/g, '\\d+')
            .replaceAll('*', '.*')}$`,
        ),
    )
    const unused = new Set(patterns)
    for (const tensor of (await readCheckpoint(goldenPath(`${name}.pt`))).keys()) {
      if (tensor.endsWith('num_batches_tracked')) continue
      const found = patterns.filter((pattern) => pattern.test(tensor))
      t.ok(found.length > 0, tensor)
      for (const pattern of found) unused.delete(pattern)
    }
    t.strictSame([...unused], [], 'every documented name is there')
  })
}

t.test('docs/families.md has the names of the tensors of attention', async (t) => {
  const names = [...section('APolyNeXt').matchAll(/`(cells\.[^`]+)`/g)].map(([, name]) => name)
  const patterns = names.map(
    (name) =>
      new RegExp(
        `^${name
          .replaceAll('.', '\\.')
          .replaceAll(/\{[^}]*\}/g, '\\d+')
          .replaceAll('*', '.*')}$`,
      ),
  )
  const tensors = [...(await readCheckpoint(goldenPath('micro_attn.pt'))).keys()].filter((name) =>
    /^cells\.[23]\.ops\./.test(name),
  )
  for (const tensor of tensors.filter((name) => !name.endsWith('num_batches_tracked')))
    t.ok(
      patterns.some((pattern) => pattern.test(tensor)),
      tensor,
    )
  for (const [i, pattern] of patterns.entries())
    t.ok(
      tensors.some((tensor) => pattern.test(tensor)),
      names[i],
    )
})

t.test('the files that docs/adding-a-family.md names exist', async (t) => {
  const guide = page('docs/adding-a-family.md')
  const paths = [...guide.matchAll(/`((?:src|test|docs|bench)\/[\w./-]+\.\w+)`/g)].map(([, path]) => path)
  t.ok(paths.length >= 10, paths.join())
  for (const path of paths) t.ok(existsSync(new URL(`../../${path}`, import.meta.url)), path)
})

t.test('the commands of docs/adding-a-family.md work', async (t) => {
  const directory = project(t)
  mkdirSync(join(directory, 'test'))
  symlinkSync(fileURLToPath(new URL('../golden', import.meta.url)), join(directory, 'test', 'golden'), 'dir')
  const commands = code('docs/adding-a-family.md', '## 5. Checks', 'sh').join('\n')
  const { code: status, stdout, stderr } = await shell(directory, commands)
  t.equal(status, 0, stderr)
  t.match(stdout, /4 golden images/)
})
