import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import t from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { bundledNetworks } from '../../src/models/index.ts'
import { requireBuild } from '../support/built.ts'

// What `npm pack` puts into the package.

/** Bytes of the compressed package; the last measurement was 3.5 MB. */
const MOST_BYTES = 5e6
const TEXTS = new Set(['.js', '.ts', '.json', '.html', '.css', '.md', '.mjs', '.py', '.sh'])
/** Kinds of files in dist. The page has its files a second and third time, compressed. */
const BUILT = /\.(js|d\.ts|wasm|pvc|html|css|svg|png|json|pt|md|(js|css|svg|wasm|json)\.(gz|br))$/

interface Packed {
  readonly size: number
  readonly files: readonly { readonly path: string }[]
}

await requireBuild()
// npm 11 prints a list of packages, npm 12 an object with the packages by their names.
const { size, files } = Object.values<Packed>(
  JSON.parse(npm('pack', '--dry-run', '--json', '--ignore-scripts')),
)[0]
const paths = new Set(files.map(({ path }) => path))
const named = (pattern: RegExp): string[] => [...paths].filter((path) => pattern.test(path))
const texts = [...paths].filter((path) => TEXTS.has(extname(path)))
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

function npm(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd: ROOT, encoding: 'utf8' })
  if (status !== 0) throw new Error(`npm ${args[0]}: ${stderr}`)
  return stdout
}

t.test('the package has what it needs', async (t) => {
  const needed = [
    ...['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md'],
    ...['dist/index.js', 'dist/cli/main.js', 'dist/page/index.html', 'docs/library.md'],
    ...['kernels', 'kernels-shared'].map((name) => `dist/he-ops/kernels/build/${name}.wasm`),
    ...bundledNetworks().flatMap(({ name }) => [`dist/zoo/${name}.pvc`, `dist/zoo/${name}.html`]),
  ]
  t.strictSame(
    needed.filter((path) => !paths.has(path)),
    [],
  )
  t.ok(named(/^dist\/page\/assets\/kernels.*\.wasm$/).length > 0, 'kernels of the page')
  const { exports } = JSON.parse(read('package.json'))
  for (const entry of Object.values<{ types: string; default: string }>(exports)) {
    for (const path of [entry.types, entry.default]) t.ok(paths.has(path.slice(2)), path)
  }
})

t.test('the package has nothing that does not belong', async (t) => {
  const top = [...new Set([...paths].map((path) => path.split('/')[0]))].sort()
  t.strictSame(
    top,
    ['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'SECURITY.md'].concat([
      'dist',
      'docs',
      'examples',
      'package.json',
      'src',
    ]),
  )
  t.strictSame(named(/^src\//), ['src/models/zoo/provenance.md'])
  t.strictSame(named(/(^|\/)\.|\.map$|\.test\.|node_modules|__pycache__/), [])
  const strange = named(/^dist\//).filter((path) => !BUILT.test(path))
  t.strictSame(strange, [])
  t.ok(size < MOST_BYTES, `${size} bytes`)
})

t.test('no file names a folder of the machine that built it, or a source map', async (t) => {
  t.ok(texts.length > 1000, `${texts.length} files`)
  const found = texts.filter((path) => {
    const text = read(path)
    return text.includes(ROOT) || /^\/\/# sourceMappingURL=/m.test(text)
  })
  t.strictSame(found, [])
})

t.test('links of the pages lead to files of the package', async (t) => {
  const links = texts.filter((path) => path.endsWith('.md')).flatMap(linksOf)
  t.ok(links.length > 200, `${links.length} links`)
  const isInside = (target: string): boolean =>
    paths.has(target) || [...paths].some((path) => path.startsWith(`${target.replace(/\/$/, '')}/`))
  t.strictSame(
    links.filter(({ target }) => !isInside(target)),
    [],
  )
})

/** Relative links of a page, as paths of the package. */
function linksOf(page: string): { page: string; target: string }[] {
  const targets = [...read(page).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)].map(([, target]) => target)
  return targets.map((target) => ({
    page,
    target: new URL(target, `file:///${page}`).pathname.slice(1),
  }))
}
