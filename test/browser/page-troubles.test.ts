import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { type Service, startService } from '../cli/service.ts'
import { polyveil, zooPath } from '../cli/support.ts'
import { requireBuild } from '../support/built.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { violationsOn } from './accessibility.ts'
import { findChromium, INSECURE_HOST, launch } from './chromium.ts'
import { answered, onPage, sample, trouble } from './page-support.ts'

// The page of the service where something is missing: the service, a token, a database, the page itself.

const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

/** Requests of the SDK and of the page to the service; the page's own files are others. */
const API = '**/v2**'

t.test('the page copes with what is missing', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  const modelsDir = join(directory, 'models')
  await writeDigitsOfFewKeys(modelsDir, 'client')
  await writeDigitsOfFewKeys(modelsDir, 'client', 'planned')
  await writeDigitsOfFewKeys(modelsDir, 'client', REPLACED)
  const plan = join(modelsDir, 'planned.html')
  t.equal((await polyveil(['inspect', join(modelsDir, 'planned.pvc'), '--html', plan])).code, 0)
  const service = await startService(join(directory, 'data'), '--models', modelsDir)
  t.teardown(() => service.stop())
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)

  const onThePage = (name: string, body: (t: Test, page: Page) => Promise<void>) =>
    t.test(name, (t) => onPage(t as Test, context, service, (page) => body(t as Test, page)))

  await onThePage('a service that is down at first', again)
  await onThePage('keys that are kept while the service is down', forgettable)
  await onThePage('keys that the service cannot be told of', untold)
  await onThePage('a link to a plan', plans)
  await onThePage('the kinds of files that are offered', async (t, page) => {
    const offered = (await page.getAttribute('#file', 'accept'))!.split(',')
    t.ok(offered.includes('image/png') && offered.includes('image/jpeg'))
    t.notOk(offered.some((kind) => /svg|\*/.test(kind)))
  })
  await onThePage('another page, and back', back)
  await onThePage('a part of the program that does not come', withoutKernels)
  await onThePage('a model that is replaced', (t, page) => replaced(t, page, modelsDir, service))
  await t.test('a browser without a database', (t) => withoutDatabase(t as Test, context, service))
})

async function again(t: Test, page: Page): Promise<void> {
  await page.route(API, (route) => route.abort('connectionrefused'))
  await page.reload()
  t.match(await trouble(page), /The server cannot be reached.*SERVER_UNREACHABLE/)
  const retry = page.getByRole('button', { name: 'Try again' })
  t.equal(await page.locator('#models').getAttribute('aria-busy'), 'false')
  t.strictSame(await violationsOn(page), [])
  // From the top of the page by the tab key alone.
  await page.locator('.skip').focus()
  for (let k = 0; k < 5 && !(await isFocused(retry)); k++) await page.keyboard.press('Tab')
  t.equal(await isFocused(retry), true, 'the keyboard reaches the button')
  await page.keyboard.press('Enter')
  await page.locator('#trouble:visible').waitFor()
  await retry.waitFor()
  t.equal(await isFocused(retry), true, 'the keyboard stays there when it fails again')
  await page.unroute(API)
  await page.keyboard.press('Enter')
  await page.locator('#keys-text', { hasText: 'secret key' }).waitFor()
  t.equal(await page.locator('#trouble').isHidden(), true)
  t.equal(await isFocused(page.locator('input[name=model]:checked')), true, 'it is at the model then')
}

const isFocused = (element: ReturnType<Page['locator']>): Promise<boolean> =>
  element.evaluate((node) => node === document.activeElement).catch(() => false)

async function forgettable(t: Test, page: Page): Promise<void> {
  await sample(page, '3')
  t.match(await answered(page), /: 3\.$/)
  await page.route(API, (route) => route.abort('connectionrefused'))
  await page.reload()
  await page.locator('#keys-text', { hasText: 'keys of earlier visits' }).waitFor()
  await page.click('#forget')
  await page.locator('#keys-text', { hasText: 'could not be told' }).waitFor()
  t.equal(await page.locator('#forget').isHidden(), true)
  t.equal(await isFocused(page.locator('#keys-text')), true)
  await page.unroute(API)
  await page.reload()
  await page.locator('#keys-text', { hasText: 'First your browser makes' }).waitFor()
}

async function untold(t: Test, page: Page): Promise<void> {
  await sample(page, '3')
  t.match(await answered(page), /: 3\.$/)
  await page.locator('#forget').waitFor()
  await page.route('**/v2/keys', (route) => route.abort('connectionrefused'))
  await page.click('#forget')
  await page.locator('#keys-text', { hasText: 'could not be told' }).waitFor()
  await page.unroute('**/v2/keys')
  await page.reload()
  await page.locator('#keys-text', { hasText: 'First your browser makes' }).waitFor()
  t.equal(await page.locator('#forget').isHidden(), true, 'the browser has none')
}

