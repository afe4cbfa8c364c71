import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { readCheckpoint } from '../../src/models/index.ts'
import { safetensors } from '../cli/safetensors.ts'
import { startService } from '../cli/service.ts'
import { goldenPath, polyveil } from '../cli/support.ts'
import { goldenFile } from '../models/support/golden.ts'
import { requireBuild } from '../support/built.ts'
import { violationsOn } from './accessibility.ts'
import { findChromium, launch } from './chromium.ts'
import { answered, onPage } from './page-support.ts'

// The page of the service with a network of another kind than the bundled ones: of coloured pictures, and of
// a thousand classes.

const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

const CLASSES = 1000

/**
 * Compiles a small network of coloured pictures, whose ten classes stand a hundred times, ever less likely.
 */
async function writeThousand(directory: string, folder: string): Promise<void> {
  const tensors = new Map(await readCheckpoint(goldenFile('one_shot.pt')))
  const [weight, bias] = [tensors.get('head.3.weight')!, tensors.get('head.3.bias')!]
  const weights = Float32Array.from({ length: CLASSES * 32 }, (_, k) => weight.data[k % weight.data.length])
  const biases = Float32Array.from({ length: CLASSES }, (_, k) => bias.data[k % 10] - Math.floor(k / 10) / 20)
  const changed = Object.fromEntries([
    ...tensors,
    ['head.3.weight', { shape: [CLASSES, 32], data: weights }],
    ['head.3.bias', { shape: [CLASSES], data: biases }],
  ])
  const checkpoint = join(directory, 'thousand.safetensors')
  writeFileSync(checkpoint, safetensors(changed))
  const labels = join(directory, 'labels.json')
  writeFileSync(labels, JSON.stringify(Array.from({ length: CLASSES }, (_, k) => labelOf(k))))
  mkdirSync(folder)
  const source = [checkpoint, '--config', goldenPath('one_shot.json'), '--classes', String(CLASSES)]
  const how = ['--preprocessing', 'imagenet', '--refresh', 'client', '--ring', '8192', '--labels', labels]
  const ran = await polyveil(['compile', ...source, ...how, '--out', join(folder, 'thousand.pvc')])
  if (ran.code !== 0) throw new Error(ran.stderr)
}

const labelOf = (k: number): string => `class ${k} with a name that is longer than its place beside the bar`

/** A picture that is red on the left and blue on the right. */
async function redAndBlue(): Promise<Buffer> {
  const [width, height, channels] = [120, 80, 3] as const
  const data = Buffer.alloc(width * height * channels)
  for (let k = 0; k < width * height; k++) data[channels * k + (k % width < width / 2 ? 0 : 2)] = 255
  return sharp(data, { raw: { width, height, channels } }).png().toBuffer()
}

t.test('a coloured picture, and a thousand classes', { skip }, async (t) => {
  await requireBuild()
  const directory = t.testdir()
  await writeThousand(directory, join(directory, 'models'))
  const service = await startService(join(directory, 'data'), '--models', join(directory, 'models'))
  t.teardown(() => service.stop())
  const context = await launch(t, executable!)
  context.setDefaultTimeout(120_000)
  const picture = join(directory, 'red-and-blue.png')
  writeFileSync(picture, await redAndBlue())
  const named = ['--url', service.url, '--model', 'thousand', '--top', '5', '--json', '--quiet']
  const { json } = await polyveil(['classify', picture, ...named])
  const expected: string[] = json.images[0].classes.map(({ label }: { label: string }) => label)
  await onPage(t as Test, context, service, (page) => thousand(t as Test, page, picture, expected))
})

async function thousand(t: Test, page: Page, picture: string, expected: readonly string[]): Promise<void> {
  t.match(await page.locator('.model').textContent(), /class 9 .* and 990 more/)
  t.equal(await page.locator('#tab-draw').isHidden(), true, 'nobody can draw these classes')
  t.equal(await page.locator('#tab-samples').isHidden(), true)
  await page.setInputFiles('#file', picture)
  await page.locator('#classify:enabled').waitFor()
  t.equal(await page.locator('#invert').isChecked(), false)
  const colours = await coloursOf(page)
  t.ok(colours.left[0] > 250 && colours.left[1] < 5 && colours.left[2] < 5, `red: ${colours.left}`)
  t.ok(colours.right[0] < 5 && colours.right[1] < 5 && colours.right[2] > 250, `blue: ${colours.right}`)
  t.match(await answered(page), `: ${expected[0]}.`)
  const bars = page.locator('.scores li')
  t.equal(await bars.count(), 5, 'the best are shown')
  t.strictSame(await bars.locator('span:first-child').allTextContents(), expected)
  const values = await bars
    .locator('progress')
    .evaluateAll((all) => all.map((bar) => (bar as HTMLProgressElement).value))
  t.strictSame(
    values,
    values.toSorted((a, b) => b - a),
  )
  for (const width of [360, 1280]) {
    await page.setViewportSize({ width, height: 800 })
    t.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, 'nothing is wider')
  }
  t.strictSame(await violationsOn(page), [])
}

/** Colours of the preview at the middle of its left and of its right half. */
const coloursOf = (page: Page): Promise<{ left: number[]; right: number[] }> =>
  page.locator('#preview').evaluate((node) => {
    const canvas = node as HTMLCanvasElement
    const { data } = canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height)
    const at = (share: number): number[] => {
      const pixel = Math.floor(canvas.height / 2) * canvas.width + Math.floor(share * canvas.width)
      return [...data.slice(4 * pixel, 4 * pixel + 3)]
    }
    return { left: at(0.25), right: at(0.75) }
  })
