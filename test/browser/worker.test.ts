import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { bundledNetworks } from '../../src/models/index.ts'
import { code, DOCUMENTED_URL, project } from '../docs/support.ts'
import { requireBuild } from '../support/built.ts'
import { bundlePage } from './bundle.ts'
import { findChromium, launch } from './chromium.ts'
import { serveDigits } from './digits-service.ts'
import { type Folder, servePages } from './pages.ts'

// The client in a Web Worker of a page in Chromium, with a service in its own process. The page is bundled by
// Vite, and served several times under different headers.

declare const polyveil: typeof import('../../src/client/index.ts')
declare const startWorker: () => Worker

const digits = bundledNetworks().find(({ name }) => name === 'digits')!
const [{ file, truth }] = digits.images
/** The network in one shot: making its keys takes seconds. */
const LONG = 'digits'
/** The network with refreshes, for tests that need a classification of any length. */
const SHORT = 'rounds'
const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

t.test('the client works in a Web Worker', { skip }, async (t) => {
  await requireBuild()
  const directory = project(t)
  const bundle = await bundlePage(directory)
  const served: Folder[] = []
  const origin = `http://127.0.0.1:${await servePages(t, served)}`
  const service = await serveDigits(t, directory, { [LONG]: 'never', [SHORT]: 'client' }, [origin])
  served.push(...folders(bundle, service.url))
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)
  const image = [...(await readFile(file))]

  /** A page under some headers, and what its console and its policy reported. */
  const open = async (folder: string): Promise<{ page: Page; reports: string[] }> => {
    const page = await context.newPage()
    const reports: string[] = []
    page.on('console', (message) => message.type() === 'error' && reports.push(message.text()))
    await page.goto(`${origin}/${folder}/index.html`)
    return { page, reports }
  }

  await t.test('a classification blocks no thread of the page', async (t) => {
    const { page } = await open('plain')
    const { label, longTasks, stages } = await page.evaluate(classified, [service.url, LONG, image] as const)
    t.equal(label, truth)
    t.comment(`long tasks: ${longTasks.join(' ms, ')}`)
    t.strictSame(longTasks, [])
    t.ok(stages.includes('keys') && stages.includes('decrypt'), stages.join())
    const onPage = await page.evaluate(longTasksOfConnect, [service.url, LONG, image] as const)
    t.ok(onPage.length > 0, 'without a Worker, long tasks are observed')
    t.comment(`long tasks without a Worker: ${onPage.map(Math.round).join(', ')} ms`)
    await page.close()
  })

  await t.test('a Worker of one’s own has other messages too, and its end is noticed', async (t) => {
    const { page } = await open('plain')
    const result = await page.evaluate(
      async ([url, long]) => {
        const worker = startWorker()
        const connect = () => polyveil.connectInWorker(url, { worker, store: 'memory' })
        const [one, two] = await Promise.all([connect(), connect()])
        const answer = new Promise((resolve) =>
          worker.addEventListener('message', ({ data }) => resolve(data)),
        )
        worker.postMessage('report')
        await one.close()
        const models = (await two.models()).length
        const answered = await answer
        const running = two.keys(long).catch((error) => error.code)
        worker.postMessage('end')
        return { answered, models, running: await running, later: await two.models().catch((e) => e.code) }
      },
      [service.url, LONG] as const,
    )
    t.strictSame(result, {
      answered: { violated: [], started: 0 },
      models: 2,
      running: 'WORKER_LOST',
      later: 'WORKER_LOST',
    })
    await page.close()
  })

  await t.test('a Worker whose script is missing is an error', async (t) => {
    const { page } = await open('plain')
    const error = await page.evaluate(async (url) => {
      const worker = new Worker('./absent.js', { type: 'module' })
      return polyveil.connectInWorker(url, { worker }).catch(({ code, message }) => ({ code, message }))
    }, service.url)
    t.match(error, { code: 'WORKER_LOST', message: /did not start/ })
    await page.close()
  })

  await t.test('the documented policy is enough', async (t) => {
    const { page, reports } = await open('strict')
    const { label } = await page.evaluate(classified, [service.url, SHORT, image] as const)
    t.equal(label, truth)
    t.strictSame(reports, [], 'nothing on the page violates the policy')
    const { violated } = await page.evaluate(keysInOwnWorker, [service.url, SHORT] as const)
    t.strictSame(violated, [], 'nothing in the Worker violates it')
    await page.close()
  })

  await t.test('threads are used where the page is cross-origin isolated', async (t) => {
    for (const [folder, isolated] of [
      ['plain', false],
      ['isolated', true],
    ] as const) {
      const { page, reports } = await open(folder)
      const report = await page.evaluate(keysInOwnWorker, [service.url, SHORT] as const)
      const threads = isolated ? Math.min(8, report.cores) : 1
      t.match(report, { isolated, violated: [], started: threads - 1 }, folder)
      const { label } = await page.evaluate(classified, [service.url, SHORT, image] as const)
      t.equal(label, truth)
      t.strictSame(reports, [])
      await page.close()
    }
  })

  await t.test('a browser that refuses large memories gets smaller ones', async (t) => {
    for (const folder of ['plain', 'isolated']) {
      const { page } = await open(folder)
      // The smaller memory has room for the larger keys.
      for (const [mostBytes, model] of [
        [2 ** 31, SHORT],
        [2 ** 30, LONG],
      ] as const) {
        const answer = await page.evaluate(classifiedWithin, [service.url, model, image, mostBytes] as const)
        t.equal(answer, truth, `${folder}, ${mostBytes} bytes`)
      }
      const error = await page.evaluate(classifiedWithin, [service.url, SHORT, image, 2 ** 20] as const)
      t.match(error, { code: 'TOO_LARGE', facts: { neededBytes: 2 ** 26, limitBytes: 0 } }, folder)
      await page.close()
    }
  })

  await t.test('without wasm-unsafe-eval an error names it', async (t) => {
    const { page } = await open('no-wasm')
    const error = await page
      .evaluate(classified, [service.url, SHORT, image] as const)
      .catch((caught) => caught)
    t.match(error.message, /CONFIG_INVALID.*forbids WebAssembly.*'wasm-unsafe-eval'/s)
    await page.close()
  })

  await t.test('without worker-src an error names it', async (t) => {
    const { page } = await open('no-worker')
    const error = await page
      .evaluate(classified, [service.url, SHORT, image] as const)
      .catch((caught) => caught)
    t.match(error.message, /WORKER_LOST.*did not start.*worker-src/s)
    await page.close()
  })
})

