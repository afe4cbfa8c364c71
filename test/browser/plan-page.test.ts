import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { CIRCUITS } from '../../scripts/building/paths.ts'
import { readCircuit } from '../../src/circuit/index.ts'
import { planPage, planSubject } from '../../src/cli/output/plan-page/page.ts'
import { requireBuild } from '../support/built.ts'
import { violationsOn } from './accessibility.ts'
import { findChromium, launch } from './chromium.ts'

// The page of `inspect --html` in Chromium. test/cli/inspect-html.test.ts tests what it says.

const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'
const PHONE = { width: 390, height: 844 }
const DESK = { width: 1280, height: 900 }

/** More layers than one drawing of the graph shows. */
const DEEP = 60

/**
 * Writes the page of a bundled network, and one of a deep network with refreshes that is made up from it.
 *
 * @returns their addresses
 */
async function pages(directory: string): Promise<{ small: string; deep: string }> {
  await requireBuild()
  const circuit = readCircuit(new Uint8Array(await readFile(join(CIRCUITS, 'digits.pvc'))))
  const small = planSubject(circuit, 'd'.repeat(64))
  const layers = Array.from({ length: DEEP }, (_, i) => ({
    ...small.plan.layers[i % 20],
    name: `cells.${Math.floor(i / 20)}.stack.${i % 20}.a.layer.with.a.long.name`,
    reads: i === 0 ? [] : i % 10 === 0 ? [i - 5, i - 1] : [i - 1],
  }))
  const plan = { ...small.plan, layers, rounds: Array.from({ length: 40 }, (_, i) => (i % 7) + 1) }
  const write = async (name: string, text: string): Promise<string> => {
    const file = join(directory, `${name}.html`)
    await writeFile(file, text)
    return pathToFileURL(file).href
  }
  return {
    small: await write('small', planPage(small)),
    deep: await write('deep', planPage({ ...small, plan })),
  }
}

t.test('the page of a plan in a browser', { skip }, async (t) => {
  const { small, deep } = await pages(t.testdir())
  const context = await launch(t as Test, executable!)
  context.setDefaultTimeout(60_000)
  const page = await context.newPage()
  await page.emulateMedia({ reducedMotion: 'reduce' })
  for (const [name, address] of Object.entries({ small, deep })) {
    await t.test(`${name}: an accessibility checker finds nothing`, (t) =>
      accessible(t as Test, page, address),
    )
    await t.test(`${name}: a phone scrolls nothing but regions`, (t) => fits(t as Test, page, address))
    await t.test(`${name}: no text of the graph is cut`, (t) => uncut(t as Test, page, address))
  }
  await t.test('touching a column shows its number', (t) => touched(t as Test, page, small))
  await t.test('touching a part or a round opens what is closed', (t) => opened(t as Test, page, deep))
})

async function accessible(t: Test, page: Page, address: string): Promise<void> {
  for (const size of [PHONE, DESK]) {
    await page.setViewportSize(size)
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await page.goto(address)
      await openAll(page)
      t.strictSame(await violationsOn(page), [], `${size.width} px, ${colorScheme}`)
    }
  }
}

const openAll = (page: Page): Promise<void> =>
  page.locator('details').evaluateAll((all) => {
    for (const details of all) (details as HTMLDetailsElement).open = true
  })

async function fits(t: Test, page: Page, address: string): Promise<void> {
  await page.setViewportSize(PHONE)
  await page.goto(address)
  await openAll(page)
  t.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width)
  const levels = page.getByRole('region', { name: 'Levels', exact: true })
  await levels.focus()
  await page.keyboard.press('ArrowRight')
  await page.waitForFunction(() => document.querySelector('#levels .scroll')!.scrollLeft > 0)
  t.pass('a chart that is wider than the phone scrolls by keyboard')
}

/** Texts of boxes lie within their boxes, and do not touch each other. */
async function uncut(t: Test, page: Page, address: string): Promise<void> {
  await page.setViewportSize(DESK)
  await page.goto(address)
  await openAll(page)
  const spaces = await page.locator('.node').evaluateAll((nodes) =>
    nodes.map((node) => {
      const [box, name, detail] = ['rect', '.name', '.detail'].map((part) =>
        node.querySelector(part)!.getBoundingClientRect(),
      )
      return [name.left - box.left, detail.left - name.right, box.right - detail.right]
    }),
  )
  t.ok(spaces.length >= 20)
  t.strictSame(
    spaces.filter((space) => space.some((width) => !(width > 2))),
    [],
  )
}

async function touched(t: Test, page: Page, address: string): Promise<void> {
  await page.setViewportSize(PHONE)
  await page.goto(address)
  await page.locator('#seconds a').nth(3).click()
  const cell = page.locator('td:target')
  t.equal(await cell.getAttribute('id'), 'layer-4-seconds')
  const { x, y, width } = (await cell.boundingBox())!
  t.ok(x >= 0 && x + width <= PHONE.width && y >= 0 && y < PHONE.height, 'the number is in view')
  t.match(await page.locator('#seconds a title').nth(3).textContent(), `${await cell.textContent()} s`)
}

async function opened(t: Test, page: Page, address: string): Promise<void> {
  await page.setViewportSize(DESK)
  await page.goto(address)
  await page.locator('.node.part').nth(1).click()
  await page.locator('#part-2').waitFor({ state: 'visible' })
  t.equal(await page.locator('#part-1').isVisible(), false)
  await page.locator('#rounds a').nth(6).click()
  t.match(await page.locator('tr:target').textContent(), /^77$/, 'round 7 has 7 ciphertexts')
  t.ok(await page.locator('tr:target').isVisible())
}
