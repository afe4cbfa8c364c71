import t from 'tap'
import { fineOf, valuesOf } from '../../src/circuit/constants/constant.ts'
import { partsOf, realOf } from '../../src/circuit/constants/slot-vector.ts'
import {
  areAlike,
  constantForBatch,
  interleaveImages,
  isBatch,
  slotsOfImage,
} from '../../src/circuit/image-batch.ts'
import type { ComplexVector, Constant } from '../../src/circuit/types.ts'

const isAlikeForImages = (constant: Constant, batch: number): boolean =>
  partsOf(fineOf(constant)).every((part) => areAlike(part, batch))

t.test('slot s of image b is slot s * batch + b', async (t) => {
  const images = [0, 1, 2, 3].map((b) => Float64Array.from({ length: 8 }, (_, s) => 100 * b + s))
  const slots = realOf(interleaveImages(images))
  t.equal(slots.length, 32)
  for (const [b, own] of images.entries()) {
    for (const [s, value] of own.entries()) t.equal(slots[s * 4 + b], value)
    t.strictSame(slotsOfImage(slots, 4, b), own)
  }
})

t.test('a constant is repeated for every image, and its factors are stored once', async (t) => {
  const plain = Float64Array.of(1, -2, 3, 5)
  const outer = { fine: Float64Array.of(2, 3), coarse: Float64Array.of(1, 0, -1, 4) }
  for (const constant of [plain, outer]) {
    t.equal(constantForBatch(constant, 1), constant)
    const wide = constantForBatch(constant, 4)
    const values = valuesOf(constant) as Float64Array
    t.strictSame(
      valuesOf(wide),
      Float64Array.from({ length: 4 * values.length }, (_, i) => values[Math.floor(i / 4)]),
    )
    t.ok(isAlikeForImages(wide, 4) && isAlikeForImages(wide, 2))
    t.notOk(isAlikeForImages(wide, 8), 'the number of images is fixed by the conversion')
  }
  t.match(constantForBatch(plain, 4), { coarse: plain })
  t.match(constantForBatch(outer, 4), { coarse: outer.coarse })
})

t.test('a complex constant is repeated for every image', async (t) => {
  const complex = { real: Float64Array.of(1, -2), imaginary: Float64Array.of(3, 5) }
  const outer = { fine: complex, coarse: Float64Array.of(1, -1) }
  for (const constant of [complex, outer]) {
    const wide = constantForBatch(constant, 4)
    for (const part of ['real', 'imaginary'] as const) {
      const values = (valuesOf(constant) as ComplexVector)[part]
      t.strictSame(
        (valuesOf(wide) as ComplexVector)[part],
        Float64Array.from({ length: 4 * values.length }, (_, i) => values[Math.floor(i / 4)]),
      )
    }
    t.ok(isAlikeForImages(wide, 4))
    t.notOk(isAlikeForImages(wide, 8))
  }
  const single = { real: Float64Array.of(1), imaginary: Float64Array.of(2) }
  t.equal(constantForBatch(single, 4), single)
})

t.test('batches are powers of two that divide the slots', async (t) => {
  for (const batch of [1, 2, 64, 4096]) t.ok(isBatch(batch, 4096), String(batch))
  for (const batch of [0, -1, 3, 6, 0.5, 8192, Number.NaN, Infinity])
    t.notOk(isBatch(batch, 4096), String(batch))
})
