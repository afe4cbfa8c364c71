import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { decodeImage } from '../../src/preprocessing/decode-node.ts'
import { type Image, type Preprocessing, preprocess } from '../../src/preprocessing/index.ts'

// Decoding and resizing, compared with PIL, torch and torchvision. test/preprocessing/pictures/make.py
// records their results. Where our result should differ from PIL's default, the script makes PIL follow
// docs/preprocessing.md.

interface Expected {
  readonly specs: readonly Pick<Preprocessing, 'channels' | 'interpolation' | 'resize'>[]
  readonly pictures: Readonly<Record<string, ExpectedPicture>>
}

interface ExpectedPicture {
  readonly width: number
  readonly height: number
  /** RGB bytes, base64. */
  readonly pixels: string
  /**
   * For each of `specs` the resized channels in base64: bytes of a bicubic resize, float32 of a bilinear one;
   * null if torch was missing.
   */
  readonly resized: readonly (string | null)[]
}

const FOLDER = fileURLToPath(new URL('pictures/', import.meta.url))
const expected: Expected = JSON.parse(readFileSync(`${FOLDER}expected.json`, 'utf8'))

/** PIL and sharp have different versions of littlecms, whose sums differ in the last place. */
const PROFILE_STEPS = 1
/** In 8-bit steps. torch computes positions along a line of up to 100 samples in float32. */
const FLOAT_ERROR = 1e-3

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const floats = (text: string): Float32Array => new Float32Array(bytes(text).buffer)
const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length
    ? Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0)
    : Infinity

/** A spec whose tensor has values from 0 to 255. */
const scaled = (spec: Expected['specs'][number]): Preprocessing => {
  const channels = spec.channels === 'grey' ? 1 : 3
  return { ...spec, mean: Array(channels).fill(0), std: Array(channels).fill(1 / 255) }
}

/** A decoded image in RGB on a white background. */
function flat(image: Image): Uint8Array {
  const { width, height } = image
  const resize = { mode: 'squash', height, width } as const
  const { tensor } = preprocess(image, scaled({ channels: 'rgb', interpolation: 'bicubic', resize }))
  const area = width * height
  return Uint8Array.from({ length: 3 * area }, (_, i) =>
    Math.round(tensor[(i % 3) * area + Math.floor(i / 3)]),
  )
}

const pictures = Object.entries(expected.pictures)
const decoded = new Map<string, Image>()
for (const [name] of pictures) decoded.set(name, await decodeImage(readFileSync(FOLDER + name)))

t.test('pictures of every kind are decoded as in PIL', async (t) => {
  for (const [name, { width, height, pixels }] of pictures) {
    const image = decoded.get(name)!
    t.match(image, { width, height }, `${name}: size`)
    const allowed = name.startsWith('wide-gamut') ? PROFILE_STEPS : 0
    const difference = largestDifference(flat(image), bytes(pixels))
    t.ok(difference <= allowed, `${name}: largest difference ${difference}`)
  }
})

t.test('resizes and crops agree with PIL, torch and torchvision', async (t) => {
  let compared = 0
  for (const [name, { width, height, pixels, resized }] of pictures) {
    // The input is PIL's pixels, so that a difference of decoders does not count twice.
    const image: Image = { width, height, channels: 3, data: bytes(pixels) }
    for (const [k, spec] of expected.specs.entries()) {
      const text = resized[k]
      if (text === null) return t.fail(`${name}: made without torch`)
      const { tensor } = preprocess(image, scaled(spec))
      const title = `${name}: ${spec.channels} ${spec.interpolation} ${JSON.stringify(spec.resize)}`
      if (spec.interpolation === 'bicubic') {
        t.ok(largestDifference(tensor, bytes(text)) < 1e-9, title)
      } else {
        const difference = largestDifference(tensor, floats(text))
        t.ok(difference < FLOAT_ERROR, `${title}: ${difference}`)
      }
      compared++
    }
  }
  t.equal(compared, pictures.length * expected.specs.length)
  t.ok(compared >= 200, `${compared} comparisons`)
})

const NO_PYTHON =
  'There is no Python with PIL and numpy: install python3-pil and python3-numpy, or name one in PYTHON'
const python = findPython()

t.test(
  'PIL on this machine gives the recorded results',
  { skip: python === undefined && NO_PYTHON },
  async (t) => {
    const output = execFileSync(python!, [`${FOLDER}make.py`, 'expect'], {
      maxBuffer: 2 ** 26,
      encoding: 'utf8',
    })
    const now: Expected = JSON.parse(output)
    t.strictSame(now.specs, expected.specs)
    for (const [name, was] of pictures) sameExpectation(t, name, now.pictures[name], was)
  },
)

function sameExpectation(t: Test, name: string, now: ExpectedPicture, was: ExpectedPicture): void {
  t.match(now, { width: was.width, height: was.height }, `${name}: size`)
  const allowed = name.startsWith('wide-gamut') ? PROFILE_STEPS : 0
  t.ok(largestDifference(bytes(now.pixels), bytes(was.pixels)) <= allowed, `${name}: pixels`)
  // Resizes of different pixels differ, too.
  if (now.pixels !== was.pixels) return
  for (const [k, spec] of expected.specs.entries()) {
    const text = now.resized[k]
    if (spec.interpolation === 'bicubic') t.equal(text, was.resized[k], `${name}: resize ${k}`)
    else if (text !== null) {
      t.ok(largestDifference(floats(text), floats(was.resized[k]!)) < FLOAT_ERROR, `${name}: resize ${k}`)
    }
  }
}

/** A Python with PIL and numpy: the one that PYTHON names, Debian's, or the first on the path. */
function findPython(): string | undefined {
  const candidates = [process.env.PYTHON, '/usr/bin/python3', 'python3']
  return candidates.find((command) => {
    if (!command) return false
    try {
      execFileSync(command, ['-c', 'import PIL, numpy'], { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  })
}
