import { symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
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

async function compiled(t: Test, source: string, options: object) {
  const directory = project(t, { 'main.ts': source })
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, target: 'es2022', ...options }
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['main.ts'] }))
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
  t.match(await compiled(t, NODE, node), { code: 0, stdout: '', stderr: '' })
})

t.test('a wrong use does not compile', async (t) => {
  const { code, stdout } = await compiled(t, BROWSER.replace('headers: {', 'heders: {'), browser('es2022'))
  t.not(code, 0)
  t.match(stdout, /^main\.ts.*heders/)
})
