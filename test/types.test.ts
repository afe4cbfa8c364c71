import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { project, run } from './docs/support.ts'
import { requireBuild } from './support/built.ts'

// The published types, compiled as in projects of users: every declaration file is checked, with only the
// compiler libraries that the project names.

await requireBuild()
const root = fileURLToPath(new URL('../', import.meta.url))
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'lib/tsc.js')

const BROWSER = `
import { connect, indexedDbKeyStore, memoryKeyStore, PolyVeilError, type ImageInput } from 'polyveil/client'
const input = document.querySelector('input')
const canvas = document.querySelector('canvas')?.getContext('2d')
const images: ImageInput[] = [new Blob([]), new ArrayBuffer(1), new Uint8Array(1), input!.files![0]]
images.push(canvas!.getImageData(0, 0, 1, 1), await createImageBitmap(new Blob([])))
images.push({ shape: [1, 1, 1], tensor: new Float32Array(1) }, { shape: [1, 1, 1], tensor: new Float64Array(1) })
const polyveil = await connect('https://host', { keys: indexedDbKeyStore(), headers: { a: 'b' }, silenceSeconds: 60 })
const [best] = await polyveil.classify('digits', images[0], { topK: 1, signal: AbortSignal.timeout(1000) })
const label: string = best.label
try {
  console.log(label, memoryKeyStore())
} catch (error) {
  if (error instanceof PolyVeilError) console.log(error.code, error.remedy)
}
export {}
`
const NODE = `
import * as whole from 'polyveil'
import * as client from 'polyveil/client'
import * as compiler from 'polyveil/compiler'
import * as server from 'polyveil/server'
console.log(whole.VERSION, client.connect, compiler.compile, server.serve)
`
const COMMONJS = `
import whole = require('polyveil')
import client = require('polyveil/client')
import compiler = require('polyveil/compiler')
import server = require('polyveil/server')
console.log(whole.VERSION, client.connect, compiler.compile, server.serve)
`

async function compiled(t: Test, source: string, options: object, file = 'main.ts') {
  const directory = project(t, { [file]: source })
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, target: 'es2022', ...options }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: [file] }))
  symlinkSync(join(root, 'node_modules/@types'), join(directory, 'node_modules/@types'), 'dir')
  return run(directory, process.execPath, tsc, '-p', directory)
}

const browser = (lib: string) => ({
  lib: [lib, 'dom', 'dom.iterable'],
  module: 'esnext',
  moduleResolution: 'bundler',
  types: [],
})
const node = { lib: ['es2024'], module: 'nodenext', moduleResolution: 'nodenext', types: ['node'] }

t.test('a project for browsers compiles', async (t) => {
  for (const lib of ['es2021', 'es2022', 'esnext']) {
    t.match(await compiled(t, BROWSER, browser(lib)), { code: 0, stdout: '', stderr: '' }, lib)
  }
})

t.test('a project for Node compiles', async (t) => {
  const bundler = { ...node, module: 'esnext', moduleResolution: 'bundler' }
  t.match(await compiled(t, NODE, node), { code: 0, stdout: '', stderr: '' }, 'nodenext')
  t.match(await compiled(t, NODE, bundler), { code: 0, stdout: '', stderr: '' }, 'bundler')
  t.match(await compiled(t, COMMONJS, node, 'main.cts'), { code: 0, stdout: '', stderr: '' }, 'CommonJS')
})

// The compilations above find the optional packages, which are in the repository.
t.test('types need no optional package', async (t) => {
  const description = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const seen = new Set<string>()
  const packages = new Set<string>()
  const visit = (path: string): void => {
    if (seen.has(path)) return
    seen.add(path)
    for (const specifier of typeImports(readFileSync(path, 'utf8'))) {
      if (specifier.startsWith('.')) visit(join(dirname(path), specifier.replace(/\.ts$/, '.d.ts')))
      else if (!isBuiltin(specifier)) packages.add(packageOf(specifier))
    }
  }
  for (const { types } of Object.values<{ types: string }>(description.exports)) visit(join(root, types))
  t.ok(seen.size > 100, `${seen.size} declaration files`)
  t.ok(packages.has('fastify') && packages.has('zod'), 'the search finds packages')
  t.strictSame(
    [...packages].filter((name) => !Object.hasOwn(description.dependencies, name)),
    [],
  )
})

/** What a declaration file imports or exports from, statically or as `import('...')`. */
const typeImports = (source: string): string[] =>
  [...source.matchAll(/(?:from |^import |import\()["']([^"']+)["']/gm)].map(([, specifier]) => specifier)

const packageOf = (specifier: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)![0]

t.test('a wrong use does not compile', async (t) => {
  const { code, stdout } = await compiled(t, BROWSER.replace('headers: {', 'heders: {'), browser('es2022'))
  t.not(code, 0)
  t.match(stdout, /^main\.ts.*heders/)
})
