import t from 'tap'
import { brightness, expectedPictures, notHandled } from '../../src/client/local/picture-kind.ts'
import { PolyVeilError } from '../../src/errors/index.ts'
import { architecture, bundledNetworks } from '../../src/models/index.ts'
import { type Image, type Preprocessing, preprocess } from '../../src/preprocessing/index.ts'

const colour: Preprocessing = architecture('lowres').preprocessing
const grey = (mean: number): Preprocessing => ({ ...colour, channels: 'grey', mean: [mean], std: [0.3] })

t.test('the brightness of a picture can be computed from its tensor', async (t) => {
  const picture: Image = { width: 2, height: 1, channels: 3, data: Uint8Array.of(255, 0, 51, 255, 0, 51) }
  t.ok(Math.abs(brightness(preprocess(picture, colour), colour) - 0.4) < 1e-12)
  const luma = (0.299 * 255 + 0.114 * 51) / 255
  t.ok(Math.abs(brightness(preprocess(picture, grey(0.1)), grey(0.1)) - luma) < 2e-3)
  const inverted = preprocess(picture, colour, { invert: true })
  t.ok(Math.abs(brightness(inverted, colour) - 0.6) < 1e-12)
})

t.test('the expected kind of picture follows from the preprocessing', async (t) => {
  for (const { config } of bundledNetworks()) {
    t.match(
      expectedPictures(config.preprocessing),
      /grey pictures that are light on dark .*--invert on the command line/,
    )
  }
  t.match(
    expectedPictures(grey(0.9)),
    /dark on light \(mean brightness 0\.90, .* invert one that is light on dark/,
  )
  for (const name of ['cpolynext-t', 'lowres'] as const) {
    const text = expectedPictures(architecture(name).preprocessing)
    t.match(text, /colour pictures \(mean brightness 0\.4\d/)
    t.notMatch(text, 'invert', 'photographs are not inverted')
  }
})

t.test('the error of a dishonest answer starts with the picture', async (t) => {
  const cause = new PolyVeilError('TENSOR_OUT_OF_RANGE', 'The decrypted answer is no honest result', {
    batch: 4,
  })
  const error = notHandled(cause, grey(0.13), 4)
  t.match(error, { code: cause.code, facts: { batch: 4 }, cause })
  t.match(
    error.message,
    /^The network does not handle one of these pictures, .* no honest result\. The network expects/,
  )
  t.match(
    notHandled(cause, null, 1).message,
    /is no honest result$/,
    'without preprocessing nothing is known of the pictures',
  )
  t.match(notHandled(cause, grey(0.13), 1).message, /^The network does not handle this picture, /)
})
