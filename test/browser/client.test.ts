import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { JSHandle, Page } from 'playwright-core'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { type Circuit, writeCircuit } from '../../src/circuit/index.ts'
import { argmax, rmsWithin } from '../../src/cli/comparison.ts'
import type { KeyStore } from '../../src/client/index.ts'
import { rootMeanSquare } from '../../src/compiler/graph/statistics.ts'
import { compile } from '../../src/compiler/index.ts'
import { bundledNetworks, loadNetwork, readCheckpoint, referenceForward } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { networkInput, preprocess } from '../../src/preprocessing/index.ts'
import { type Service, startService } from '../cli/service.ts'
import { behaves, secret } from '../client/key-store-behaviour.ts'
import { code, DOCUMENTED_URL, project, shell } from '../docs/support.ts'
import { goldenNetwork, goldenTensors, item, maxAbsDifference } from '../models/support/golden.ts'
import { requireBuild } from '../support/built.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { findChromium, INSECURE_HOST, launch } from './chromium.ts'
import { servePages } from './pages.ts'

// The client in Chromium, with a service in its own process. One test uses the bundled page of
// docs/library.md; the others use plain modules and an import map, and test the parts separately.

/** The parts of the client that the page of plain modules uses. */
declare const polyveil: typeof import('../../src/client/index.ts')

/**
 * Limit on the largest error of an encrypted logit of the digits network: four times the root mean square
 * that its plan allows, which is 0.005. Answers are rounded, too.
 */
const MAX_ERROR = 0.02
const PAGE = '### In a browser'
const REFRESHED = 'one_shot'

const digits = bundledNetworks().find(({ name }) => name === 'digits')!
const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

t.test('the client works in a browser', { skip }, async (t) => {
  await requireBuild()
  const directory = project(t)
  const port = await servePages(t, [
    ['/node_modules/polyveil/', ROOT],
    ['/node_modules/', join(ROOT, 'node_modules/')],
    ['/plain/', join(directory, 'plain/')],
    ['/', join(directory, 'dist/')],
  ])
  const origin = `http://127.0.0.1:${port}`
  const refreshed = await refreshedCircuit()
  const service = await serve(t, directory, refreshed, origin)
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)

  await t.test('the page of docs/library.md works when it is bundled', async (t) => {
    await writeDocumentedPage(directory, service.url)
    const built = await shell(directory, code('docs/library.md', PAGE, 'sh').join('\n'))
    t.equal(built.code, 0, built.stderr)
    await documentedPage(t, await context.newPage(), `${origin}/index.html`, service.url)
  })

  await t.test('plain modules work', async (t) => {
    await writePlainPage(directory)
    const page = await context.newPage()
    await page.goto(`${origin}/plain/modules.html`)
    await t.test('images give the same tensors as in Node', (t) => tensors(t, page, service.url))
    await t.test('logits agree with those of the clear network', (t) => logits(t, page, service.url))
    await t.test('a network with refreshes gives its logits', (t) =>
      refreshes(t, page, service.url, refreshed),
    )
    await t.test('IndexedDB stores keys', (t) => keysInIndexedDb(t, page))
    await t.test('unreadable images and directory stores are refused', (t) => refusals(t, page, service.url))
  })

  await t.test('another origin, and a page without a secure context, are refused', async (t) => {
    const page = await context.newPage()
    await page.goto(`http://${INSECURE_HOST}:${port}/plain/modules.html`)
    const codes = await page.evaluate(async (url) => {
      const code = (error: InstanceType<typeof polyveil.PolyVeilError>) => error.code
      const keys = polyveil.memoryKeyStore()
      return [
        await polyveil.connect(url, { keys }).catch(code),
        await polyveil.indexedDbKeyStore().put('a', new Uint8Array(1)).catch(code),
      ]
    }, service.url)
    t.strictSame(codes, ['SERVER_UNREACHABLE', 'CONFIG_INVALID'])
  })
})

