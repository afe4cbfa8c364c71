import fc from 'fast-check'
import t from 'tap'
import { z } from 'zod'
import { partsOf, realOf } from '../../../src/circuit/constants/slot-vector.ts'
import { isApart, pack, slotOf } from '../../../src/circuit/layout.ts'
import {
  boundedList,
  MAX_LABELS,
  MAX_ROTATIONS,
  MAX_ROUNDS,
  MAX_TENSOR_VALUES,
} from '../../../src/circuit/manifest/bounds.ts'
import { checkLaws } from '../../../src/circuit/manifest/laws.ts'
import { checkManifest, type Manifest, manifestOf } from '../../../src/circuit/manifest/manifest.ts'
import { checkParameters } from '../../../src/circuit/parameters/parameters.ts'
import { memoryKeyStore } from '../../../src/client/keys/key-store.ts'
import { imageSlots, imageTensor } from '../../../src/client/local/input.ts'
import { KeyRing } from '../../../src/client/local/key-ring.ts'
import { LocalModel } from '../../../src/client/local/local-model.ts'
import { PolyVeilError } from '../../../src/errors/index.ts'
import type { Image } from '../../../src/preprocessing/index.ts'
import { complexCircuit, smallCircuit } from '../circuits.ts'
import { forgedManifest, type Loose, sealed } from '../forged.ts'

const manifest = manifestOf(smallCircuit())
const forged = (edit: (content: Loose) => void): Manifest => forgedManifest(manifest, edit)

/** An array that throws when one of its items is read. */
const untouchable = (length: number): unknown[] =>
  new Proxy(new Array(length), {
    get(target, name) {
      if (name === 'length' || typeof name === 'symbol') return Reflect.get(target, name)
      throw new Error(`item ${name} was looked at`)
    },
  })

t.test('the manifest of a circuit is valid', async (t) => {
  t.strictSame(checkManifest(structuredClone(manifest)), manifest)
})

t.test('the manifest of a circuit that conjugates says so, and has the Galois element', async (t) => {
  const conjugating = manifestOf(complexCircuit())
  t.strictSame(checkManifest(structuredClone(conjugating)), conjugating)
  t.equal(conjugating.conjugation, true)
  t.strictSame(conjugating.galoisElements, [manifest.galoisElements[0], 2 * 8192 - 1])
  t.notOk('conjugation' in manifest)
  const edits: [string, (content: Loose) => void, RegExp][] = [
    ['false', (c) => (c.conjugation = false), /malformed at conjugation/],
    ['no element', (c) => c.galoisElements.pop(), /contradicts itself/],
    ['another element', (c) => (c.galoisElements[1] = 3), /conjugation and its Galois element differ/],
    ['the element first', (c) => c.galoisElements.reverse(), /contradicts itself/],
    ['the element of conjugation twice', (c) => c.galoisElements.push(2 * 8192 - 1), /contradicts itself/],
    ['an element without conjugation', (c) => delete c.conjugation, /contradicts itself/],
  ]
  for (const [what, edit, message] of edits) {
    t.throws(
      () => checkManifest(forgedManifest(conjugating, edit)),
      { code: 'CONFIG_INVALID', message },
      what,
    )
  }
})

t.test('a rotation by 2^53 - 1 steps is refused at once', async (t) => {
  for (const steps of [2 ** 53 - 1, 2 ** 32, 4096]) {
    const hostile = forged((content) => {
      content.rotationSteps = [steps]
      content.galoisElements = [3]
    })
    t.throws(() => checkManifest(hostile), { code: 'CONFIG_INVALID', message: /rotation beyond the slots/ })
  }
})