/** The bundle under the documented policy, and under policies that lack a source. */
function folders(bundle: string, url: string): Folder[] {
  const [documented] = code('docs/library.md', '#### Content-Security-Policy', 'http')
  const [isolating] = code('docs/library.md', '#### Threads', 'http')
  const [[name, policy]] = headersOf(documented.replace(DOCUMENTED_URL, url))
  const isolation = Object.fromEntries(headersOf(isolating))
  return [
    ['/plain/', bundle],
    ['/strict/', bundle, { [name]: policy }],
    ['/isolated/', bundle, { [name]: policy, ...isolation }],
    ['/no-wasm/', bundle, { [name]: policy.replace("'wasm-unsafe-eval'", '') }],
    ['/no-worker/', bundle, { [name]: policy.replace("worker-src 'self'", "worker-src 'none'") }],
  ]
}

const headersOf = (text: string): string[][] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.split(': '))

/** Classifies an image in a Worker. Runs in a page. */
async function classified([url, model, image]: readonly [string, string, number[]]) {
  const longTasks: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longTasks.push(duration)
  })
  observer.observe({ type: 'longtask' })
  const stages: string[] = []
  try {
    const client = await polyveil.connectInWorker(url)
    const picture = new Blob([Uint8Array.from(image)])
    const onProgress = ({ stage }: { stage: string }) => stages.push(stage)
    const [best] = await client.classify(model, picture, { topK: 1, onProgress })
    await client.close()
    return { label: best.label, longTasks, stages }
  } catch (error) {
    const { code, message, remedy } = error as InstanceType<typeof polyveil.PolyVeilError>
    throw new Error(`${code}: ${message} ${remedy}`)
  } finally {
    observer.disconnect()
  }
}

/** Makes and uploads keys in a Worker of the page's own, and has the Worker report. Runs in a page. */
async function keysInOwnWorker([url, model]: readonly [string, string]) {
  const worker = startWorker()
  const client = await polyveil.connectInWorker(url, { worker, store: 'memory' })
  await client.keys(model)
  const answer = new Promise<{ violated: string[]; started: number }>((resolve) =>
    worker.addEventListener('message', ({ data }) => resolve(data)),
  )
  worker.postMessage('report')
  const report = await answer
  await client.close()
  return { ...report, isolated: crossOriginIsolated, cores: navigator.hardwareConcurrency }
}

/** Classifies in a Worker that refuses memories above a limit. Runs in a page. */
async function classifiedWithin([url, model, image, mostBytes]: readonly [string, string, number[], number]) {
  const worker = startWorker()
  worker.postMessage({ mostBytes })
  const client = await polyveil.connectInWorker(url, { worker, store: 'memory' })
  try {
    const [best] = await client.classify(model, new Blob([Uint8Array.from(image)]), { topK: 1 })
    return best.label
  } catch (error) {
    const { code, facts } = error as InstanceType<typeof polyveil.PolyVeilError>
    return { code, facts }
  } finally {
    await client.close()
    worker.terminate()
  }
}

/** Long tasks of a classification on the page's own thread. Runs in a page. */
async function longTasksOfConnect([url, model, image]: readonly [string, string, number[]]): Promise<
  number[]
> {
  const longTasks: number[] = []
  const observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longTasks.push(duration)
  })
  observer.observe({ type: 'longtask' })
  const client = await polyveil.connect(url, { keys: polyveil.memoryKeyStore() })
  await client.classify(model, new Blob([Uint8Array.from(image)]))
  observer.disconnect()
  return longTasks
}
