import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { bundledNetworks } from '../../src/models/index.ts'
import { type Service, startService } from '../cli/service.ts'
import { polyveil } from '../cli/support.ts'
import { requireBuild } from '../support/built.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { freePort } from '../support/free-port.ts'
import { violationsOn } from './accessibility.ts'
import { findChromium, launch } from './chromium.ts'
import { answered, onPage, sample, trouble } from './page-support.ts'

// The page of the service in Chromium, with the service in its own process.

const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'
const digits = bundledNetworks().find(({ name }) => name === 'digits')!

t.test('the page classifies pictures', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  const modelsDir = join(directory, 'models')
  await writeDigitsOfFewKeys(modelsDir, 'never')
  await writeDigitsOfFewKeys(modelsDir, 'client', 'rounds')
  const plan = join(modelsDir, 'digits.html')
  t.equal((await polyveil(['inspect', join(modelsDir, 'digits.pvc'), '--html', plan])).code, 0)
  const port = String(await freePort())
  const start = (): Promise<Service> =>
    startService(join(directory, 'data'), '--models', modelsDir, '--port', port)
  let service = await start()
  t.teardown(() => service.stop())
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)

  const onThePage = (name: string, body: (t: Test, page: Page) => Promise<void>) =>
    t.test(name, (t) => onPage(t as Test, context, service, (page) => body(t as Test, page)))

  await onThePage('a digit that is drawn', drawn)
  await onThePage('keys are kept when the page is loaded again, and can be forgotten', (t, page) =>
    kept(t, page, service),
  )
  await onThePage('samples and files', samplesAndFiles)
  await onThePage('a picture that the network cannot handle', (t, page) => unlike(t, page, directory))
  await onThePage('a server that is gone midway', async (t, page) => {
    await sample(page, '7')
    // The answer to the query never comes.
    await page.route('**/infer', async (route) => {
      await service.kill()
      await route.abort('connectionreset')
    })
    await page.locator('#classify:enabled').click()
    t.match(await trouble(page), /The server cannot be reached.*Your keys are kept.*SERVER_UNREACHABLE/)
    await page.unroute('**/infer')
    service = await start()
    t.match(await answered(page), /: 7\.$/, 'the next try succeeds')
  })
  await onThePage('a network with refresh rounds', rounds)
  await onThePage('a picture of the camera', camera)
  await onThePage('a model that is chosen while another is loaded', choices)
  await onThePage('a small screen, and a keyboard', onAPhone)
  await onThePage('an accessibility checker finds nothing', accessible)
})

t.test('the page asks for the token of a service that needs one', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  const modelsDir = join(directory, 'models')
  const data = join(directory, 'data')
  await writeDigitsOfFewKeys(modelsDir)
  const { json } = await polyveil(['tokens', 'create', 'clinic', '--data', data, '--json'])
  const config = join(directory, 'server.json')
  await writeFile(config, JSON.stringify({ modelsDir, access: 'tokens' }))
  const service = await startService(data, '--config', config)
  t.teardown(() => service.stop())
  const page = await (await launch(t, executable!)).newPage()
  await page.goto(service.url)
  await page.fill('#token', 'wrong')
  await page.click('#token-form button')
  t.match(await trouble(page), /asks for a token.*UNAUTHENTICATED/)
  await page.fill('#token', json.token)
  await page.click('#token-form button')
  await page.locator('#keys-text', { hasText: 'secret key' }).waitFor()
  t.equal(await page.locator('#token-form').isHidden(), true)
  await sample(page, '2')
  t.match(await answered(page), /: 2\.$/)
  t.equal((await polyveil(['tokens', 'revoke', json.id, '--data', data])).code, 0)
  await page.waitForTimeout(1500)
  t.match(await answered(page), /enter it above.*UNAUTHENTICATED/)
  t.equal(await page.locator('#token-form').isVisible(), true, 'the page asks again')
})

async function draw(page: Page, strokes: readonly (readonly [number, number])[]): Promise<void> {
  const { x, y, width, height } = (await page.locator('#drawing').boundingBox())!
  const [[firstX, firstY], ...rest] = strokes
  await page.mouse.move(x + firstX * width, y + firstY * height)
  await page.mouse.down()
  for (const [toX, toY] of rest) await page.mouse.move(x + toX * width, y + toY * height, { steps: 6 })
  await page.mouse.up()
}

const THREE = [
  [0.3, 0.25],
  [0.5, 0.18],
  [0.65, 0.28],
  [0.6, 0.42],
  [0.45, 0.48],
  [0.62, 0.54],
  [0.68, 0.7],
  [0.5, 0.83],
  [0.3, 0.76],
] as const

