import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../..', import.meta.url))

/**
 * Imports that a module loads statically: `import ... from` and `export ... from`, neither `import()` nor
 * types.
 */
function staticImports(source: string): string[] {
  const statements = source.matchAll(/^(?:import|export)\s(?!type\s)[^;'"]*?from\s'([^']+)'/gm)
  return [...statements].map(([, specifier]) => specifier)
}

/** All modules that loading `entry` loads, and the packages that they import. */
function reach(entry: string): { modules: Set<string>; packages: Map<string, string> } {
  const modules = new Set<string>()
  const packages = new Map<string, string>()
  const visit = (path: string): void => {
    if (modules.has(path)) return
    modules.add(path)
    for (const specifier of staticImports(readFileSync(path, 'utf8'))) {
      if (specifier.startsWith('.')) visit(join(dirname(path), specifier))
      else packages.set(specifier, relative(root, path))
    }
  }
  visit(join(root, entry))
  return { modules, packages }
}

t.test('loading the client loads nothing that browsers lack, and no node-seal', async (t) => {
  const { modules, packages } = reach('src/client/index.ts')
  t.ok(modules.size > 30, `${modules.size} modules`)
  t.strictSame([...packages.keys()].sort(), [
    '@noble/hashes/scrypt.js',
    '@noble/hashes/sha2.js',
    '@noble/hashes/utils.js',
    'idb-keyval',
    'zod',
  ])
})

// `z` of zod is an object. Bundlers other than Vite take it whole, with messages in fifty languages: 360 kB.
t.test('the client imports zod as a namespace', async (t) => {
  const sources = [...reach('src/client/index.ts').modules].map((path) => readFileSync(path, 'utf8'))
  const imports = sources.flatMap((source) => source.match(/^import (?!type).* from 'zod'$/gm) ?? [])
  t.ok(imports.length > 10, `${imports.length} modules import zod`)
  t.strictSame([...new Set(imports)], ["import * as z from 'zod'"])
})

t.test('the search finds the imports of a server module', async (t) => {
  const { packages } = reach('src/server/config.ts')
  t.equal(packages.get('node:fs/promises'), 'src/server/config.ts')
})
