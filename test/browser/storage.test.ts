import { readFile } from 'node:fs/promises'
import type { CDPSession, Page } from 'playwright-core'
import t from 'tap'
import { bundledNetworks } from '../../src/models/index.ts'
import { project } from '../docs/support.ts'
import { requireBuild } from '../support/built.ts'
import { bundlePage } from './bundle.ts'
import { findChromium, launch } from './chromium.ts'
import { serveDigits } from './digits-service.ts'
import { type Folder, servePages } from './pages.ts'

// The browser's storage of a client in a Web Worker: whether it lasts, ends while the page is open, or has no
// room. DevTools commands of Chromium clear and limit it.

declare const polyveil: typeof import('../../src/client/index.ts')
type Client = InstanceType<typeof polyveil.WorkerPolyVeil>
type Code = { code: string; facts: Record<string, unknown>; remedy: string }

const digits = bundledNetworks().find(({ name }) => name === 'digits')!
const [{ file, truth }] = digits.images
const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

t.test('keys in the storage of a browser', { skip }, async (t) => {
  await requireBuild()
  const directory = project(t)
  const served: Folder[] = [['/', await bundlePage(directory)]]
  const port = await servePages(t, served)
  const origin = `http://127.0.0.1:${port}`
  const crowded = `http://localhost:${port}`
  // With refreshes, whose keys are small: these tests make many, and look at the secret one.
  const service = await serveDigits(t, directory, { digits: 'client' }, [origin, crowded])
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)
  const image = [...(await readFile(file))]
  const page = await context.newPage()
  await page.goto(`${origin}/index.html`)
  const devTools = await context.newCDPSession(page)

  /** A connection in a Worker of the page, with a database of its own. */
  const connected = (name: string, where = page) =>
    where.evaluateHandle(([url, name]) => polyveil.connectInWorker(url, { name }), [
      service.url,
      name,
    ] as const)
  type Connected = Awaited<ReturnType<typeof connected>>
  /** The label of the image, or the error. */
  const classified = (client: Connected): Promise<string | Code> =>
    client.evaluate(async (client, image) => {
      try {
        const [best] = await client.classify('digits', new Blob([Uint8Array.from(image)]), { topK: 1 })
        return best.label
      } catch (error) {
        const { code, facts, remedy } = error as InstanceType<typeof polyveil.PolyVeilError>
        return { code, facts, remedy } as Code
      }
    }, image)
  const keySets = async (): Promise<number> => {
    const metrics = await (await fetch(new URL('/metrics', service.url))).text()
    return Number(/^polyveil_key_sets (\d+)$/m.exec(metrics)?.[1])
  }

  await t.test('the browser is asked once to keep the data, when a key is first stored', async (t) => {
    const asked = await page.evaluate(persistence, service.url)
    t.equal(asked.calls, 1)
    t.match(asked.reported, [Boolean], 'the caller gets the answer')
  })

  await t.test(
    'a store that is cleared while the page is open is an error, then a new key is made',
    async (t) => {
      const client = await connected('cleared')
      t.equal(await classified(client), truth)
      const before = await keySets()
      for (const clear of [() => clearStorage(devTools, origin), () => forgetFromOtherPage(page, origin)]) {
        await clear()
        t.match(await classified(client), { code: 'KEYS_MISSING', remedy: /Call again/ })
        t.equal(await classified(client), truth, 'the next call makes a key')
      }
      t.equal(await keySets(), before + 2, 'old key sets are left to expire')
      await client.evaluate((client: Client) => client.close())
    },
  )

  await t.test('forget deletes the keys of the store, and the next call makes one', async (t) => {
    const client = await connected('forgotten')
    t.equal(await classified(client), truth)
    t.ok((await databases(page)).includes('forgotten'))
    await client.evaluate((client: Client) => client.forget())
    t.notOk((await databases(page)).includes('forgotten'))
    t.equal(await classified(client), truth)
    await client.evaluate((client: Client) => client.close())
  })

  await t.test('a store without room is an error, and works when there is room', async (t) => {
    // Chromium looks at the limit of an origin when it first uses a database.
    await devTools.send('Storage.overrideQuotaForOrigin', { origin: crowded, quotaSize: 1000 })
    const other = await context.newPage()
    await other.goto(`${crowded}/index.html`)
    const client = await connected('crowded', other)
    t.match(await classified(client), {
      code: 'KEY_STORE_UNAVAILABLE',
      facts: { database: 'crowded', reason: 'quota' },
      remedy: /disk space/,
    })
    await devTools.send('Storage.overrideQuotaForOrigin', { origin: crowded })
    t.equal(await classified(client), truth)
    await other.close()
  })

  await t.test('a database that the browser does not give is an error', async (t) => {
    const error = await page.evaluate(refusedDatabase)
    t.match(error, { code: 'KEY_STORE_UNAVAILABLE', facts: { database: 'refused', reason: 'refused' } })
  })
})

const clearStorage = (devTools: CDPSession, origin: string) =>
  devTools.send('Storage.clearDataForOrigin', { origin, storageTypes: 'indexeddb' })

/** Another page of the origin forgets the store, without a connection. */
async function forgetFromOtherPage(page: Page, origin: string): Promise<void> {
  const other = await page.context().newPage()
  await other.goto(`${origin}/index.html`)
  await other.evaluate(() => polyveil.indexedDbKeyStore('cleared').forget())
  await other.close()
}

const databases = (page: Page): Promise<(string | undefined)[]> =>
  page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name))

/** Counts how often a connection that makes keys asks for persistence. Runs in a page. */
async function persistence(url: string) {
  const { storage } = navigator
  const persist = storage.persist.bind(storage)
  let calls = 0
  storage.persist = () => {
    calls++
    return persist()
  }
  const { promise, resolve } = Promise.withResolvers<void>()
  const reported: boolean[] = []
  const onPersisted = (isPersistent: boolean) => {
    reported.push(isPersistent)
    resolve()
  }
  const client = await polyveil.connectInWorker(url, { name: 'lasting', onPersisted })
  await client.models()
  const before = calls
  await client.keys('digits')
  await client.keys('digits')
  await promise
  await client.close()
  storage.persist = persist
  return { calls: calls - before, reported }
}

/** The error of a store whose database the browser refuses. Runs in a page. */
async function refusedDatabase() {
  const { open } = IDBFactory.prototype
  IDBFactory.prototype.open = () => {
    throw new DOMException('The user denied permission', 'SecurityError')
  }
  try {
    return await polyveil
      .indexedDbKeyStore('refused')
      .put('a', new Uint8Array(1))
      .catch(({ code, facts }) => ({ code, facts }))
  } finally {
    IDBFactory.prototype.open = open
  }
}