async function plans(t: Test, page: Page): Promise<void> {
  const links = page.locator('#models a')
  t.equal(await links.count(), 0, 'the model that is chosen has no plan')
  await page.check('#model-planned')
  const link = page.getByRole('link', { name: 'How planned is computed' })
  await link.waitFor()
  const [tab] = await Promise.all([page.waitForEvent('popup'), link.click()])
  await tab.locator('#layers table').waitFor()
  await tab.close()
  const late = Promise.withResolvers<void>()
  await page.route('**/v2/models/digits/manifest', async (route) => {
    await late.promise
    await route.continue()
  })
  await page.check('#model-digits')
  t.equal(await links.count(), 0, 'a model that is not chosen any more shows none')
  late.resolve()
  await page.locator('.model .note').waitFor()
  t.equal(await page.locator('.model .note').count(), 1)
  t.equal(await links.count(), 0)
}

async function back(t: Test, page: Page): Promise<void> {
  await page.evaluate(() => {
    const devices = navigator.mediaDevices
    const open = devices.getUserMedia.bind(devices)
    devices.getUserMedia = async (wanted) => {
      const stream = await open(wanted)
      Object.assign(globalThis, { stream })
      return stream
    }
  })
  await page.click('#tab-photo')
  await page.click('#camera')
  await page.locator('#viewfinder:visible').waitFor()
  // As browsers do for a page that they keep.
  const states = await page.evaluate(() => {
    dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))
    const { stream } = globalThis as unknown as { stream: MediaStream }
    const ended = stream.getTracks().map(({ readyState }) => readyState)
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))
    return ended
  })
  t.strictSame(states, ['ended'], 'the camera is off')
  t.equal(await page.locator('#viewfinder').isHidden(), true)
  await page.check('#model-planned')
  await page.locator('.model .note').waitFor()
  await sample(page, '6')
  await page.locator('#classify:enabled').waitFor()
  await page.goto('about:blank')
  await page.goBack()
  await page.locator('#keys-text', { hasText: 'secret key' }).waitFor()
  const chosen = await page.locator('input[name=model]:checked').getAttribute('value')
  t.match(await page.locator('.model:has(.note)').getAttribute('data-model'), chosen!)
  t.equal(await page.locator('#viewfinder').isHidden(), true)
  // What is shown as the picture is what would be encrypted.
  const isReady = await page.locator('#classify').isEnabled()
  const shown = await page.locator('#preview').getAttribute('aria-label')
  t.equal(shown, isReady ? 'The picture as the network gets it' : 'No picture yet')
  await sample(page, '6')
  t.match(await answered(page), /: 6\.$/)
}

async function withoutKernels(t: Test, page: Page): Promise<void> {
  await sample(page, '3')
  await page.route('**/kernels*.wasm', (route) => route.abort('internetdisconnected'))
  t.match(await answered(page), /The server cannot be reached.*SERVER_UNREACHABLE: The kernels/)
  t.equal(await isFocused(page.locator('#classify')), true, 'the keyboard is where it was')
  await page.unroute('**/kernels*.wasm')
  await page.click('#classify')
  await page.focus('#tab-draw')
  await page.locator('#status', { hasText: ': 3.' }).waitFor()
  t.equal(await isFocused(page.locator('#tab-draw')), true, 'who is elsewhere by then stays there')
}

const REPLACED = 'replaced'
const NAMES = ['zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine']

async function replaced(t: Test, page: Page, modelsDir: string, { url }: Service): Promise<void> {
  await page.check(`#model-${REPLACED}`)
  await sample(page, '3')
  t.match(await answered(page), /: 3\.$/)
  const labels = join(modelsDir, 'labels.json')
  await writeFile(labels, JSON.stringify(NAMES))
  const out = join(modelsDir, `${REPLACED}.pvc`)
  const source = [zooPath('digits/network.pt'), '--config', zooPath('digits/network.json')]
  const how = ['--refresh', 'client', '--ring', '8192', '--objective', 'keys', '--labels', labels]
  const compiled = await polyveil(['compile', ...source, ...how, '--out', out, '--force'])
  t.equal(compiled.code, 0, compiled.stderr)
  const manifest = new URL(`/v2/models/${REPLACED}/manifest`, url)
  while (!(await (await fetch(manifest)).text()).includes(NAMES[3])) await page.waitForTimeout(100)
  t.match(await answered(page), /another model than before.*PARAMETERS_MISMATCH/)
  await page.locator('.model:has(.note)', { hasText: NAMES.join(', ') }).waitFor()
  t.equal(await page.locator('input[name=model]:checked').getAttribute('value'), REPLACED)
  t.match(await answered(page), /: three\.$/, 'the answer has the labels of the model that gave it')
}

