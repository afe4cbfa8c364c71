import { crc32, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import sharp from 'sharp'
import t, { type Test } from 'tap'
import { readInput, readStream } from '../../../src/cli/input/files.ts'
import { decodeImage } from '../../../src/preprocessing/decode-node.ts'
import { mutated, neverFails } from './fuzz.ts'

// Pictures that lie about themselves. test/preprocessing/decode-node.test.ts has those that are too large,
// damaged, of other formats, or bombs by the size in their header.

const SIDE = 16

function chunk(type: string, data: Uint8Array): Buffer {
  const named = Buffer.concat([Buffer.from(type), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(crc32(named))
  return Buffer.concat([length, named, sum])
}

/** A grey PNG of `SIDE` x `SIDE` with any content. */
function png(data: Uint8Array, before: Buffer[] = [], side = SIDE): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(side, 0)
  header.writeUInt32BE(side, 4)
  header.set([8, 0, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    ...before,
    chunk('IDAT', data),
    chunk('IEND', new Uint8Array(0)),
  ])
}

const rows = deflateSync(Buffer.alloc(SIDE * (SIDE + 1), 0))

/** Bytes that inflate to 256 MB. */
const bomb = deflateSync(Buffer.alloc(2 ** 28))

t.test('what is compressed in a picture does not take more memory than its size says', async (t: Test) => {
  const before = process.memoryUsage.rss()
  const text = Buffer.concat([Buffer.from('Comment\0\0'), bomb])
  const profile = Buffer.concat([Buffer.from('icc\0\0'), bomb])
  for (const [what, file] of [
    ['more rows than the header says', png(bomb)],
    ['a text', png(rows, [chunk('zTXt', text)])],
    ['a colour profile', png(rows, [chunk('iCCP', profile)])],
  ] as const) {
    const outcome = await decodeImage(file).then(
      ({ width, height }) => `${width} x ${height}`,
      ({ code }) => code as string,
    )
    t.match(outcome, /^(16 x 16|IMAGE_UNREADABLE)$/, what)
  }
  t.ok(process.memoryUsage.rss() - before < 2 ** 28, 'the bombs are not inflated as a whole')
})

t.test('a picture that has fewer rows than its header says is refused', async (t: Test) => {
  await t.rejects(decodeImage(png(rows, [], 4096)), { code: 'IMAGE_UNREADABLE' })
  await t.rejects(decodeImage(png(new Uint8Array(0))), { code: 'IMAGE_UNREADABLE' })
})

t.test('of an animation of thousands of pictures the first one is decoded', async (t: Test) => {
  const frame = Buffer.from('21f904000a0000002c0000000001000100000202440100', 'hex')
  const start = Buffer.from('47494638396101000100800000000000ffffff', 'hex')
  const gif = Buffer.concat([start, ...Array(20_000).fill(frame), Buffer.from([0x3b])])
  t.match(await decodeImage(gif), { width: 1, height: 1 })
})

t.test('a picture by another name is what its bytes are', async (t: Test) => {
  for (const text of [
    '<html>',
    '%PDF-1.7',
    'MZ\x90\0',
    'GIF89a',
    '\x89PNG\r\n\x1a\n',
    'RIFF\xff\xff\xff\xffWEBP',
  ])
    await t.rejects(decodeImage(Buffer.from(text, 'latin1')), { code: 'IMAGE_UNREADABLE' }, text)
})

t.test('a file without an end is refused at the limit', async (t: Test) => {
  let chunks = 0
  const endless = async function* () {
    for (;;) {
      chunks++
      yield new Uint8Array(2 ** 16)
    }
  }
  await t.rejects(readStream(endless(), 'The image x', 2 ** 20), {
    code: 'TOO_LARGE',
    facts: { limit: 2 ** 20 },
  })
  t.ok(chunks < 20, `${chunks} chunks were read`)
  if (process.platform === 'win32') return
  const limits = { limit: 2 ** 20, code: 'IMAGE_UNREADABLE' } as const
  await t.rejects(readInput('/dev/zero', 'The image', limits), { code: 'TOO_LARGE' })
})

t.test('any picture is decoded or refused with a code', async () => {
  const picture = sharp({ create: { width: 24, height: 17, channels: 3, background: '#4080c0' } })
  const seeds = await Promise.all(
    (['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'] as const).map(async (format) =>
      Uint8Array.from(await picture.clone().toFormat(format).toBuffer()),
    ),
  )
  const inputs = fc.oneof(mutated(seeds), fc.uint8Array({ maxLength: 100 }))
  await neverFails(inputs, 200, decodeImage, ['IMAGE_UNREADABLE', 'TOO_LARGE'])
})
