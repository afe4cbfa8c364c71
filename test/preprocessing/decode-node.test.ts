import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import t from 'tap'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { MAX_PIXELS } from '../../src/preprocessing/limits.ts'
import { goldenFile } from '../models/support/golden.ts'
import { CMYK, FLOAT, MIN_IS_WHITE, SIGNED, tiff } from './tiff.ts'

const png = readFileSync(goldenFile('preprocess.png'))

const raw = ({ buffer }: { buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(buffer)

t.test('colour, grey and transparent images are decoded', async (t) => {
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

const SIZE = { width: 4, height: 2 }
const RAMP = [0, 1, 2, 4, 5, 6, 7, 8].map((x) => x / 8)

t.test('samples without a known black and white are refused', async (t) => {
  for (const [type, content] of Object.entries({
    'float: 0 to 1': tiff({ ...SIZE, bits: 32, sampleFormat: FLOAT, data: raw(Float32Array.from(RAMP)) }),
    'float: 0 to 255': tiff({
      ...SIZE,
      bits: 32,
      sampleFormat: FLOAT,
      data: raw(Float32Array.from(RAMP, (x) => 255 * x)),
    }),
    uint: tiff({ ...SIZE, bits: 32, data: raw(Uint32Array.from(RAMP, (x) => (2 ** 32 - 1) * x)) }),
    int: tiff({
      ...SIZE,
      bits: 32,
      sampleFormat: SIGNED,
      data: raw(Int32Array.from(RAMP, (x) => (2 ** 31 - 1) * x)),
    }),
    short: tiff({
      ...SIZE,
      bits: 16,
      sampleFormat: SIGNED,
      data: raw(Int16Array.from(RAMP, (x) => (2 ** 15 - 1) * x)),
    }),
    char: tiff({ ...SIZE, bits: 8, sampleFormat: SIGNED, data: raw(Int8Array.from(RAMP, (x) => 127 * x)) }),
  })) {
    const name = type.replace(/:.*/, '')
    await t.rejects(
      decodeImage(content),
      {
        code: 'IMAGE_UNREADABLE',
        message: new RegExp(`TIFF image has samples of the type ${name}, .* Scale them to 0 to 255`),
      },
      type,
    )
  }
  const double = tiff({ ...SIZE, bits: 64, sampleFormat: FLOAT, data: raw(Float64Array.from(RAMP)) })
  await t.rejects(decodeImage(double), { code: 'IMAGE_UNREADABLE', message: /TIFF of 8 or 16 bits/ })
})

t.test('16-bit samples keep their high byte, in grey and in colour', async (t) => {
  const values = [0, 255, 256, 32767, 32768, 65279, 65280, 65535]
  const grey = tiff({ ...SIZE, bits: 16, data: raw(Uint16Array.from(values)) })
  const { data } = await decodeImage(grey)
  t.same(
    [...data].filter((_, i) => i % 3 === 0),
    [0, 0, 1, 127, 128, 254, 255, 255],
  )
})

t.test('images whose smallest value is white are decoded', async (t) => {
  const data = Uint8Array.of(0, 10, 20, 30, 200, 210, 254, 255)
  const image = await decodeImage(tiff({ ...SIZE, bits: 8, photometric: MIN_IS_WHITE, data }))
  t.same(
    [...image.data].filter((_, i) => i % 3 === 0),
    [...data].map((x) => 255 - x),
  )
})

t.test('unknown colour spaces are refused', async (t) => {
  const cmyk16 = tiff({
    ...SIZE,
    bits: 16,
    samplesPerPixel: 4,
    photometric: CMYK,
    data: raw(new Uint16Array(32).fill(1000)),
  })
  await t.rejects(decodeImage(cmyk16), {
    code: 'IMAGE_UNREADABLE',
    message: /TIFF image has the colour space cmyk with samples of the type ushort; save it again as RGB/,
  })
})

t.test('images with too many pixels are refused with the limit, before they are decoded', async (t) => {
  const squared = async (width: number, height: number): Promise<Buffer> =>
    await sharp({ create: { width, height, channels: 3, background: 'red' } })
      .png()
      .toBuffer()
  const large = await squared(10_000, 10_000)
  await t.rejects(decodeImage(large), {
    code: 'IMAGE_UNREADABLE',
    message:
      'The image has too many pixels: 10000 x 10000 are 100000000, and the limit is 67108864. Make it smaller first',
    facts: { width: 10_000, height: 10_000, limit: MAX_PIXELS },
  })
  const bomb = Buffer.from(png)
  bomb.writeUInt32BE(2 ** 31 - 1, 16) // the width in the PNG's header
  bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29)
  await t.rejects(decodeImage(bomb), { code: 'IMAGE_UNREADABLE' })
  await t.rejects(decodeImage(await squared(40_000, 2)), {
    code: 'IMAGE_UNREADABLE',
    message: /too many pixels along a side: it is 40000 x 2, and the limit is 32768/,
  })
  t.match(await decodeImage(await squared(32_768, 2)), { width: 32_768, height: 2 })
})

t.test('SVG drawings are refused', async (t) => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="6"><rect width="8" height="6"/></svg>'
  await t.rejects(decodeImage(Buffer.from(svg)), {
    code: 'IMAGE_UNREADABLE',
    message: /An SVG is a drawing that has no pixels of its own; export it as PNG first/,
  })
})

t.test('errors distinguish damaged images from files that are not images', async (t) => {
  const photo = await sharp(png).jpeg().toBuffer()
  const half = (file: Buffer): Buffer => file.subarray(0, Math.floor(file.length * 0.6))
  const noisy = Buffer.from(png)
  noisy.fill(0x55, noisy.length >> 1, (noisy.length >> 1) + 200)
  for (const [what, file, message] of [
    ['nothing', Buffer.alloc(0), /The file is empty/],
    ['a text', Buffer.from('hello'), /no image that can be decoded. PNG, JPEG, .* save others, such as HEIC/],
    ['a BMP', Buffer.from('BM\x1e\0\0\0'), /no image that can be decoded/],
    ['a truncated PNG', half(png), /The PNG image is damaged: it ends too early/],
    ['a PNG without its last bytes', png.subarray(0, -30), /The PNG image is damaged/],
    ['a PNG with other bytes inside', noisy, /The PNG image is damaged/],
    ['a truncated JPEG', half(photo), /The JPEG image is damaged/],
    ['a truncated WebP', half(await sharp(png).webp().toBuffer()), /damaged|no image/],
    ['a truncated GIF', half(await sharp(png).gif().toBuffer()), /damaged|no image/],
    ['a truncated TIFF', half(await sharp(png).tiff().toBuffer()), /damaged|no image/],
    ['a truncated AVIF', half(await sharp(png).avif().toBuffer()), /damaged|no image/],
  ] as const) {
    await t.rejects(decodeImage(file), { code: 'IMAGE_UNREADABLE', message }, what)
  }
})
