import { readFileSync } from 'node:fs'
import sharp from 'sharp'
import t from 'tap'
import { decodeImage, MAX_PIXELS } from '../../src/preprocessing/decode-node.ts'
import { goldenFile } from '../models/support/golden.ts'

const png = readFileSync(goldenFile('preprocess.png'))

t.test('colour, grey and transparent images', async (t) => {
  t.match(await decodeImage(png), { width: 317, height: 241, channels: 3 })
  const samples = Uint8Array.of(10, 20, 30, 40, 50, 60)
  const grey = await sharp(samples, { raw: { width: 3, height: 2, channels: 1 } })
    .png()
    .toBuffer()
  const { data, ...size } = await decodeImage(grey)
  t.same(size, { width: 3, height: 2, channels: 3 })
  t.same(
    [...data],
    [...samples].flatMap((x) => [x, x, x]),
  )
  const rgba = await sharp(Uint8Array.of(1, 2, 3, 0, 5, 6, 7, 255), {
    raw: { width: 2, height: 1, channels: 4 },
  })
    .png()
    .toBuffer()
  const transparent = await decodeImage(rgba)
  t.match(transparent, { width: 2, height: 1, channels: 4 })
  t.same([...transparent.data], [1, 2, 3, 0, 5, 6, 7, 255])
})

t.test('photographs are turned upright', async (t) => {
  const samples = Uint8Array.of(255, 0, 0, 0, 255, 0)
  const turned = await sharp(samples, { raw: { width: 2, height: 1, channels: 3 } })
    .withMetadata({ orientation: 6 })
    .png()
    .toBuffer()
  const { width, height, data } = await decodeImage(turned)
  t.same([width, height, ...data], [1, 2, 255, 0, 0, 0, 255, 0])
})

t.test('files that are no image', async (t) => {
  const huge = Buffer.from(png)
  huge.writeUInt32BE(MAX_PIXELS, 16) // the width in the PNG's header
  for (const [what, file] of [
    ['nothing', Buffer.alloc(0)],
    ['a text', Buffer.from('hello')],
    ['a truncated PNG', png.subarray(0, png.length >> 1)],
    ['a bomb', huge],
  ] as const) {
    await t.rejects(decodeImage(file), { code: 'IMAGE_UNREADABLE' }, what)
  }
})
