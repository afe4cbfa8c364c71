import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { build, createLogger, type Rolldown } from 'vite'
import { ROOT } from '../../scripts/building/paths.ts'
import { page, project } from '../docs/support.ts'
import { requireBuild } from '../support/built.ts'

// A web page that imports `polyveil/client`, bundled: its modules and bytes.

const MOST = { bytes: 300_000, gzip: 110_000 }
/** Vite's warning of a module of Node, and the package that imports it. */
const EXTERNALIZED = /Module "([^"]+)" has been externalized for browser.*node_modules\/([^/]+)\/dist\//
const CLIENT_FOLDERS = ['circuit', 'client', 'errors', 'he-ops', 'preprocessing', 'schedule', 'wire']
const PAGE = `
import { connect, indexedDbKeyStore } from 'polyveil/client'
document.title = String(await connect('http://127.0.0.1:8080', { keys: indexedDbKeyStore() }))
`

await requireBuild()

t.test('a bundle of the client has no package of the server, and no module of Node', async (t) => {
  const root = project(t, { 'index.html': '<script type="module" src="/main.js"></script>', 'main.js': PAGE })
  const ofNode: [module: string, importer: string][] = []
  const customLogger = createLogger('warn')
  customLogger.warn = (message) => {
    const [, module, importer] = EXTERNALIZED.exec(message) ?? []
    // A slow machine is no fault of the bundle.
    if (message.includes('PLUGIN_TIMINGS')) return
    if (module === undefined) t.fail(message)
    else ofNode.push([module, importer])
  }
  const built = (await build({
    root,
    configFile: false,
    customLogger,
    build: { write: false },
  })) as Rolldown.RolldownOutput
  const chunks = built.output.filter((part) => part.type === 'chunk')
  const assets = built.output.filter((part) => part.type === 'asset')
  const modules = chunks.flatMap(({ modules }) => Object.keys(modules))
  const own = modules.filter((id) => id.startsWith(join(ROOT, 'dist/')))

  t.strictSame(namesOf(modules, /node_modules\/(?!polyveil\/)((?:@[^/]+\/)?[^/]+)/), [
    '@noble/hashes',
    'idb-keyval',
    'node-seal',
    'zod',
  ])
  t.ok(own.length > 100, `${own.length} modules of the package`)
  t.strictSame(
    namesOf(own, /dist\/([^/]+)\//).filter((folder) => !CLIENT_FOLDERS.includes(folder)),
    [],
  )
  t.strictSame(
    [...new Set(ofNode.map((each) => each.join(' of ')))],
    ['module of node-seal'],
    'node-seal alone names a module of Node, which it does not load in browsers',
  )

  const wasm = assets.filter(({ fileName }) => fileName.endsWith('.wasm'))
  t.strictSame(
    wasm.map(({ fileName }) => fileName.replace(/^.*\/(.*)-.{8}\.wasm$/, '$1')).sort(),
    ['kernels', 'kernels-shared', 'seal_throws'],
    'WebAssembly is in files of its own',
  )
  const code = chunks.map(({ code }) => code)
  const bytes = code.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const gzip = code.reduce((sum, text) => sum + gzipSync(text).length, 0)
  t.comment(`${bytes} bytes of JavaScript, ${gzip} compressed`)
  t.ok(bytes < MOST.bytes && gzip < MOST.gzip, `${bytes} bytes, ${gzip} compressed`)
  const [, ...stated] = /(\d+) kB of JavaScript \((\d+) kB compressed\)/.exec(page('docs/library.md'))!
  for (const [i, measured] of [bytes, gzip].entries()) {
    const kilobytes = Number(stated[i])
    t.ok(Math.abs(kilobytes - measured / 1000) < 0.05 * kilobytes, `docs/library.md says ${kilobytes} kB`)
  }
})

/** What a pattern captures in the names of modules, each once. */
const namesOf = (modules: readonly string[], pattern: RegExp): string[] =>
  [...new Set(modules.flatMap((id) => pattern.exec(id)?.[1] ?? []))].sort()
