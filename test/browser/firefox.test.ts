import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startService } from '../cli/service.ts'
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
  await writeDigitsOfFewKeys(modelsDir, 'never')
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