async function drawn(t: Test, page: Page): Promise<void> {
  t.ok(await page.evaluate(() => crossOriginIsolated), 'the page may use threads')
  t.equal(await page.locator('#classify').isDisabled(), true, 'there is nothing to classify yet')
  t.match(await page.textContent('#keys-text'), /never leaves it.*58\.\d MB.*This happens once/)
  await draw(page, THREE)
  t.match(await answered(page), /^Answered in [\d.]+ s: 3\.$/)
  t.equal(await page.locator('.scores li').first().locator('span').first().textContent(), '3')
  const stages = await page
    .locator('#stages li')
    .evaluateAll((rows) =>
      rows.map((row) => [(row as HTMLElement).dataset.stage, (row as HTMLElement).dataset.state]),
    )
  t.strictSame(
    stages,
    ['keys', 'encrypt', 'send', 'compute', 'decrypt'].map((stage) => [stage, 'done']),
  )
  const seen = await page
    .locator('#seen tbody tr')
    .evaluateAll((rows) =>
      rows.map((row) => [...row.children].slice(0, 2).map(({ textContent }) => textContent)),
    )
  t.match(seen, [
    ['Working keys to the server', /^58\.\d MB$/],
    ['Encrypted picture to the server', /^[\d.]+ [kM]B$/],
    ['Encrypted answer from the server', /^[\d.]+ [kM]B$/],
  ])
  t.ok((await spread(page)) > 60, 'the encrypted picture looks like noise')
  await page.click('#clear')
  await page.locator('#classify:disabled').waitFor()
}

/** Deviation of the brightness of the canvas that shows what was sent; that of uniform bytes is 74. */
const spread = (page: Page): Promise<number> =>
  page.locator('#noise').evaluate((canvas) => {
    const { data } = (canvas as HTMLCanvasElement).getContext('2d')!.getImageData(0, 0, 160, 160)
    const values = Array.from({ length: 160 * 160 }, (_, i) => data[4 * i])
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length)
  })

async function kept(t: Test, page: Page, service: Service): Promise<void> {
  await page.locator('#keys-text', { hasText: 'Your keys are ready' }).waitFor()
  const uploads: string[] = []
  page.on('request', (request) => request.method() === 'PUT' && uploads.push(request.url()))
  await sample(page, '4')
  t.match(await answered(page), /: 4\.$/)
  t.strictSame(uploads, [], 'no keys are uploaded again')
  await page.click('#forget')
  await page.locator('#keys-text', { hasText: 'First your browser makes a secret key' }).waitFor()
  t.equal(await page.locator('#forget').isHidden(), true)
  t.match(await metrics(service), /^polyveil_key_sets 0$/m, 'the server has forgotten them, too')
  t.match(await answered(page), /: 4\.$/, 'new ones are made')
  t.ok(uploads.length > 0)
}

const metrics = async ({ url }: Service): Promise<string> => (await fetch(new URL('/metrics', url))).text()

async function samplesAndFiles(t: Test, page: Page): Promise<void> {
  await sample(page, '9')
  t.match(await answered(page), /: 9\.$/)
  t.equal(await page.textContent('#truth'), 'The picture is labelled “9”')
  t.equal(await page.textContent('#result-title'), 'What happened with digits')
  await page.click('#tab-photo')
  // Dark on light, as a photograph of paper is: the page swaps black and white by itself.
  const { file, truth } = digits.images[5]
  await page.setInputFiles('#file', {
    name: 'paper.png',
    mimeType: 'image/png',
    buffer: await sharp(await readFile(file))
      .negate({ alpha: false })
      .png()
      .toBuffer(),
  })
  await page.locator('#invert:checked').waitFor()
  t.match(await answered(page), RegExp(`: ${truth}\\.$`))
  await page.setInputFiles('#file', {
    name: 'x.png',
    mimeType: 'image/png',
    buffer: Buffer.from('no picture'),
  })
  t.match(await trouble(page), /not a picture that the browser can read.*IMAGE_UNREADABLE/)
  t.equal(await page.locator('#classify').isDisabled(), true)
}

async function unlike(t: Test, page: Page, directory: string): Promise<void> {
  const white = join(directory, 'white.png')
  await writeFile(
    white,
    await sharp({ create: { width: 28, height: 28, channels: 3, background: '#fff' } })
      .png()
      .toBuffer(),
  )
  await page.click('#tab-photo')
  await page.setInputFiles('#file', white)
  await page.locator('#invert:checked').waitFor()
  await page.uncheck('#invert')
  await page.locator('#classify:enabled').click()
  t.match(await trouble(page), /The network cannot handle this picture.*more like the samples/)
  t.equal(await page.locator('#stages li[data-state="failed"]').getAttribute('data-stage'), 'decrypt')
  t.equal(await page.locator('.scores').count(), 0, 'no answer is shown')
}