async function withoutDatabase(t: Test, context: BrowserContext, service: Service): Promise<void> {
  const forgetting = await context.newPage()
  // A page of the same origin that does not open the database: an open one could not be deleted.
  await forgetting.goto(new URL('/v2/health/live', service.url).href)
  await forgetting.evaluate(
    () =>
      new Promise<void>((resolve, reject) => {
        const request = indexedDB.deleteDatabase('polyveil-keys')
        request.onsuccess = () => resolve()
        request.onerror = () => reject(request.error)
      }),
  )
  await forgetting.close()
  for (const [name, isMissing] of [
    ['missing', true],
    ['refused', false],
  ] as const) {
    await t.test(name, async (t) => {
      const page = await context.newPage()
      await page.addInitScript((isMissing) => {
        const refusing = {
          open: () => {
            throw new DOMException('Storage is off', 'SecurityError')
          },
        }
        Object.defineProperty(globalThis, 'indexedDB', { value: isMissing ? undefined : refusing })
      }, isMissing)
      await page.goto(service.url)
      await page.locator('#keys-text', { hasText: 'for this visit only' }).waitFor()
      await sample(page, '5')
      t.match(await answered(page), /: 5\.$/)
      await page.locator('#keys-text', { hasText: /Your keys are ready.*for this visit only/ }).waitFor()
      await page.reload()
      await page.locator('#keys-text', { hasText: 'First your browser makes' }).waitFor()
      await page.close()
      const other = await context.newPage()
      await other.goto(service.url)
      await other.locator('#keys-text', { hasText: 'First your browser makes' }).waitFor()
      t.equal(await other.locator('#forget').isHidden(), true, 'the browser has kept nothing')
      await other.close()
    })
  }
}

t.test('a service with tokens opens plans in a tab, and needs a secure context', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  const modelsDir = join(directory, 'models')
  const data = join(directory, 'data')
  await writeDigitsOfFewKeys(modelsDir, 'client')
  const file = join(modelsDir, 'digits.html')
  t.equal((await polyveil(['inspect', join(modelsDir, 'digits.pvc'), '--html', file])).code, 0)
  const { json } = await polyveil(['tokens', 'create', 'clinic', '--data', data, '--json'])
  const config = join(directory, 'server.json')
  await writeFile(config, JSON.stringify({ modelsDir, access: 'tokens' }))
  const service = await startService(data, '--config', config)
  t.teardown(() => service.stop())
  const page = await (await launch(t, executable!)).newPage()
  await page.goto(service.url)
  await page.locator('#models', { hasText: 'to those who have a token' }).waitFor()
  await page.fill('#token', json.token)
  await page.click('#token-form button')
  const link = page.getByRole('button', { name: 'How digits is computed' })
  await link.waitFor()
  t.equal(await isFocused(page.locator('input[name=model]:checked')), true, 'it goes on at the model')
  const [tab] = await Promise.all([page.waitForEvent('popup'), link.click()])
  const table = tab.locator('#layers table')
  await table.waitFor()
  t.match(await tab.title(), 'digits')
  const bar = await tab.locator('h1').evaluate((heading) => getComputedStyle(heading).fontFamily)
  t.match(bar, /system-ui|sans-serif/, 'it has its styles')
  t.equal(await tab.evaluate(() => document.compatMode), 'CSS1Compat')
  t.equal(await tab.evaluate(() => window.opener), null)
  await tab.locator('nav a[href="#layers"]').click()
  await table.waitFor()
  t.match(tab.url(), /#layers$/, 'its links lead to its own parts')
  const ran = await tab.evaluate(async () => {
    const script = document.createElement('script')
    script.textContent = 'globalThis.ran = true'
    document.body.append(script)
    await new Promise((resolve) => setTimeout(resolve, 200))
    return {
      inline: 'ran' in globalThis,
      fetched: await fetch('/').then(
        () => true,
        () => false,
      ),
    }
  })
  t.strictSame(ran, { inline: false, fetched: false }, 'it runs and loads nothing')

  // The same service under a name that the browser does not trust.
  const { port } = new URL(service.url)
  await page.goto(`http://${INSECURE_HOST}:${port}`)
  t.match(await trouble(page), /come without encryption/)
  t.equal(await page.locator('main section:visible').count(), 0, 'nothing is offered that does not work')
})