const broken: [law: string, edit: (content: Loose) => void, message: RegExp][] = [
  [
    'rotations ascend',
    (c) => Object.assign(c, { rotationSteps: [7, 7], galoisElements: [12589, 12589] }),
    /ascending/,
  ],
  [
    'rotations ascend from the first on',
    (c) => Object.assign(c, { rotationSteps: [7, 5], galoisElements: [12589, 3125] }),
    /ascending/,
  ],
  [
    'Galois elements are those of the rotations',
    (c) => Object.assign(c, { galoisElements: [5] }),
    /Galois elements differ/,
  ],
  [
    'every rotation has a Galois element',
    (c) => Object.assign(c, { galoisElements: [] }),
    /Galois elements differ/,
  ],
  [
    'the resize yields the size of the image',
    (c) => (c.input.preprocessing.resize.height = 4),
    /does not yield the image/,
  ],
  [
    'a crop lies within the resize',
    (c) => (c.input.preprocessing.resize = { mode: 'shortSide', size: 4, height: 3, width: 5 }),
    /does not yield the image/,
  ],
  [
    'the resize is not larger than the input of any network',
    (c) => (c.input.preprocessing.resize.width = 8000),
    /resize.width/,
  ],
  [
    'the image before a crop has a bounded size',
    (c) => (c.input.preprocessing.resize = { mode: 'shortSide', size: 2 ** 24, height: 3, width: 5 }),
    /resize.size/,
  ],
  ['one mean for each channel', (c) => (c.input.preprocessing.mean = [0.5]), /does not yield the image/],
  [
    'one deviation for each channel',
    (c) => (c.input.preprocessing.std = [0.5, 0.5]),
    /does not yield the image/,
  ],
  [
    'there are at most three deviations',
    (c) => (c.input.preprocessing.std = [1, 1, 1, 1]),
    /preprocessing.std: .*at most 3/,
  ],
  [
    'the channels are those of the preprocessing',
    (c) => (c.input.preprocessing.channels = 'grey'),
    /other channels than the preprocessing/,
  ],
  ['each element has its own slot', (c) => (c.input.layout.rowStride = 2), /one slot/],
  [
    'the image has a bounded size',
    (c) => {
      c.input.patch = 2048
      Object.assign(c.input.layout, {
        channels: 3 * 2048 ** 2,
        height: 1,
        width: 1,
        channelsPerCiphertext: 1,
      })
      c.input.layout.ciphertexts = 3 * 2048 ** 2
    },
    /more than 4194304 values/,
  ],
  [
    'the number of ciphertexts is bounded',
    (c) => {
      c.input.patch = 64
      Object.assign(c.input.layout, { channels: 3 * 64 ** 2, height: 1, width: 1, channelsPerCiphertext: 1 })
      c.input.layout.ciphertexts = 3 * 64 ** 2
    },
    /more than 4194304 values/,
  ],
  ['the bound is at least that of tensors', (c) => (c.input.bound = 5.9), /bounded below 6/],
  ['every picture is within the bound', (c) => (c.input.preprocessing.std[0] = 0.01), /beyond the bound/],
  [
    'every picture is within the bound for any mean',
    (c) => (c.input.preprocessing.mean[1] = -3),
    /beyond the bound/,
  ],
  [
    'every picture is within the bound for any deviation',
    (c) => (c.input.preprocessing.std[2] = 2 ** -64),
    /beyond the bound/,
  ],
  [
    'the input scale leaves room for the rounding of node-seal’s encoder',
    (c) => (c.input.scale = 2 ** 115.9),
    /scale of the input/,
  ],
  ['the input scale is within the modulus', (c) => (c.input.scale = 2 ** 118), /scale of the input/],
  ['the output scale is within the modulus', (c) => (c.output.scale = 2 ** 45), /scale of the output/],
  [
    'logits are rounded at least as coarsely as the tolerated noise',
    (c) => (c.output.precision = 2 ** -7),
    /rounded more finely/,
  ],
  ['the precision is a power of two', (c) => (c.output.precision = 0.3), /no power of two/],
  ['the precision is not below the noise', (c) => (c.output.precision = 2 ** -60), /less than their noise/],
  [
    'the precision is not above the bound of logits',
    (c) => (c.output.precision = 2 ** 900),
    /more than their bound/,
  ],
  ['labels are bounded', (c) => (c.labels = Array(MAX_LABELS + 1).fill('')), /labels: .*at most 100000/],
  [
    'rotations are bounded',
    (c) => (c.rotationSteps = Array(MAX_ROTATIONS + 1).fill(1)),
    /rotationSteps: .*at most 32767/,
  ],
  ['rounds are bounded', (c) => Object.assign(c, { rounds: MAX_ROUNDS + 1 }), /rounds/],
  [
    'primes are bounded',
    (c) => (c.parameters.primes = Array(97).fill('1')),
    /parameters.primes: .*at most 96/,
  ],
  ['refreshes have rounds', (c) => (c.refresh = { level: 0, ciphertexts: [] }), /refreshes do not fit/],
  [
    'the message shortens a long field name',
    (c) => (c['\u001b[2J'.repeat(1e5)] = 1),
    /^The manifest is malformed at .{0,210}$/,
  ],
]

