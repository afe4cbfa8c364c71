import t from 'tap'
import { type Evaluated, evaluate } from '../../src/cli/accuracy/evaluate.ts'
import type { ReadImage } from '../../src/cli/accuracy/image-reader.ts'
import type { Place } from '../../src/cli/accuracy/side.ts'
import type { LabelledImage } from '../../src/cli/input/labelled-images.ts'
import { createProgress } from '../../src/cli/output/progress.ts'
import { PolyVeilError } from '../../src/errors/index.ts'

// How often `accuracy` reads images, and which ones it encrypts, with sides that compute nothing.

const progress = createProgress(process.stderr, true)
const LOGITS = Float64Array.of(1, 0)

interface Evaluation {
  /** Numbers of the images that cannot be read. */
  readonly unreadable: readonly number[]
  readonly count: number
  readonly hasClear: boolean
}

interface Seen {
  readonly found: Evaluated
  /** Numbers of images, in the order of reading. */
  readonly clear: readonly number[]
  readonly encrypted: readonly number[]
  readonly places: readonly Place[]
}

/** Evaluates six images, two in a group. */
async function evaluated({ unreadable, count, hasClear }: Evaluation): Promise<Seen> {
  const images = Array.from({ length: 6 }, (_, k) => ({ file: `${k}`, path: `${k}`, truth: 0 }))
  const skipped = new Map<LabelledImage, PolyVeilError>()
  const reads: Record<'clear' | 'encrypted', number[]> = { clear: [], encrypted: [] }
  let isEncrypted = !hasClear
  const reader = {
    skipped,
    async read(image: LabelledImage): Promise<ReadImage | undefined> {
      if (hasClear && reads.clear.length === 6) isEncrypted = true
      reads[isEncrypted ? 'encrypted' : 'clear'].push(Number(image.file))
      if (!unreadable.includes(Number(image.file))) return {} as ReadImage
      skipped.set(image, new PolyVeilError('IMAGE_UNREADABLE', 'damaged'))
      return undefined
    },
  }
  const places: Place[] = []
  const run = async (group: readonly ReadImage[]) => group.map(() => LOGITS)
  const found = await evaluate(
    {
      images,
      reader,
      classes: 2,
      topK: 1,
      ...(hasClear && { clear: { size: 2, run } }),
      count,
      openEncrypted: async () => ({
        name: 'none',
        size: 2,
        run: (group, place) => {
          places.push(place)
          return run(group)
        },
        close: async () => {},
      }),
    },
    progress,
  )
  return { found, ...reads, places }
}

t.test('each side reads an image once, also where images cannot be read', async (t) => {
  const { found, clear, encrypted } = await evaluated({ unreadable: [1, 4], count: 2, hasClear: true })
  t.strictSame(clear.toSorted(), [0, 1, 2, 3, 4, 5])
  t.equal(encrypted.length, 2, 'others are encrypted in the places of those that cannot be read')
  t.match(found, { clear: { images: 4 }, encrypted: { images: 2 }, agreement: { images: 2 } })
  const alone = await evaluated({ unreadable: [1, 4], count: Infinity, hasClear: false })
  t.strictSame(alone.encrypted, [0, 1, 2, 3, 4, 5])
  t.match(alone.found, { encrypted: { images: 4 } })
})

t.test('a side is told which group is the last', async (t) => {
  const { places } = await evaluated({ unreadable: [1, 4, 5], count: Infinity, hasClear: false })
  t.strictSame(places, [
    { first: 0, total: 5, isLast: false },
    { first: 2, total: 3, isLast: true },
  ])
  const even = await evaluated({ unreadable: [4, 5], count: Infinity, hasClear: false })
  t.strictSame(
    even.places.map(({ isLast }) => isLast),
    [false, true],
  )
})

t.test('no keys are made when no image can be read', async (t) => {
  const { found, places } = await evaluated({ unreadable: [0, 1, 2, 3, 4, 5], count: 2, hasClear: false })
  t.strictSame(places, [])
  t.equal(found.encrypted, undefined)
})
