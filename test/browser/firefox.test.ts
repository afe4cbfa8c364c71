import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startService } from '../cli/service.ts'
import { polyveil } from '../cli/support.ts'
import { requireBuild } from '../support/built.ts'
import { writeDigitsOfFewKeys } from '../support/digits-of-few-keys.ts'
import { findFirefox, launchFirefox } from './firefox.ts'

// The page of the service in Firefox: another engine for WebAssembly, Workers, IndexedDB and canvas.

const executable = findFirefox()
const skip = executable === undefined && 'There is no Firefox: install firefox-esr, or name one in FIREFOX'

const MOST_MILLISECONDS = 120_000

/**
 * The value of a condition in the page as soon as it has one. A page that never gets there shows its words.
 */
const waitFor = (condition: string): string => `new Promise((resolve, reject) => {
  const begun = performance.now()
  const look = () => {
    const found = ${condition}
    if (found) resolve(found)
    else if (performance.now() - begun > ${MOST_MILLISECONDS}) reject(new Error(document.body.innerText))
    else setTimeout(look, 50)
  }
  look()
})`
const keysText = `(() => {
  const { textContent } = document.querySelector('#keys-text')
  return textContent.includes('keys') && textContent
})()`
const click = (selector: string): string => `document.querySelector(${JSON.stringify(selector)}).click()`
const ended = `(() => {
  const status = document.querySelector('#status').textContent
  const trouble = document.querySelector('#trouble')
  return status.startsWith('Answered') ? status : trouble.hidden ? undefined : trouble.textContent
})()`
const sample = (label: string): string =>
  `[...document.querySelectorAll('#samples button')].find((button) => button.textContent === '${label}')`

t.test('the page classifies a sample, and keeps its keys', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  const modelsDir = join(directory, 'models')
  await writeDigitsOfFewKeys(modelsDir)
  const service = await startService(join(directory, 'data'), '--models', modelsDir)
  t.teardown(() => service.stop())
  const page = await launchFirefox(t as Test, executable!)
  for (const [label, keys] of [
    ['7', 'First your browser makes a secret key'],
    ['4', 'Your keys are ready'],
  ]) {
    await page.goto(service.url)
    t.match(await page.evaluate(waitFor(keysText)), keys)
    t.equal(await page.evaluate('crossOriginIsolated'), true, 'threads are used')
    await page.evaluate(click('#tab-samples'))
    await page.evaluate(waitFor(`${sample(label)} && (${sample(label)}.click(), true)`))
    await page.evaluate(waitFor("!document.querySelector('#classify').disabled"))
    await page.evaluate(click('#classify'))
    t.match(await page.evaluate(waitFor(ended)), RegExp(`^Answered in [\\d.]+ s: ${label}\\.$`))
  }
})

t.test('a plan of a service with tokens opens in a tab', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  const modelsDir = join(directory, 'models')
  const data = join(directory, 'data')
  await writeDigitsOfFewKeys(modelsDir)
  const file = join(modelsDir, 'digits.html')
  t.equal((await polyveil(['inspect', join(modelsDir, 'digits.pvc'), '--html', file])).code, 0)
  const { json } = await polyveil(['tokens', 'create', 'clinic', '--data', data, '--json'])
  const config = join(directory, 'server.json')
  await writeFile(config, JSON.stringify({ modelsDir, access: 'tokens' }))
  const service = await startService(data, '--config', config)
  t.teardown(() => service.stop())
  const page = await launchFirefox(t as Test, executable!)
  await page.goto(service.url)
  await page.evaluate(waitFor("!document.querySelector('#token-form').hidden"))
  await page.evaluate(`document.querySelector('#token').value = ${JSON.stringify(json.token)}`)
  await page.evaluate(click('#token-form button'))
  await page.evaluate(waitFor("document.querySelector('.note button')"))
  // A test has no other way to the tab: it does not know who opened it.
  await page.evaluate(`(() => {
    const { open } = window
    window.open = (...all) => (globalThis.tab = open.apply(window, all))
  })()`)
  await page.act(click('.note button'))
  await page.evaluate(waitFor("globalThis.tab?.document.querySelector('#layers table') !== null"))
  await page.act(`tab.document.querySelector('nav a[href="#layers"]').click()`)
  await page.evaluate(waitFor('tab.location.hash'))
  const plan = await page.evaluate(`(() => {
    const { document } = tab
    return {
      title: document.title,
      mode: document.compatMode,
      rows: document.querySelectorAll('#layers tbody tr').length,
      font: tab.getComputedStyle(document.querySelector('h1')).fontFamily,
      hash: tab.location.hash,
      opener: tab.opener,
    }
  })()`)
  t.match(plan, { title: /digits/, mode: 'CSS1Compat', font: /sans-serif/, hash: '#layers', opener: null })
  t.ok((plan as { rows: number }).rows > 10)
})