async function rounds(t: Test, page: Page): Promise<void> {
  await page.check('#model-rounds')
  await page.locator('#keys-text', { hasText: 'First your browser' }).waitFor()
  t.match(
    await page.locator('[data-model="rounds"]').textContent(),
    /\d+ rounds, in which your browser refreshes/,
  )
  await sample(page, '8')
  t.match(await answered(page), /: 8\.$/)
  const refresh = page.locator('#stages li[data-stage="refresh"]')
  t.equal(await refresh.getAttribute('data-state'), 'done')
  t.match(await refresh.textContent(), /\d+ rounds, [\d.]+ MB/)
  t.equal(await page.locator('#seen tbody tr').count(), 5, 'masked values, and what was sent for them')
}

async function camera(t: Test, page: Page): Promise<void> {
  await page.evaluate(() => {
    const devices = navigator.mediaDevices
    const open = devices.getUserMedia.bind(devices)
    devices.getUserMedia = (wanted) =>
      open(wanted).then((stream) => {
        Object.assign(globalThis, { stream })
        return stream
      })
  })
  await page.click('#tab-photo')
  // The browser opens the camera after another tab has been chosen.
  await page.evaluate(() => {
    document.getElementById('camera')!.click()
    document.getElementById('tab-samples')!.click()
  })
  await page.waitForFunction(() => {
    const { stream } = globalThis as { stream?: MediaStream }
    return stream?.getTracks().every(({ readyState }) => readyState === 'ended')
  })
  await page.click('#tab-photo')
  await page.click('#camera')
  await page.click('#shoot')
  await page.locator('#classify:enabled').waitFor()
  t.equal(await page.locator('#viewfinder').isHidden(), true, 'the camera is closed')
  t.equal(await page.locator('#preview').getAttribute('aria-label'), 'The picture as the network gets it')
}

/** A model of the list that answers late, and is gone by then. */
const LATE = 'late'

async function choices(t: Test, page: Page): Promise<void> {
  await page.route('**/v2/models', async (route) => {
    const answer = await route.fetch()
    const { models } = await answer.json()
    await route.fulfill({ response: answer, json: { models: [...models, { ...models[0], name: LATE }] } })
  })
  const late = Promise.withResolvers<void>()
  await page.route(`**/v2/models/${LATE}/manifest`, async (route) => {
    await late.promise
    await route.continue()
  })
  await page.reload()
  const ready = page.locator('#keys-text', { hasText: 'secret key' })
  await ready.waitFor()
  await sample(page, '4')
  const asked = page.waitForRequest(`**/v2/models/${LATE}/manifest`)
  await page.check(`#model-${LATE}`)
  await asked
  t.equal(await page.locator('#classify').isDisabled(), true, 'the model is not there yet')
  await page.check('#model-digits')
  const gone = page.waitForResponse(`**/v2/models/${LATE}/manifest`)
  late.resolve()
  await gone
  await ready.waitFor()
  await page.locator('#classify:enabled').waitFor()
  t.equal(await page.locator('#trouble').isHidden(), true, 'the late model is of no interest')
  t.equal(await page.locator('.model .note').count(), 1, 'the card of a model has one note')
  await page.click(`#model-${LATE}`)
  t.match(await trouble(page), /does not have this model.*MODEL_UNKNOWN/)
  t.equal(await page.locator('input[name=model]:checked').count(), 0, 'it can be chosen again')
}

async function onAPhone(t: Test, page: Page): Promise<void> {
  const width = 320
  await page.setViewportSize({ width, height: 640 })
  await page.check('#model-rounds')
  await page.locator('#keys-text', { hasText: 'secret key' }).waitFor()
  await page.focus('#tab-draw')
  await page.keyboard.press('ArrowRight')
  t.equal(await page.locator('#panel-samples').isVisible(), true, 'arrow keys change the tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await page.locator('#classify:enabled').focus()
  await page.keyboard.press('Enter')
  await page.locator('#status', { hasText: 'Answered' }).waitFor()
  t.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, 'nothing is wider than it')
  const table = await page.locator('#seen .table').evaluate((part) => [part.scrollWidth, part.clientWidth])
  t.equal(table[0], table[1], 'nor does a part have to be scrolled')
  const sample = (await page.locator('#samples img').first().boundingBox())!
  t.equal(sample.width, sample.height, 'samples are as square as the pictures are')
}

async function accessible(t: Test, page: Page): Promise<void> {
  await sample(page, '1')
  await answered(page)
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    t.strictSame(await violationsOn(page), [], colorScheme)
  }
}
