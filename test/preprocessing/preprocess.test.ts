import { readFileSync } from 'node:fs'
import t from 'tap'
import { architecture, bundledNetworks } from '../../src/models/index.ts'
import { bicubic } from '../../src/preprocessing/bicubic.ts'
import { bilinear } from '../../src/preprocessing/bilinear.ts'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import {
  type Image,
  largestYield,
  networkInput,
  type Preprocessing,
  preprocess,
} from '../../src/preprocessing/index.ts'
import { resample } from '../../src/preprocessing/resample.ts'
import { goldenFile, goldenTensors, item, maxAbsDifference } from '../models/support/golden.ts'

const picture = await decodeImage(readFileSync(goldenFile('preprocess.png')))
const golden = await goldenTensors('preprocess')

/** An 8-bit step is about 0.017 after normalisation. The bound is below a step. */
const EXACT = 1e-6

/** A preprocessing that keeps pixels: no resize, values 0 to 255. */
const plain = (channels: 'rgb' | 'grey', height: number, width: number): Preprocessing => ({
  channels,
  resize: { mode: 'squash', height, width },
  interpolation: 'bicubic',
  mean: channels === 'grey' ? [0] : [0, 0, 0],
  std: channels === 'grey' ? [1 / 255] : [1 / 255, 1 / 255, 1 / 255],
})

const image = (width: number, height: number, channels: 1 | 3 | 4, samples: number[]): Image => ({
  width,
  height,
  channels,
  data: Uint8Array.from(samples),
})

const rounded = (tensor: Float64Array): number[] => [...tensor].map((x) => Math.round(x * 1e9) / 1e9)

t.test('ImageNet preprocessing equals PIL and torchvision to the 8-bit step', async (t) => {
  const { tensor, shape } = preprocess(picture, architecture('cpolynext-t').preprocessing)
  t.same(shape, [3, 224, 224])
  t.ok(maxAbsDifference(tensor, golden.get('imagenet')!.data) < EXACT)
})

t.test('low-resolution preprocessing equals PIL', async (t) => {
  const side = picture.height
  const left = Buffer.concat(
    Array.from({ length: side }, (_, y) =>
      picture.data.subarray(3 * y * picture.width, 3 * (y * picture.width + side)),
    ),
  )
  const square: Image = { width: side, height: side, channels: 3, data: left }
  const { tensor } = preprocess(square, architecture('lowres').preprocessing)
  t.ok(maxAbsDifference(tensor, golden.get('lowres_of_left_square')!.data) < EXACT)
})

t.test('bilinear resize equals torch, on test images recovered from the golden inputs', async (t) => {
  for (const { name, config } of bundledNetworks()) {
    const inputs = (await goldenTensors(`${name}_one`)).get('input')!
    const [mean] = config.preprocessing.mean
    const [std] = config.preprocessing.std
    for (let k = 0; k < inputs.shape[0]; k++) {
      const expected = item(inputs, k).data
      const small = halved(expected.subarray(0, 56 * 56), 56).map((x) => (x * std + mean) * 255)
      const bytes = small.map(Math.round)
      t.ok(maxAbsDifference(bytes, small) < 0.01, 'the recovered pixels are whole numbers')
      const found = networkInput(preprocess(image(28, 28, 1, bytes), config.preprocessing))
      t.ok(maxAbsDifference(found, expected) < 1e-5, `${name} ${k}`)
    }
  }
})

/**
 * Inverts a doubling with half-pixel centres. The two outputs between inputs a and b are 3a/4 + b/4 and a/4 +
 * 3b/4, so a is (3 first - second) / 2. The last input is the last output.
 */
function halved(map: Float32Array, size: number): number[] {
  const half = size / 2
  const line = (values: number[]): number[] =>
    Array.from({ length: half }, (_, i) =>
      i === half - 1 ? values[size - 1] : (3 * values[2 * i + 1] - values[2 * i + 2]) / 2,
    )
  const rows = Array.from({ length: size }, (_, y) => line([...map.subarray(y * size, (y + 1) * size)]))
  const columns = Array.from({ length: half }, (_, x) => line(rows.map((row) => row[x])))
  return Array.from({ length: half * half }, (_, i) => columns[i % half][Math.floor(i / half)])
}

