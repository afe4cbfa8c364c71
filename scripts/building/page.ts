import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import { bundledNetworks } from '../../src/models/index.ts'
import { PAGE, PAGE_SOURCE, ROOT } from './paths.ts'

/** Files that compression makes smaller. */
const COMPRESSED = ['.js', '.css', '.svg', '.wasm', '.json']

/**
 * Bundles the web page of the service to dist/page. All that index.html refers to lies in `assets`, by
 * relative addresses, so that the page works behind a path prefix.
 */
export async function buildPage(): Promise<void> {
  const { build } = await import('vite')
  const nodeOnly = await nodeOnlyModules()
  await build({
    root: PAGE_SOURCE,
    base: './',
    configFile: false,
    logLevel: 'error',
    plugins: [withoutModules(nodeOnly)],
    worker: { format: 'es', plugins: () => [withoutModules(nodeOnly)] },
    build: {
      outDir: PAGE,
      emptyOutDir: true,
      // The policy of the page allows files of the service, and no data in addresses.
      assetsInlineLimit: 0,
      modulePreload: false,
      target: 'es2022',
    },
  })
  await copySamples(join(PAGE, 'assets/samples'))
  await compressAll(join(PAGE, 'assets'))
}

/** The sources of the modules that package.json leaves out of bundles for browsers. */
async function nodeOnlyModules(): Promise<ReadonlySet<string>> {
  const { browser } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const sources = Object.keys(browser).map((path) =>
    join(ROOT, path.replace(/^\.\/dist\//, 'src/').replace(/\.js$/, '.ts')),
  )
  return new Set(sources)
}

/** A plugin of Vite that replaces modules by empty ones, as bundlers do with the package's build. */
const withoutModules = (modules: ReadonlySet<string>) => ({
  name: 'polyveil-node-only',
  load: (id: string) => (modules.has(id) ? 'export {}' : undefined),
})

/** Writes compressed copies of files beside them, which the server sends to browsers that take them. */
async function compressAll(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !COMPRESSED.includes(extname(entry.name))) continue
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path)
    await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes))
    await writeFile(`${path}.gz`, await promisify(gzip)(bytes))
  }
}

/** Copies the test pictures of the bundled networks, with a list of them. */
async function copySamples(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true })
  const list: Record<string, { file: string; truth: string }[]> = {}
  for (const { name, images } of bundledNetworks()) {
    list[name] = images.map(({ file, truth }) => ({ file: basename(fileURLToPath(file)), truth }))
    for (const { file } of images) await cp(file, join(directory, basename(fileURLToPath(file))))
  }
  await writeFile(join(directory, 'samples.json'), JSON.stringify(list))
}
