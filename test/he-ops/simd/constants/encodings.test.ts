import t from 'tap'
import { Encodings } from '../../../../src/he-ops/simd/constants/encodings.ts'

t.test('added encodings, and only these, are found by constant, scale and form', async (t) => {
  const encodings = new Encodings(3)
  const highest = 2 ** 32 - 64
  encodings.add(0, 2 ** 20, 0, { address: 64, isZero: false })
  encodings.add(0, 2 ** 20, 5, { address: highest, isZero: true })
  encodings.add(0, 1.5, 0, { address: 128, isZero: true })
  encodings.add(2, 2 ** 20, 0, { address: highest, isZero: false })
  t.strictSame(encodings.find(0, 2 ** 20, 0), { address: 64, isZero: false })
  t.strictSame(encodings.find(0, 2 ** 20, 5), { address: highest, isZero: true })
  t.strictSame(encodings.find(0, 1.5, 0), { address: 128, isZero: true })
  t.strictSame(encodings.find(2, 2 ** 20, 0), { address: highest, isZero: false })
  for (const [id, scale, form] of [
    [1, 2 ** 20, 0],
    [0, 1.5, 5],
    [2, 1.5, 0],
    [0, 3, 0],
  ]) {
    t.equal(encodings.find(id, scale, form), undefined)
  }
  encodings.clear()
  t.equal(encodings.find(0, 2 ** 20, 0), undefined)
})

t.test('the table grows beyond its first rows', async (t) => {
  const encodings = new Encodings(5000)
  for (let id = 0; id < 5000; id++) encodings.add(id, id % 3, 1, { address: 16 * id, isZero: id % 2 === 0 })
  const found = Array.from({ length: 5000 }, (_, id) => encodings.find(id, id % 3, 1))
  t.ok(found.every((each, id) => each?.address === 16 * id && each.isZero === (id % 2 === 0)))
})
