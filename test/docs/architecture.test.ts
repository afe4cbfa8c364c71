import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ciphertextOf, partOf, slotOf } from '../../src/circuit/layout.ts'
import { chooseLayout } from '../../src/compiler/packing/choose.ts'
import { page } from './support.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const text = page('docs/architecture.md')
const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((path) =>
  path.endsWith('.ts'),
)

t.test('every module that docs/architecture.md names exists', async (t) => {
  const named = [...text.matchAll(/`((?:[\w-]+\/)*[\w-]+\.ts)`/g)].map(([, path]) => path)
  t.ok(named.length > 30)
  for (const path of new Set(named)) {
    const found = files.some((file) => file === path || file.endsWith(`/${path}`))
    t.ok(found || existsSync(join(ROOT, path)), path)
  }
})

t.test('the table of folders names the first module of each folder by its path', async (t) => {
  const rows = [...text.matchAll(/^\| `src\/([\w-]+)` \| .* \| `([^`]+\.ts)` \|$/gm)]
  t.ok(rows.length > 10)
  for (const [, folder, start] of rows) t.ok(files.includes(`${folder}/${start}`), `src/${folder}/${start}`)
})

t.test('the diagram of folders has every import', async (t) => {
  const [, picture] = text.match(/^flowchart TD\n([\s\S]*?)^```/m) ?? []
  const arrows = new Map<string, Set<string>>()
  for (const [, from, to] of picture.matchAll(/^ {2}([\w-]+) (?:-->|-\. .* \.->) ([\w-]+)$/gm)) {
    arrows.set(from, (arrows.get(from) ?? new Set()).add(to))
  }
  const reaches = (from: string, to: string): boolean =>
    [...(arrows.get(from) ?? [])].some((next) => next === to || reaches(next, to))
  const imports = files
    .filter((path) => path.includes('/') && !path.includes('kernels/assembly/'))
    .flatMap((path) =>
      [...readFileSync(join(ROOT, 'src', path), 'utf8').matchAll(/(?:from |import\()'(\.[^']+)'/g)].map(
        ([, target]) => ({
          from: path.split('/')[0],
          to: join(path, '..', target).split('/')[0],
        }),
      ),
    )
    .filter(({ from, to }) => from !== to && !to.endsWith('.ts'))
  t.ok(imports.length > 100)
  const missing = imports
    .filter(({ from, to }) => !reaches(from, to))
    .map(({ from, to }) => `${from} > ${to}`)
  t.strictSame([...new Set(missing)], [])
  const direct = new Set(imports.map(({ from, to }) => `${from} > ${to}`))
  for (const [from, targets] of arrows) {
    for (const to of targets) t.ok(direct.has(`${from} > ${to}`), `${from} > ${to}`)
  }
})

t.test('the picture of slots shows the layout that the compiler chooses', async (t) => {
  const layout = chooseLayout(32, [8, 4, 4], 1)
  t.equal(layout.ciphertexts, 2)
  const [first, second] = [0, 1].map((ciphertext) => {
    const parts = [0, 1].map((): string[] => Array(32).fill('---'))
    for (let c = 0; c < 8; c++) {
      if (ciphertextOf(layout, c) !== ciphertext) continue
      for (let y = 0; y < 4; y++) {
        for (let x = 0; x < 4; x++) {
          parts[partOf(layout, c)][slotOf(layout, c, y, x)] = `${'abcdefgh'[c]}${y}${x}`
        }
      }
    }
    const slots = parts[0].map((real, slot) => `${real} + i ${parts[1][slot]}`)
    const rows = [0, 8, 16, 24].map((at) => {
      const [from, to] = [at, at + 7].map((slot) => String(slot).padStart(2))
      return [`slots ${from} - ${to}`, ...slots.slice(at, at + 4), '..', slots[at + 7]].join('   ')
    })
    return [`ciphertext ${ciphertext}`, ...rows]
  })
  const picture = [...first, ...second.slice(0, 2), '..'].join('\n')
  t.ok(text.includes(`\`\`\`text\n${picture}\n\`\`\``), picture)
})

t.test('the diagram of the compiler has the passes of fold.ts', async (t) => {
  const source = readFileSync(join(ROOT, 'src/compiler/fold.ts'), 'utf8')
  const passes = [...source.matchAll(/from '\.\/passes\/([\w-]+)\.ts'/g)].map(([, name]) => name)
  const [, subgraph] = text.match(/direction TB\n(.*)\n/) ?? []
  const drawn = subgraph.split('-->').map((node) => node.trim().replace(/^.*\["(.*)"\]$/, '$1'))
  t.strictSame(drawn.toSorted(), passes.toSorted())
})
