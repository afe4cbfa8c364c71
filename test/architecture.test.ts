import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

/**
 * The folders of src that each folder may import. Imports point one way, from interfaces for users to basic
 * modules. A folder that lists a module may import only that module. docs/architecture.md describes the
 * folders.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  'index.ts': ['client', 'compiler', 'models', 'circuit', 'errors', 'version.ts'],
  cli: [
    'server',
    'client',
    'compiler',
    'models',
    'he-ops',
    'wire',
    'schedule',
    'circuit',
    'preprocessing',
    'errors',
    'text',
    'version.ts',
  ],
  page: ['client', 'wire', 'circuit', 'preprocessing', 'errors', 'text'],
  server: ['he-ops', 'wire', 'schedule', 'circuit', 'files', 'errors', 'text', 'version.ts'],
  client: ['he-ops', 'wire', 'circuit', 'preprocessing', 'files', 'errors'],
  compiler: ['models', 'schedule', 'circuit', 'preprocessing', 'errors', 'text', 'he-ops/noise.ts'],
  'he-ops': ['wire', 'schedule', 'circuit', 'errors'],
  schedule: ['circuit', 'errors'],
  wire: ['circuit', 'errors'],
  circuit: ['preprocessing', 'errors'],
  models: ['preprocessing', 'errors'],
  preprocessing: ['errors'],
  files: [],
  text: [],
  errors: [],
  'version.ts': [],
}

/**
 * Among the modules that the client loads, only these may import packages that only Node has. They are loaded
 * when they are used.
 */
const NODE_ONLY = [
  'files/atomic.ts',
  'he-ops/kernels/read-file.ts',
  'he-ops/simd/threads/node-crew.ts',
  'preprocessing/decode-node.ts',
]
/** Packages that exist only in Node. */
const NODE_PACKAGES = /^(node:|sharp$|piscina$|pino$|fastify|@fastify\/|commander$|yauzl$)/

interface Import {
  /** Module within src, with slashes. */
  readonly from: string
  /** Module within src, or a package. */
  readonly to: string
  readonly relative: boolean
  readonly dynamic: boolean
  readonly typeOnly: boolean
}

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url))
const modules = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .map((path) => path.split(sep).join('/'))
  // AssemblyScript has a compiler and a module system of its own.
  .filter((path) => path.endsWith('.ts') && !path.startsWith('he-ops/kernels/assembly/'))
const imports = modules.flatMap((path) => importsOf(path, readFileSync(join(SOURCE, path), 'utf8')))

function importsOf(from: string, source: string): Import[] {
  const code = source.replaceAll(/^\s*(\/\/|\/?\*).*$/gm, '')
  const statements = code.matchAll(
    /^(?:import|export)\s(type\s)?[^;'"]*?from\s'([^']+)'|^import\s()'([^']+)'/gm,
  )
  const calls = code.matchAll(/(?:(typeof)\s+)?import\('([^']+)'\)/g)
  return [
    ...[...statements].map(([, type, a, , b]) => described(from, a ?? b, type !== undefined, false)),
    ...[...calls].map(([, type, specifier]) => described(from, specifier, type !== undefined, true)),
  ]
}

function described(from: string, specifier: string, typeOnly: boolean, dynamic: boolean): Import {
  const isRelative = specifier.startsWith('.')
  const to = isRelative ? relative(SOURCE, join(SOURCE, dirname(from), specifier)) : specifier
  return { from, to: to.split(sep).join('/'), relative: isRelative, typeOnly, dynamic }
}

const folderOf = (path: string): string => path.split('/')[0]

const isAllowed = ({ from, to }: Pick<Import, 'from' | 'to'>): boolean => {
  const allowed = ALLOWED[folderOf(from)] ?? []
  return folderOf(from) === folderOf(to) || allowed.includes(folderOf(to)) || allowed.includes(to)
}

const text = ({ from, to }: Import): string => `${from} imports ${to}`

t.test('the search finds all modules and imports', async (t) => {
  t.ok(modules.length > 180, `${modules.length} modules`)
  const found = new Set(imports.filter((i) => i.relative).map(({ to }) => to))
  const entries = [
    'index.ts',
    'server/index.ts',
    'cli/main.ts',
    'client/in-worker/worker.ts',
    'server/worker/worker.ts',
    'he-ops/simd/threads/pool-worker.ts',
    'he-ops/simd/threads/web-thread.ts',
    'page/main.ts',
    'page/tensor-worker.ts',
  ]
  t.strictSame(
    modules.filter((path) => !found.has(path) && !entries.includes(path)),
    [],
    'every module is imported by another',
  )
  t.strictSame(
    imports.filter(({ relative, to }) => relative && !modules.includes(to)).map(text),
    [],
    'every import leads to a module',
  )
  const source =
    "import type { A } from '../a/b.ts'\nimport './c.ts'\nexport {\n  d,\n} from 'node:d'\nawait import('e')"
  t.match(importsOf('x/y.ts', source), [
    { to: 'a/b.ts', typeOnly: true },
    { to: 'x/c.ts', relative: true },
    { to: 'node:d', relative: false },
    { to: 'e', dynamic: true },
  ])
})

t.test('imports point one way', async (t) => {
  const folders = new Set(modules.map(folderOf))
  t.strictSame([...folders].sort(), Object.keys(ALLOWED).sort(), 'the table has every folder')
  t.strictSame(imports.filter((i) => i.relative && !isAllowed(i)).map(text), [])
  t.notOk(isAllowed({ from: 'client/connect.ts', to: 'server/app.ts' }), 'a wrong import would be detected')
  t.notOk(isAllowed({ from: 'compiler/fold.ts', to: 'he-ops/executor.ts' }))
})

t.test('the table has no cycle and no unused entry', async (t) => {
  const visit = (folder: string, path: readonly string[]): void => {
    if (path.includes(folder)) throw new Error(`${[...path, folder].join(' imports ')}`)
    for (const next of ALLOWED[folder] ?? []) visit(folderOf(next), [...path, folder])
  }
  for (const folder of Object.keys(ALLOWED)) t.doesNotThrow(() => visit(folder, []), folder)
  for (const [folder, allowed] of Object.entries(ALLOWED)) {
    for (const target of allowed) {
      const used = imports.some(
        ({ from, to }) => folderOf(from) === folder && (folderOf(to) === target || to === target),
      )
      t.ok(used, `${folder} imports ${target}`)
    }
  }
})

t.test('no module imports itself indirectly, including types and dynamic imports', async (t) => {
  const edges = Map.groupBy(
    imports.filter((i) => i.relative),
    ({ from }) => from,
  )
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' > '))
    if (done.has(path) || trail.includes(path)) return
    for (const { to } of edges.get(path) ?? []) visit(to, [...trail, path])
    done.add(path)
  }
  for (const path of modules) visit(path, [])
  t.strictSame(cycles, [])
})