t.test('bilinear resizes computed by hand: 2 x 1 to 5 x 1, 3 x 1 to 2 x 1', async (t) => {
  const resize = (samples: number[], width: number): number[] => {
    const spec: Preprocessing = { ...plain('grey', 1, width), interpolation: 'bilinear' }
    return rounded(preprocess(image(samples.length, 1, 1, samples), spec).tensor)
  }
  // Centres at (x + 1/2) * 2/5 - 1/2 = -0.3, 0.1, 0.5, 0.9, 1.3.
  t.same(resize([10, 110], 5), [10, 20, 60, 100, 110])
  // The centres are 0.25 and 1.75; there is no antialias.
  t.same(resize([0, 40, 200], 2), [10, 160])
})

t.test('bicubic resizes computed by hand: a constant stays, an edge overshoots and is clipped', async (t) => {
  const constant = preprocess(image(5, 3, 1, Array(15).fill(201)), plain('grey', 7, 11))
  t.ok(constant.tensor.every((x) => Math.abs(x - 201) < 1e-9))
  const edge = preprocess(image(6, 1, 1, [0, 0, 0, 255, 255, 255]), plain('grey', 1, 12)).tensor
  t.same(rounded(edge).slice(0, 4), [0, 0, 0, 0])
  t.ok(edge.every((x) => x > -1e-9 && x < 255 + 1e-9))
  // PIL's kernel with a = -1/2 at 1/4 and 3/4 from the samples: -9/128, 111/128, 29/128, -3/128.
  const ramp = preprocess(image(6, 1, 1, [0, 0, 0, 128, 128, 128]), plain('grey', 1, 12)).tensor
  t.same(rounded(ramp).slice(4, 8), [0, 26, 102, 137])
})

t.test('the short side is resized and the centre cropped, without confusing rows and columns', async (t) => {
  const samples = Array.from({ length: 6 * 3 }, (_, i) => 10 * Math.floor(i / 6) + (i % 6))
  const spec = (size: number, height: number, width: number): Preprocessing => ({
    ...plain('grey', height, width),
    resize: { mode: 'shortSide', size, height, width },
  })
  // Margins are rounded as by Python's round: 1.5 to the even 2, and 0.5 to 0.
  const crop = preprocess(image(6, 3, 1, samples), spec(3, 2, 3))
  t.same(crop.shape, [1, 2, 3])
  t.same(rounded(crop.tensor), [2, 3, 4, 12, 13, 14])
  t.throws(() => preprocess(image(6, 3, 1, samples), spec(3, 4, 3)), { code: 'CONFIG_INVALID' })
})

t.test('colour images are converted to grey', async (t) => {
  const rgb = image(2, 1, 3, [255, 0, 0, 10, 200, 30])
  t.same(rounded(preprocess(rgb, plain('rgb', 1, 2)).tensor), [255, 10, 0, 200, 0, 30])
  // ITU-R 601: 0.299 R + 0.587 G + 0.114 B.
  t.same(rounded(preprocess(rgb, plain('grey', 1, 2)).tensor), [76, 124])
  const grey = image(2, 1, 1, [7, 250])
  t.same(rounded(preprocess(grey, plain('rgb', 1, 2)).tensor), [7, 250, 7, 250, 7, 250])
  const rgba = image(2, 1, 4, [100, 50, 0, 0, 100, 50, 0, 128])
  t.same(rounded(preprocess(rgba, plain('rgb', 1, 2)).tensor), [255, 177, 255, 152, 255, 127])
})

t.test('a grey tensor replaces three equal channels', async (t) => {
  const small = preprocess(image(2, 1, 1, [7, 250]), plain('grey', 1, 2))
  t.same(small.shape, [1, 1, 2])
  t.same(rounded(networkInput(small)), [7, 250, 7, 250, 7, 250])
  const colour = preprocess(image(1, 1, 3, [1, 2, 3]), plain('rgb', 1, 1))
  t.equal(networkInput(colour), colour.tensor)
})

