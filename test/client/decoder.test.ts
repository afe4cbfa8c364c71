import { readFile } from 'node:fs/promises'
import t from 'tap'
import { imageTensor } from '../../src/client/index.ts'
import { bundledNetworks } from '../../src/models/index.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { preprocess } from '../../src/preprocessing/index.ts'
import { manifest } from './fake-server.ts'

// The decoder of a platform like Deno, which has createImageBitmap and OffscreenCanvas, but no context that
// draws in two dimensions. test/browser has the decoder of browsers.

const [digits] = bundledNetworks()
const { preprocessing } = digits.config

t.test('a platform whose canvas does not draw decodes with sharp', async (t) => {
  let asked = 0
  t.intercept(globalThis, 'createImageBitmap', { value: () => t.fail('the decoder of browsers is called') })
  t.intercept(globalThis, 'OffscreenCanvas', {
    value: class {
      getContext(kind: string): null {
        asked += Number(kind === '2d')
        return null
      }
    },
  })
  const png = await readFile(digits.images[0].file)
  const expected = preprocess(await decodeImage(png), preprocessing)
  const input = { ...manifest.input, image: expected.shape, preprocessing }
  for (const image of [new Uint8Array(png), new Blob([png])]) {
    t.strictSame(await imageTensor(image, input), expected, image.constructor.name)
  }
  t.equal(asked, 2, 'the canvas was asked for two dimensions')
})