/** Serves the digits network in one shot, and a network with refreshes, to pages of an origin. */
async function serve(t: Test, directory: string, refreshed: Circuit, origin: string): Promise<Service> {
  const modelsDir = join(directory, 'models')
  await writeDigitsOfFewKeys(modelsDir, 'never')
  await writeFile(join(modelsDir, `${REFRESHED}.pvc`), writeCircuit(refreshed))
  const config = join(directory, 'server.json')
  await writeFile(config, JSON.stringify({ modelsDir, allowedOrigins: [origin] }))
  const service = await startService(join(directory, 'data'), '--config', config)
  t.teardown(() => service.stop())
  return service
}

async function refreshedCircuit(): Promise<Circuit> {
  const network = await goldenNetwork(REFRESHED)
  const input = (await goldenTensors(REFRESHED)).get('input')!
  const calibration = Array.from({ length: input.shape[0] }, (_, k) => Float64Array.from(item(input, k).data))
  const { preprocessing } = network.config
  const options = {
    model: REFRESHED,
    preprocessing,
    refresh: 'client',
    precisionBits: 9,
    calibration,
  } as const
  return compile(network, options).circuit
}

async function documentedPage(t: Test, page: Page, address: string, serviceUrl: string): Promise<void> {
  const failures: string[] = []
  page.on('pageerror', (error) => failures.push(String(error)))
  page.on('console', (message) => message.type() === 'error' && failures.push(message.text()))

  await page.goto(address)
  for (const { file, truth } of [digits.images[3], digits.images[7]]) {
    t.equal(await answerTo(page, fileURLToPath(file)), truth, failures.join('\n') || truth)
  }
  await page.reload()
  const { file, truth } = digits.images[5]
  t.equal(await answerTo(page, fileURLToPath(file)), truth, 'after the page was reloaded')
  const metrics = await (await fetch(new URL('/metrics', serviceUrl))).text()
  t.match(metrics, /^polyveil_key_sets 1$/m, 'the keys in IndexedDB are reused')
  t.match(metrics, 'polyveil_inferences_total{model="digits",outcome="ok"} 3')
  t.strictSame(failures, [], 'the page reports no errors')
  await page.close()
}

async function writeDocumentedPage(directory: string, url: string): Promise<void> {
  const [html] = code('docs/library.md', PAGE, 'html')
  const [main, config] = code('docs/library.md', PAGE, 'ts')
  const files = { 'index.html': html, 'main.ts': main, 'vite.config.ts': config }
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(directory, name), content.replaceAll(DOCUMENTED_URL, url))
  }
  await symlink(join(ROOT, 'node_modules/vite/bin/vite.js'), join(directory, 'node_modules/.bin/vite'))
}

/** The text that the documented page shows for a file that the user chooses. */
async function answerTo(page: Page, file: string): Promise<string | null> {
  const output = page.locator('output')
  await output.evaluate((element) => {
    element.textContent = ''
  })
  const start = performance.now()
  await page.locator('input').setInputFiles(file)
  await page.waitForFunction(() => document.querySelector('output')?.textContent)
  t.comment(`${basename(file)}: ${seconds(start)} s from the file to the label`)
  return output.textContent()
}

const seconds = (start: number): string => ((performance.now() - start) / 1000).toFixed(2)

/** A page with the client as the global `polyveil`. */
async function writePlainPage(directory: string): Promise<void> {
  const [, importMap] = code('docs/library.md', PAGE, 'html')
  const script = "import * as polyveil from 'polyveil/client'; Object.assign(globalThis, { polyveil })"
  await mkdir(join(directory, 'plain'))
  await writeFile(
    join(directory, 'plain/modules.html'),
    `<!doctype html>${importMap}<script type="module">${script}</script>`,
  )
}

/** Bytes in a form that can be passed to a page. */
const asList = (bytes: Uint8Array): number[] => [...bytes]