t.test('malformed images are refused', async (t) => {
  const spec = plain('grey', 1, 1)
  for (const [width, height, channels, samples] of [
    [2, 2, 1, 3],
    [0, 2, 1, 0],
    [-2, -2, 1, 4],
    [1.5, 2, 1, 3],
    [1, 1, 2, 2],
    [2 ** 20, 1, 1, 2 ** 20],
  ]) {
    const data = new Uint8Array(samples)
    const bad = { width, height, channels, data } as Image
    t.throws(() => preprocess(bad, spec), { code: 'IMAGE_UNREADABLE' })
  }
})

t.test('the cost of a long image is that of its centre', async (t) => {
  const [width, height] = [1, 2 ** 15]
  const data = Uint8Array.from({ length: width * height }, (_, y) => y % 251)
  const spec = architecture('cpolynext-t').preprocessing
  const { tensor } = preprocess({ width, height, channels: 1, data }, spec)
  t.equal(tensor.length, 3 * 224 * 224)
  // With a resize by 232, the centre depends on the two samples around the middle.
  const middle = spec.mean[0] + spec.std[0] * tensor[112 * 224]
  t.ok(Math.abs(255 * middle - data[height / 2]) < 2)
})

/** Reproducible pseudo-random values. */
const noise = (length: number): number[] =>
  Array.from({ length }, (_, i) => Math.floor(256 * Math.abs(Math.sin(i * i + 1))))

t.test('a crop equals that part of the whole resized image, bit for bit', async (t) => {
  for (const interpolation of ['bicubic', 'bilinear'] as const) {
    for (const [width, height, size] of [
      [13, 9, 6],
      [9, 13, 24],
      [40, 7, 7],
    ]) {
      const picture = image(width, height, 1, noise(width * height))
      const [h, w] =
        width <= height
          ? [Math.trunc((size * height) / width), size]
          : [size, Math.trunc((size * width) / height)]
      const spec = { ...plain('grey', 5, 4), interpolation }
      const whole = preprocess(picture, { ...spec, resize: { mode: 'squash', height: h, width: w } }).tensor
      const cut = preprocess(picture, {
        ...spec,
        resize: { mode: 'shortSide', size, height: 5, width: 4 },
      }).tensor
      const half = (x: number): number => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x))
      const [top, left] = [half((h - 5) / 2), half((w - 4) / 2)]
      const expected = Array.from(
        { length: 20 },
        (_, i) => whole[(top + Math.floor(i / 4)) * w + left + (i % 4)],
      )
      t.strictSame([...cut], expected, `${interpolation}, ${width} x ${height} to ${size}`)
    }
  }
})

t.test('the cost of a crop does not depend on the size of the resized image', async (t) => {
  const source = { width: 100, height: 3, data: Uint8Array.from(noise(300)) }
  const span = { size: 2 ** 40, first: 2 ** 39, count: 4 }
  for (const method of [bicubic, bilinear]) {
    const { data } = resample(source, span, span, method)
    t.equal(data.length, 16)
    // All columns lie at the midpoint of the two middle columns of the source, or just right of it.
    t.ok(data.every((value) => value >= 0 && value <= 255 && Math.abs(value - data[0]) <= 1))
  }
})

t.test('every picture is within the bound of its preprocessing', async (t) => {
  const ends = [0, 255].map((value) => image(7, 5, 3, Array(105).fill(value)))
  const edges = [
    ...ends,
    image(
      7,
      5,
      3,
      noise(105).map((value) => (value > 127 ? 255 : 0)),
    ),
  ]
  for (const interpolation of ['bicubic', 'bilinear'] as const) {
    for (const [height, width] of [
      [3, 3],
      [11, 16],
      [37, 29],
    ]) {
      const spec: Preprocessing = {
        ...architecture('cpolynext-t').preprocessing,
        interpolation,
        resize: { mode: 'squash', height, width },
      }
      const most = largestYield(spec)
      const largest = edges.map((picture) => Math.max(...preprocess(picture, spec).tensor.map(Math.abs)))
      t.ok(largest.every((value) => value <= most))
      t.equal(Math.max(...largest), most, 'the bound is reached')
    }
  }
})
