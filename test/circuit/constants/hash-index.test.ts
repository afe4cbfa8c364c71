import t from 'tap'
import { FNV_OFFSET_BASIS, fnv1aStep, HashIndex, mixed } from '../../../src/circuit/constants/hash-index.ts'

/** Adds each number with a hash, and keeps what it stands for. */
function filled(count: number, hashOf: (number: number) => number): HashIndex {
  const index = new HashIndex()
  for (let number = 0; number < count; number++) t.equal(index.add(hashOf(number)), number)
  return index
}

t.test('numbers of one hash are told apart by the caller', async (t) => {
  const index = filled(200, () => 7)
  for (const wanted of [0, 1, 63, 199]) {
    t.equal(
      index.find(7, (number) => number === wanted),
      wanted,
    )
  }
  t.equal(
    index.find(7, () => false),
    undefined,
  )
})

t.test('the caller is asked about numbers of the same hash alone', async (t) => {
  // Hashes whose low words are equal share a place at first.
  const hashOf = (number: number): number => (number * 2 ** 20 + 5) >>> 0
  const index = filled(1000, hashOf)
  const asked: number[] = []
  const found = index.find(hashOf(321), (number) => {
    asked.push(number)
    return true
  })
  t.equal(found, 321)
  t.strictSame(asked, [321])
  t.equal(
    index.find(6, () => true),
    undefined,
  )
})

t.test('the mixed hash is FNV-1a over words, and an unsigned word', async (t) => {
  // FNV-1a of the words 1 and 2 in exact integers.
  let hash = 0x811c9dc5n
  for (const word of [1n, 2n]) hash = ((hash ^ word) * 0x01000193n) & 0xffffffffn
  const words = fnv1aStep(fnv1aStep(FNV_OFFSET_BASIS, 1), 2)
  t.equal(BigInt(words >>> 0), hash)
  const hashes = Array.from({ length: 1000 }, (_, word) => mixed(fnv1aStep(FNV_OFFSET_BASIS, word)))
  t.ok(hashes.every((mix) => Number.isInteger(mix) && mix >= 0 && mix < 2 ** 32))
  t.equal(new Set(hashes).size, 1000)
})