for (const [law, edit, message] of broken) {
  t.test(`law: ${law}`, async (t) => {
    t.throws(() => checkManifest(forged(edit)), { code: 'CONFIG_INVALID', message })
  })
}

t.test('a list that is too long is refused before its items are read', async (t) => {
  const schema = boundedList(z.number(), 3)
  t.strictSame(schema.parse([1, 2, 3]), [1, 2, 3])
  t.notOk(schema.safeParse(untouchable(4)).success)
  t.notOk(schema.safeParse('123').success)
})

t.test('a list is read up to its first wrong item', async (t) => {
  const schema = boundedList(boundedList(z.number(), 2_000_000), 3)
  const { error } = schema.safeParse([[1], new Array(2_000_000).fill('x')])
  t.strictSame(
    error?.issues.map(({ path }) => path),
    [[1, 0]],
  )
})

t.test('laws are checked in order, up to the first broken one', async (t) => {
  const { digest: _, ...content } = manifest
  const hostile = { ...content, batch: 3, rotationSteps: untouchable(1), galoisElements: untouchable(1) }
  t.throws(() => checkLaws(hostile as never, checkParameters(content.parameters)), {
    code: 'CONFIG_INVALID',
    message: /batch does not divide/,
  })
})

t.test('`isApart` is true exactly if no two elements of a layout share a slot', async () => {
  const size = fc.integer({ min: 1, max: 6 })
  fc.assert(
    fc.property(size, size, size, size, (height, width, rowStride, columnStride) => {
      const layout = { ...manifest.input.layout, height, width, rowStride, columnStride }
      const slots = new Set<number>()
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) slots.add(slotOf(layout, 0, y, x))
      return isApart(layout) === (slots.size === height * width)
    }),
    { numRuns: 2000 },
  )
})

t.test('the number and size of primes are checked before their primality', async (t) => {
  const { ring, primes } = manifest.parameters
  const many = Array(1_000_000).fill(primes[0])
  t.throws(() => checkParameters({ ring, primes: many, specialPrimes: primes.slice(1, 2) }), {
    message: /primes are more than 96/,
  })
  t.throws(() => checkParameters({ ring, primes: [primes[0], primes[0]], specialPrimes: [primes[1]] }), {
    message: /not distinct/,
  })
  // These numbers are all composite, and congruent to 1. Their size is checked first.
  const composites = Array.from({ length: 63 }, (_, i) => String(16385n * (16384n * BigInt(i + 1) + 1n)))
  t.throws(() => checkParameters({ ring, primes: composites, specialPrimes: ['16385'] }), {
    code: 'SECURITY_TOO_LOW',
  })
  t.throws(() => checkParameters({ ring, primes: ['16385'], specialPrimes: [primes[1]] }), {
    message: '16385 is not prime',
  })
})

/** Numbers with which an attacker would look for a missing bound. */
const hostileNumber = fc.oneof(
  fc.constantFrom(0, 1, -1, 0.5, 2, 3, 64, 4096, 8192, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 1e300, 5e-324),
  fc.integer(),
  fc.double(),
)
const hostile = fc.oneof(
  hostileNumber,
  fc.array(hostileNumber, { maxLength: 5 }),
  fc.constantFrom(null, true, '', '\u001b]0;x\u0007', 'grey', {}, [], [[]], { __proto__: null }),
  fc.jsonValue(),
)