t.test('folders of one part import one way', async (t) => {
  const edges = new Set(
    imports.filter((i) => i.relative).map(({ from, to }) => `${dirname(from)} > ${dirname(to)}`),
  )
  const isWithin = (a: string, b: string): boolean => a.startsWith(`${b}/`) || b.startsWith(`${a}/`)
  const circles = [...edges].filter((edge) => {
    const [from, to] = edge.split(' > ')
    return from < to && from !== '.' && !isWithin(from, to) && edges.has(`${to} > ${from}`)
  })
  t.ok(edges.has('he-ops/engines > he-ops/simd'), 'the search finds imports between folders')
  t.strictSame(circles, [])
})

t.test('the engine is chosen in six modules, and engines do not import each other', async (t) => {
  const CHOOSERS = [
    'cli/accuracy/encrypted-side.ts',
    'cli/commands/verify.ts',
    'compiler/planner/target/target.ts',
    'he-ops/client/create.ts',
    'server/models/engine-room.ts',
    'server/worker/engines.ts',
  ]
  const choosers = modules.filter((path) =>
    /\bengineNameFor\(/.test(readFileSync(join(SOURCE, path), 'utf8')),
  )
  t.strictSame(choosers.sort(), CHOOSERS, 'only these modules call engineNameFor')
  const within = (folder: string, path: string): boolean => path.startsWith(`he-ops/${folder}/`)
  t.strictSame(
    imports
      .filter(
        ({ from, to }) =>
          (within('seal', from) && within('simd', to)) || (within('simd', from) && within('seal', to)),
      )
      .map(text),
    [],
  )
})

t.test('browsers load only modules that need no Node, except those that bundlers leave out', async (t) => {
  const loaded = reachableFrom('client/index.ts')
  t.ok(loaded.has('he-ops/seal/encryptor.ts'), 'the client encrypts')
  t.notOk(loaded.has('he-ops/simd/engine.ts'), 'the client does not load the engine')
  const nodeImports = imports.filter(
    ({ from, to, relative, typeOnly }) =>
      loaded.has(from) && !relative && !typeOnly && NODE_PACKAGES.test(to),
  )
  t.strictSame([...new Set(nodeImports.map(({ from }) => from))].sort(), NODE_ONLY)
  const uses = imports.filter(
    ({ from, to, typeOnly }) => loaded.has(from) && NODE_ONLY.includes(to) && !typeOnly,
  )
  t.ok(uses.length >= NODE_ONLY.length)
  t.strictSame(
    uses.filter(({ dynamic }) => !dynamic).map(text),
    [],
    'these modules are loaded only when they are used',
  )
  const { browser } = JSON.parse(readFileSync(join(SOURCE, '../package.json'), 'utf8'))
  const leftOut = NODE_ONLY.map((path) => [`./dist/${path.replace(/\.ts$/, '.js')}`, false])
  t.strictSame(browser, Object.fromEntries(leftOut))
})

/** The modules that a module loads, statically or dynamically. */
function reachableFrom(entry: string): Set<string> {
  const reached = new Set<string>()
  const visit = (path: string): void => {
    if (reached.has(path)) return
    reached.add(path)
    for (const { from, to, relative, typeOnly } of imports) {
      if (from === path && relative && !typeOnly) visit(to)
    }
  }
  visit(entry)
  return reached
}

t.test('docs/architecture.md has every folder', async (t) => {
  const page = readFileSync(join(SOURCE, '../docs/architecture.md'), 'utf8')
  for (const folder of Object.keys(ALLOWED)) t.match(page, `\`src/${folder}\``)
})
