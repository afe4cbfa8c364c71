import t from 'tap'
import type { Layout } from '../../../src/circuit/types.ts'
import type { Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerRepack } from '../../../src/compiler/lowering/repack.ts'
import { chooseLayout, withStride } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import {
  distinct,
  maxDifference,
  newBuilder,
  packedInput,
  parameters,
  readBack,
  readBackAll,
} from '../harness.ts'

interface Case {
  readonly title: string
  /** Shape before the downsize. */
  readonly map: Shape
  readonly ciphertexts: readonly [before: number, after: number]
  readonly rotations: number
  readonly keys: number
}

const CASES: Case[] = [
  {
    title: 'one lane becomes four, and rows stay in place',
    map: [13, 56, 56],
    ciphertexts: [7, 2],
    // Moves of 2 x + c slots, 0 .. 57, in baby steps of -3 .. 4. An input needs three or four of them,
    // because c is the same for the whole input. Each output has seven giant steps by Horner's rule with one
    // key.
    rotations: 4 * 3 + 3 * 4 + 2 * 7,
    keys: 7 + 1,
  },
  { title: 'four lanes to sixteen', map: [75, 28, 28], ciphertexts: [10, 3], rotations: 52, keys: 6 },
  { title: 'odd map, rows move too', map: [5, 45, 37], ciphertexts: [2, 1], rotations: 17, keys: 8 },
]

/** The layout of every second row and column. */
const halved = (layout: Layout): Layout =>
  withStride(layout, 2, Math.ceil(layout.height / 2), Math.ceil(layout.width / 2))

const everySecond = (tensor: Float64Array, [, height, width]: Shape): Float64Array =>
  tensor.filter((_, i) => (i % width) % 2 === 0 && (Math.floor(i / width) % height) % 2 === 0)

for (const { title, map, ciphertexts, rotations, keys } of CASES) {
  t.test(title, async (t) => {
    const whole = chooseLayout(parameters.slots, map, 2)
    const from = halved(whole)
    const shape: Shape = [from.channels, from.height, from.width]
    const to = chooseLayout(parameters.slots, shape, 1)
    t.same([from.ciphertexts, to.ciphertexts], ciphertexts)

    const builder = newBuilder()
    const input = packedInput(builder, from)
    const output = lowerRepack(builder, { ...input, clean: false }, to, CHAINS, 2 ** 25)
    // Values between the elements must not be moved.
    const tensor = distinct(map[0] * map[1] * map[2])
    const { elements, stray } = readBack(builder, tensor, whole, output)
    t.ok(maxDifference(elements, everySecond(tensor, map)) < 1e-6, 'every element arrives')
    t.ok(stray < 1e-6, 'other slots are zero')
    const rotated = builder.ops.filter((op) => op.kind === 'rotate')
    t.same([rotated.length, new Set(rotated.map(({ steps }) => steps)).size], [rotations, keys])
  })
}

t.test('each image of a batch is repacked', async (t) => {
  const map: Shape = [11, 21, 17]
  const builder = newBuilder(4)
  const { slots } = builder.chain
  const from = halved(chooseLayout(slots, map, 2))
  const to = chooseLayout(slots, [from.channels, from.height, from.width], 1)
  t.ok(to.ciphertexts < from.ciphertexts)
  const output = lowerRepack(builder, packedInput(builder, from), to, CHAINS, 2 ** 25)
  const images = [1, 2, 3, 4].map((seed) => distinct(from.channels * from.height * from.width, seed))
  readBackAll(builder, images, from, output).forEach(({ elements, stray }, b) => {
    t.ok(maxDifference(elements, images[b]) < 1e-9, `image ${b}`)
    t.equal(stray, 0)
  })
})