async function tensors(t: Test, page: Page, url: string): Promise<void> {
  const connected = await connection(page, url)
  const inPage = (file: Uint8Array, kind: 'file' | 'bytes' | 'bitmap'): Promise<number[]> =>
    connected.evaluate(
      async (client, [bytes, kind]) => {
        const { input } = await client.manifest('digits')
        const encoded = Uint8Array.from(bytes)
        const blob = new Blob([encoded])
        const image = { file: blob, bytes: encoded, bitmap: await createImageBitmap(blob) }[kind]
        return [...(await polyveil.imageTensor(image, input)).tensor]
      },
      [asList(file), kind] as const,
    )
  const inNode = async (file: Uint8Array) =>
    preprocess(await decodeImage(file), digits.config.preprocessing).tensor
  const [first] = digits.images
  for (const { file } of digits.images) {
    const png = await readFile(file)
    t.strictSame(await inPage(png, 'file'), [...(await inNode(png))], basename(fileURLToPath(file)))
  }
  const png = await readFile(first.file)
  t.strictSame(await inPage(png, 'bytes'), [...(await inNode(png))], 'its bytes')
  t.strictSame(await inPage(png, 'bitmap'), [...(await inNode(png))], 'an ImageBitmap')

  const coloured = await readFile(new URL('../golden/preprocess.png', import.meta.url))
  t.strictSame(await inPage(coloured, 'file'), [...(await inNode(coloured))], 'an image in colour')
  const transparent = await transparentImage()
  t.strictSame(await inPage(transparent, 'file'), [...(await inNode(transparent))], 'a transparent image')
}

/** An image with every colour and every alpha. */
function transparentImage(): Promise<Buffer> {
  const samples = Uint8Array.from({ length: 4 * 28 * 28 }, (_, i) => (i * 89 + (i >> 5) * 31) % 256)
  return sharp(samples, { raw: { width: 28, height: 28, channels: 4 } })
    .png()
    .toBuffer()
}

/** A connection in a page. Its keys are shared by pages of its origin. */
const connection = (page: Page, url: string) =>
  page.evaluateHandle((url) => polyveil.connect(url, { keys: polyveil.indexedDbKeyStore() }), url)

async function logits(t: Test, page: Page, url: string): Promise<void> {
  const connected = await connection(page, url)
  const network = loadNetwork(await readCheckpoint(digits.checkpoint), digits.config)
  const offered = await connected.evaluate((client) => client.models())
  t.strictSame(offered.map(({ name }) => name).sort(), ['digits', REFRESHED])
  for (const { file, truth } of digits.images.slice(0, 3)) {
    const png = await readFile(file)
    const clear = referenceForward(
      network,
      networkInput(preprocess(await decodeImage(png), digits.config.preprocessing)),
    )
    const answer = await connected.evaluate(async (client, bytes) => {
      const start = performance.now()
      const classes = await client.classify('digits', new Blob([Uint8Array.from(bytes)]))
      return { classes, milliseconds: performance.now() - start }
    }, asList(png))
    t.comment(`classified in ${(answer.milliseconds / 1000).toFixed(2)} s`)
    const encrypted = new Float64Array(clear.length)
    for (const { index, logit } of answer.classes) encrypted[index] = logit
    const error = maxAbsDifference(encrypted, clear)
    t.equal(answer.classes[0].label, truth)
    t.equal(argmax(encrypted), argmax(clear))
    // An error of 0 would mean that nothing was encrypted.
    t.ok(error > 1e-7 && error < MAX_ERROR, `error ${error}`)
  }
}

async function refreshes(t: Test, page: Page, url: string, { estimate }: Circuit): Promise<void> {
  const connected = await connection(page, url)
  const golden = await goldenTensors(REFRESHED)
  const expected = item(golden.get('logits')!, 0).data
  const { classes, rounds, milliseconds } = await connected.evaluate(
    async (client, [model, values]) => {
      const { input, rounds } = await client.manifest(model)
      const image = { shape: input.image, tensor: Float64Array.from(values) }
      await client.keys(model)
      const start = performance.now()
      const classes = await client.classify(model, image)
      return { classes, rounds, milliseconds: performance.now() - start }
    },
    [REFRESHED, Array.from(item(golden.get('input')!, 0).data)] as const,
  )
  t.comment(`classified in ${(milliseconds / 1000).toFixed(2)} s, with ${rounds} rounds`)
  t.ok(rounds > 0, `${rounds} rounds`)
  const errors = new Float64Array(expected.length)
  for (const { index, logit } of classes) errors[index] = logit - expected[index]
  const error = rootMeanSquare(errors)
  t.ok(
    error <= rmsWithin(estimate.logitError, expected.length),
    `error ${error}, stated ${estimate.logitError}`,
  )
}