/** The paths of all fields of a manifest. */
function pathsOf(value: Loose): string[][] {
  if (value === null || typeof value !== 'object') return [[]]
  return [[], ...Object.keys(value).flatMap((key) => pathsOf(value[key]).map((rest) => [key, ...rest]))]
}

const { digest: _digest, ...content } = manifest
const places = pathsOf(content).filter(({ length }) => length > 0)

const edits = fc.array(fc.tuple(fc.constantFrom(...places), hostile), { minLength: 1, maxLength: 4 })

function edited(changes: readonly (readonly [path: string[], value: unknown])[]): Loose {
  const changed: Loose = structuredClone(content)
  for (const [path, value] of changes) {
    const parent = path.slice(0, -1).reduce((place, key) => place?.[key], changed)
    // The value is copied, because later edits may change it.
    if (parent !== null && typeof parent === 'object') parent[path.at(-1)!] = structuredClone(value)
  }
  return changed
}

/** Pictures with every value that a preprocessing may yield. */
const pictures: Image[] = [0, 255].map((value) => ({
  width: 4,
  height: 3,
  channels: 3,
  data: new Uint8Array(36).fill(value),
}))
pictures.push({
  width: 2,
  height: 7,
  channels: 1,
  data: Uint8Array.from({ length: 14 }, (_, i) => (i % 3) * 127),
})

/** The model of a manifest, or undefined when it is refused. @throws errors that are not a PolyVeilError */
function modelOf(data: unknown): LocalModel | undefined {
  try {
    return new LocalModel(data, new KeyRing(memoryKeyStore()))
  } catch (error) {
    if (error instanceof PolyVeilError) return undefined
    throw error
  }
}

t.test('any manifest is either refused with a PolyVeilError or accepts every picture', async (t) => {
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(edits, async (changes) => {
      const began = performance.now()
      const model = modelOf(sealed(edited(changes)))
      // This takes milliseconds; the limit leaves room for a busy machine.
      if (performance.now() - began > 5000) throw new Error('it took too long')
      // Models without preprocessing take no pictures.
      if (model === undefined || model.manifest.input.preprocessing === null) return
      accepted++
      const { input, batch } = model.manifest
      const { slots } = model.parameters
      for (const picture of pictures) {
        const { tensor } = await imageTensor(picture, input)
        const vectors = imageSlots(tensor, input, slots / batch)
        if (vectors.some((vector) => realOf(vector).length !== slots / batch))
          throw new Error('a slot out of range')
      }
    }),
    { numRuns: 3000 },
  )
  // About 25 manifests are accepted by chance. A few are enough to show that the test reaches pictures.
  t.ok(accepted > 5, `${accepted} manifests were accepted`)
})

t.test('the elements of an accepted layout have different slots', async (t) => {
  const { input } = manifest
  const { channels, height, width } = input.layout
  const tensor = Float64Array.from({ length: channels * height * width }, (_, i) => i + 1)
  const values = pack(input.layout, tensor, 4096).flatMap((vector) =>
    partsOf(vector)
      .flatMap((part) => [...part])
      .filter((value) => value > 0),
  )
  t.strictSame(
    values.sort((a, b) => a - b),
    [...tensor],
  )
  t.ok(MAX_TENSOR_VALUES >= 3 * 224 * 224, 'the limit leaves room for images of 224 x 224')
})

t.test('numbers so large or small that an encoder gives infinities are refused', async (t) => {
  const edits: [field: RegExp, edit: (content: Loose) => void][] = [
    [/input\.bound/, (c) => (c.input.bound = 2 ** 65)],
    [/output\.bound/, (c) => (c.output.bound = 1e300)],
    [/input\.scale/, (c) => (c.input.scale = 1e-300)],
    [/output\.scale/, (c) => (c.output.scale = 0.5)],
    [/std/, (c) => (c.input.preprocessing.std[0] = 1e-307)],
    [/mean/, (c) => (c.input.preprocessing.mean[0] = -1e300)],
  ]
  for (const [field, edit] of edits) {
    t.throws(() => checkManifest(forged(edit)), { code: 'CONFIG_INVALID', message: field }, `${field}`)
  }
})
