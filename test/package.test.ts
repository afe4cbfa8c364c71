import { access, constants, readFile } from 'node:fs/promises'
import t from 'tap'
import { project, run } from './docs/support.ts'
import { requireBuild } from './support/built.ts'

// The built package under its own name, as users import it. The specifiers are not literals, so that the type
// checker does not look for dist.

const root = new URL('../', import.meta.url)
const description = JSON.parse(await readFile(new URL('package.json', root), 'utf8'))
const page = await readFile(new URL('docs/library.md', root), 'utf8')

/** Names in the first column of the tables below the heading of an entry point. */
function documented(entry: string): string[] {
  const [, section = ''] = page.split(`\n## ${entry}\n`)
  const rows = section.split('\n## ')[0].matchAll(/^\| (`.*?) \|/gm)
  return [...rows].flatMap(([, cell]) => [...cell.matchAll(/`(\w+)`/g)].map(([, name]) => name))
}

await requireBuild()
const entries = Object.entries<{ types: string; default: string }>(description.exports)

t.test('the package has five entry points', async (t) => {
  t.strictSame(
    entries.map(([path]) => path),
    ['.', './client', './client/worker', './compiler', './server'],
  )
})

/** An entry point for Web Workers, which Node does not have. */
const WORKER = './client/worker'

t.test(`${WORKER} is refused in Node`, async (t) => {
  await t.rejects(import(`${description.name}/client/worker`), {
    code: 'CONFIG_INVALID',
    message: /Web Worker/,
  })
})

for (const [path, { types, default: file }] of entries.filter(([path]) => path !== WORKER)) {
  const specifier = description.name + path.slice(1)
  t.test(`${specifier} exports exactly what docs/library.md lists`, async (t) => {
    const exported = Object.entries(await import(specifier))
    t.strictSame(exported.map(([name]) => name).sort(), documented(specifier).sort())
    for (const [name, value] of exported) t.ok(value !== undefined, `${name} is defined`)
    t.equal(import.meta.resolve(specifier), new URL(file, root).href)
    await t.resolves(access(new URL(types, root)), 'its types exist')
  })
}

t.test('entry points share their modules, and the version is the package’s', async (t) => {
  const whole = await import(description.name)
  const client = await import(`${description.name}/client`)
  t.equal(whole.PolyVeilError, client.PolyVeilError)
  t.equal(whole.connect, client.connect)
  t.equal(whole.VERSION, description.version)
})

t.test('other modules of the package cannot be imported', async (t) => {
  await t.rejects(import(`${description.name}/dist/cli/run.js`), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' })
})

t.test('CommonJS gets the same modules by require', async (t) => {
  // The script of a Web Worker refuses other places.
  const specifiers = entries
    .map(([path]) => description.name + path.slice(1))
    .filter((name) => !name.endsWith('/worker'))
  const source = `for (const name of ${JSON.stringify(specifiers)})
    import(name).then((module) => console.log(require(name) === module, Object.keys(require(name)).length > 2))`
  const directory = project(t, { 'main.cjs': source })
  const { code, stdout, stderr } = await run(directory, process.execPath, 'main.cjs')
  t.strictSame([code, stdout, stderr], [0, 'true true\n'.repeat(specifiers.length), ''])
})

t.test('the command can be executed with Node', async (t) => {
  const file = new URL(description.bin.polyveil, root)
  t.ok((await readFile(file, 'utf8')).startsWith('#!/usr/bin/env node\n'))
  await t.resolves(access(file, constants.X_OK))
})
