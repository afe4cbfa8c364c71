import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ROOT } from '../../scripts/building/paths.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { type Image, preprocess } from '../../src/preprocessing/index.ts'
import { requireBuild } from '../support/built.ts'
import { findChromium, launch } from './chromium.ts'
import { servePages } from './pages.ts'

// Pictures of every kind, decoded by Chromium and by sharp. Both give the same pixels. TIFF is left out,
// because Chromium does not support it.

const FOLDER = fileURLToPath(new URL('../preprocessing/pictures/', import.meta.url))
const names = Object.keys(JSON.parse(readFileSync(`${FOLDER}expected.json`, 'utf8')).pictures)

/** Browser and sharp use different arithmetic for colour profiles. */
const PROFILE_STEPS = 1

const executable = findChromium()
const skip = executable === undefined && 'There is no Chromium: install it, or name one in CHROMIUM'

/** RGB pixels on a white background. */
function flat(image: Image): number[] {
  const { width, height } = image
  const { tensor } = preprocess(image, {
    channels: 'rgb',
    resize: { mode: 'squash', height, width },
    interpolation: 'bicubic',
    mean: [0, 0, 0],
    std: [1 / 255, 1 / 255, 1 / 255],
  })
  return Array.from(tensor, Math.round)
}

t.test('Chromium and sharp decode pictures to the same pixels', { skip }, async (t) => {
  await requireBuild()
  const folder = t.testdir({ 'blank.html': '<!doctype html>' })
  const port = await servePages(t, [
    ['/dist/', join(ROOT, 'dist/')],
    ['/', `${folder}/`],
  ])
  const context = await launch(t, executable!)
  const page = await context.newPage()
  await page.goto(`http://127.0.0.1:${port}/blank.html`)
  for (const name of names) {
    const bytes = readFileSync(FOLDER + name)
    const decoded = await page.evaluate(
      async ({ bytes, module }) => {
        const { decodeImage } = await import(module)
        return decodeImage(new Blob([Uint8Array.from(bytes)])).then(
          ({ width, height, data }: Image) => ({ width, height, data: [...data] }),
          ({ message }: Error) => message,
        )
      },
      { bytes: [...bytes], module: '/dist/preprocessing/decode-browser.js' },
    )
    if (name.endsWith('.tiff')) {
      t.match(decoded, /no image that this browser decodes/, name)
      continue
    }
    if (typeof decoded === 'string') return t.fail(`${name}: ${decoded}`)
    const there = flat({ ...decoded, channels: 4, data: Uint8Array.from(decoded.data) })
    const here = await decodeImage(bytes)
    t.match(decoded, { width: here.width, height: here.height }, `${name}: size`)
    const differences = flat(here).map((x, i) => Math.abs(x - there[i]))
    const allowed = name.startsWith('wide-gamut') ? PROFILE_STEPS : 0
    t.ok(Math.max(...differences) <= allowed, `${name}: largest difference ${Math.max(...differences)}`)
  }
})
