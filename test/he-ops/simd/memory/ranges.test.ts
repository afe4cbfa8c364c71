import fc from 'fast-check'
import t from 'tap'
import { ALIGNMENT, aligned, Ranges } from '../../../../src/he-ops/simd/memory/ranges.ts'

/** Allocate this many bytes, or free the range of this number. */
type Step = { readonly allocate: number } | { readonly free: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ allocate: fc.oneof(fc.nat(1000), fc.constantFrom(0, 1, 63, 64, 65, 4096)) }),
    fc.record({ free: fc.nat() }),
  ),
  { maxLength: 120 },
)

interface Range {
  readonly start: number
  readonly end: number
}

/** The first start at which `size` bytes fit between the ranges, by trying all. */
function firstFit(origin: number, live: readonly Range[], size: number): number {
  const fits = (start: number): boolean =>
    live.every((range) => start + size <= range.start || range.end <= start)
  return [origin, ...live.map(({ end }) => end)].sort((a, b) => a - b).find(fits)!
}

/** Ranges compared with a plain list. */
class Model {
  readonly #origin: number
  readonly #ranges: Ranges
  readonly #live: Range[] = []
  #highest: number

  constructor(origin: number) {
    this.#origin = origin
    this.#highest = origin
    this.#ranges = new Ranges(origin)
  }

  allocate(bytes: number): void {
    const size = aligned(bytes)
    const expected = firstFit(this.#origin, this.#live, size)
    const start = this.#ranges.allocate(bytes)
    if (start !== expected) throw new Error(`${start} where ${expected} is free`)
    this.#live.push({ start, end: start + size })
    this.#highest = Math.max(this.#highest, start + size)
    this.#check()
  }

  free(choice: number): void {
    if (this.#live.length === 0) return
    const [{ start }] = this.#live.splice(choice % this.#live.length, 1)
    this.#ranges.free(start)
    this.#check()
  }

  /** One gap is left after all is free, which takes what fills all of it. */
  finish(): void {
    while (this.#live.length > 0) this.free(0)
    if (this.#highest > this.#origin) this.allocate(this.#highest - this.#origin)
  }

  #check(): void {
    const used = this.#live.reduce((sum, { start, end }) => sum + end - start, 0)
    if (this.#ranges.used !== used) throw new Error(`${this.#ranges.used} used, not ${used}`)
    if (this.#ranges.end !== this.#highest) throw new Error(`the end is not ${this.#highest}`)
  }
}

for (const origin of [0, ALIGNMENT, 2 ** 31]) {
  t.test(`from ${origin}: each range is the first that fits, none overlap, gaps are joined`, async () => {
    fc.assert(
      fc.property(steps, (list) => {
        const model = new Model(origin)
        for (const step of list) {
          if ('allocate' in step) model.allocate(step.allocate)
          else model.free(step.free)
        }
        model.finish()
      }),
      { numRuns: 500, seed: 14 },
    )
  })
}

t.test('starts are multiples of a cache line, and even nothing has an address of its own', async (t) => {
  const ranges = new Ranges(0)
  const starts = [0, 1, 64, 65, 0].map((bytes) => ranges.allocate(bytes))
  t.strictSame(starts, [0, 64, 128, 192, 320])
  t.equal(ranges.used, 6 * ALIGNMENT)
})

t.test('the last gap grows when it is too small', async (t) => {
  const ranges = new Ranges(0)
  ranges.allocate(64)
  ranges.free(ranges.allocate(64))
  t.equal(ranges.allocate(640), 64)
  t.equal(ranges.end, 704)
})

t.test('only allocated ranges can be freed, and only once', async (t) => {
  const ranges = new Ranges(0)
  const first = ranges.allocate(128)
  const second = ranges.allocate(128)
  for (const start of [first + 64, second + 128, -64, 1]) {
    t.throws(() => ranges.free(start), { code: 'INTERNAL' }, `free ${start}`)
  }
  ranges.free(first)
  t.throws(() => ranges.free(first), { code: 'INTERNAL' }, 'twice')
  t.equal(ranges.used, 128)
  t.equal(ranges.allocate(128), first, 'a refused free changes nothing')
})