async function keysInIndexedDb(t: Test, page: Page): Promise<void> {
  const open = (name: string, passphrase?: string) =>
    page.evaluateHandle(([name, passphrase]) => polyveil.indexedDbKeyStore(name, { passphrase }), [
      name,
      passphrase,
    ] as const)
  const plain = await open('plain')
  await t.test('a store without a passphrase passes the tests of key stores', (t) =>
    behaves(t, remote(plain)),
  )
  await t.test('a store with a passphrase passes the tests of key stores', async (t) =>
    behaves(t, remote(await open('guarded', 'correct horse'))),
  )

  await t.test('entries are encrypted in the database', async (t) => {
    await remote(plain).put('secret', secret)
    t.strictSame(await remote(await open('plain')).get('secret'), secret, 'another store finds the entry')
    const found = await page.evaluate(kept, 'plain')
    t.ok(found.length >= 6, `${found.length} records`)
    const part = Buffer.from(secret.subarray(10, 30))
    for (const [name, bytes] of found) t.notOk(Buffer.from(bytes).includes(part), name)
    t.notOk((await page.evaluate(kept, 'guarded')).some(([name]) => name === 'store.key'))
  })

  await t.test('two pages add the same entry', async (t) => {
    const other = await open('plain')
    const [one, two] = await Promise.all([
      remote(plain).add('both', Uint8Array.of(1)),
      remote(other).add('both', Uint8Array.of(2)),
    ])
    t.strictSame(one, two)
  })

  await t.test('wrong passphrases are refused', async (t) => {
    for (const [name, passphrase, message] of [
      ['guarded', 'wrong', /passphrase of the key store is wrong/],
      ['guarded', undefined, /protected by a passphrase/],
      ['plain', 'x', /without a passphrase/],
    ] as const) {
      const store = await open(name, passphrase)
      const error = await store.evaluate((opened) =>
        opened.get('a').catch(({ code, message }) => ({ code, message })),
      )
      t.match(error, { code: 'CONFIG_INVALID', message })
    }
  })
}

/** A proxy for a store in a page. */
const remote = (store: JSHandle<KeyStore>): KeyStore => ({
  async get(name) {
    const entry = await store.evaluate(async (inPage, name) => {
      const bytes = await inPage.get(name)
      return bytes && [...bytes]
    }, name)
    return entry && Uint8Array.from(entry)
  },
  put: (name, bytes) =>
    store.evaluate((inPage, [name, bytes]) => inPage.put(name, Uint8Array.from(bytes)), [
      name,
      asList(bytes),
    ] as const),
  async add(name, bytes) {
    const entry = await store.evaluate(
      async (inPage, [name, bytes]) => [...(await inPage.add(name, Uint8Array.from(bytes)))],
      [name, asList(bytes)] as const,
    )
    return Uint8Array.from(entry)
  },
  delete: (name) => store.evaluate((inPage, name) => inPage.delete(name), name),
  names: () => store.evaluate((inPage) => inPage.names()),
})

/** The contents of a database. Runs in a page. */
async function kept(database: string): Promise<[name: string, bytes: number[]][]> {
  const result = <T>(request: IDBRequest<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result)
      request.onerror = () => reject(request.error)
    })
  const opened = await result(indexedDB.open(database))
  const entries = opened.transaction('entries').objectStore('entries')
  const [names, values] = await Promise.all([result(entries.getAllKeys()), result(entries.getAll())])
  opened.close()
  return names.map((name, i) => [String(name), [...(values[i] as Uint8Array)]])
}

async function refusals(t: Test, page: Page, url: string): Promise<void> {
  const connected = await connection(page, url)
  const codes = await connected.evaluate(async (client) => {
    const closed = await createImageBitmap(new ImageData(28, 28))
    closed.close()
    const code = (image: Parameters<typeof client.encrypt>[1]) =>
      client.encrypt('digits', image).catch((error) => error.code)
    return [await code(new Blob(['no image'])), await code(Uint8Array.of(1, 2, 3)), await code(closed)]
  })
  t.strictSame(codes, ['IMAGE_UNREADABLE', 'IMAGE_UNREADABLE', 'IMAGE_UNREADABLE'])
  const directory = await page.evaluate(() => {
    try {
      return polyveil.directoryKeyStore('keys')
    } catch (error) {
      return (error as { code: string }).code
    }
  })
  t.equal(directory, 'CONFIG_INVALID')
}
