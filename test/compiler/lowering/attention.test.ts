import t from 'tap'
import { realOf } from '../../../src/circuit/constants/slot-vector.ts'
import { interleaveImages, slotsOfImage } from '../../../src/circuit/image-batch.ts'
import { pack, unpack } from '../../../src/circuit/layout.ts'
import type { Layout, SlotVector } from '../../../src/circuit/types.ts'
import { headProducts, weightedValues } from '../../../src/compiler/graph/attention.ts'
import type { NodeOf, Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerAttend } from '../../../src/compiler/lowering/attention/attend.ts'
import { type Diagonals, diagonalsOf } from '../../../src/compiler/lowering/attention/diagonals.ts'
import { lowerScores } from '../../../src/compiler/lowering/attention/scores.ts'
import type { CircuitBuilder } from '../../../src/compiler/lowering/builder/circuit-builder.ts'
import type { Packed } from '../../../src/compiler/lowering/packed.ts'
import type { RotationStrategy } from '../../../src/compiler/lowering/strategy.ts'
import { chooseLayout, withChannels, withStride } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import { distinct, maxDifference, newBuilder, run } from '../harness.ts'
import { type Heads, scorePlaces, scoresFrom } from './score-places.ts'

// The two products of attention against matrices, on the clear backend.

const DIRECT: RotationStrategy = { ...CHAINS, babySteps: 'direct', giantSteps: 'direct' }
const MASK_SCALE = 2 ** 10

interface Case extends Heads {
  readonly title: string
  /** Images that share 4096 slots; fewer slots for one image make fewer lanes. */
  readonly batch?: number
  /** Distance between the positions of the map. */
  readonly stride?: number
  readonly strategy?: RotationStrategy
  readonly expected: Pick<Diagonals, 'heads' | 'block' | 'span' | 'lanes'> & {
    readonly ciphertexts: number
    readonly groups: number
  }
}

const CASES: readonly Case[] = [
  {
    title: '14 x 14 positions, a head in each ciphertext',
    ...{ heads: 3, channels: 32, height: 14, width: 14 },
    expected: { heads: 1, block: 16, span: 1, lanes: 16, ciphertexts: 3, groups: 16 },
  },
  {
    title: '7 x 7 positions, five heads in two ciphertexts',
    ...{ heads: 5, channels: 32, height: 7, width: 7, strategy: DIRECT },
    expected: { heads: 3, block: 16, span: 1, lanes: 16, ciphertexts: 2, groups: 4 },
  },
  {
    title: 'a map that is not square',
    ...{ heads: 3, channels: 8, height: 3, width: 5 },
    expected: { heads: 3, block: 4, span: 1, lanes: 4, ciphertexts: 1, groups: 4 },
  },
  {
    title: 'fewer positions than lanes of a head',
    ...{ heads: 2, channels: 32, height: 2, width: 2 },
    expected: { heads: 2, block: 16, span: 1, lanes: 4, ciphertexts: 1, groups: 1 },
  },
  {
    title: 'one row, and heads of two channels',
    ...{ heads: 3, channels: 2, height: 1, width: 6, strategy: DIRECT },
    expected: { heads: 3, block: 1, span: 1, lanes: 1, ciphertexts: 1, groups: 8 },
  },
  {
    title: 'a head in several ciphertexts',
    ...{ heads: 2, channels: 16, height: 7, width: 8, batch: 16 },
    expected: { heads: 1, block: 4, span: 2, lanes: 4, ciphertexts: 4, groups: 16 },
  },
  {
    title: 'positions with gaps, some distances of which occur nowhere',
    ...{ heads: 1, channels: 8, height: 4, width: 3, stride: 4 },
    expected: { heads: 1, block: 4, span: 1, lanes: 4, ciphertexts: 1, groups: 8 },
  },
]

/** The layout of query, key and value. */
function layoutOf({ heads, channels, height, width, stride = 1 }: Case, slots: number): Layout {
  const shape: Shape = [1, height * stride, width * stride]
  return withChannels(
    withStride(chooseLayout(slots, shape, 0), stride, height, width),
    heads * channels,
    channels,
  )
}

const base = ({ heads, height, width }: Case) => ({
  name: 'attention',
  heads,
  shape: [heads * height * width, height, width] as Shape,
  left: 0,
  right: 0,
})

/** Inputs of several tensors of one layout. */
function inputs(builder: CircuitBuilder, layout: Layout, count: number): Packed[] {
  return Array.from({ length: count }, (_, tensor) => ({
    layout,
    values: Array.from({ length: layout.ciphertexts }, (_, i) =>
      builder.input(tensor * layout.ciphertexts + i),
    ),
    clean: true,
  }))
}

/** Runs the operations for a batch of equal images. @returns slots of one of them */
function runBatch(builder: CircuitBuilder, inputs: readonly SlotVector[], values: readonly number[]) {
  const { batch } = builder
  const slots = inputs.map((own) => interleaveImages(Array.from({ length: batch }, () => own)))
  return run(builder, slots, values).map((own) => slotsOfImage(own, batch, batch - 1))
}

for (const own of CASES) {
  const { title, heads, channels, height, width, batch = 1, strategy = CHAINS, expected } = own
  const area = height * width
  const size = heads * channels * area

  const prepared = () => {
    const builder = newBuilder(batch)
    const layout = layoutOf(own, builder.chain.slots)
    const diagonals = diagonalsOf(layout, channels, builder.chain.slots)
    const moves = { builder, strategy, diagonals, maskScale: MASK_SCALE }
    return { builder, layout, diagonals, moves }
  }

  t.test(`${title}: scores`, async (t) => {
    const { builder, layout, diagonals, moves } = prepared()
    const { block, span, lanes, groups, heads: together } = diagonals
    t.strictSame(
      { heads: together, block, span, lanes, ciphertexts: layout.ciphertexts, groups: groups.length },
      expected,
    )
    const [query, key] = [distinct(size), distinct(size, 2)]
    const [q, k] = inputs(builder, layout, 2)
    const node: NodeOf<'scores'> = { ...base(own), kind: 'scores', gain: 1 / 8, offset: 0.75 }
    const packed = lowerScores(moves, q, k, node)
    t.equal(packed.values.length, packed.layout.ciphertexts)
    const slots = [query, key].flatMap((tensor) => pack(layout, tensor, builder.chain.slots))
    const all = runBatch(builder, slots, packed.values).map(realOf)
    const found = scoresFrom(all, own, layout)
    const products = headProducts(query, key, heads, area).map((x) => x / 8 + 0.75)
    t.ok(maxDifference(found, products) < 1e-9, String(maxDifference(found, products)))
  })

  t.test(`${title}: weighted values`, async (t) => {
    const { builder, layout, diagonals, moves } = prepared()
    const [scores, value] = [distinct(heads * area * area), distinct(size, 3)]
    const ciphertexts = (layout.ciphertexts / diagonals.span) * diagonals.groups.length
    const [v] = inputs(builder, layout, 1)
    const weights: Packed = {
      layout: { ...layout, parts: 1, ciphertexts },
      values: Array.from({ length: ciphertexts }, (_, i) => builder.input(layout.ciphertexts + i)),
      clean: false,
    }
    // Slots of pairs outside the map have values, too.
    const slots = Array.from({ length: ciphertexts }, (_, i) => distinct(builder.chain.slots, 10 + i))
    for (const { index, ciphertext, slot } of scorePlaces(own, layout, builder.chain.slots)) {
      slots[ciphertext][slot] = scores[index]
    }
    const node: NodeOf<'attend'> = { ...base(own), kind: 'attend', gain: 1 / 4 }
    const packed = lowerAttend(moves, weights, v, node)
    const given = [...pack(layout, value, builder.chain.slots), ...slots]
    const found = unpack(layout, runBatch(builder, given, packed.values))
    const sums = weightedValues(scores, value, heads, area).map((x) => x / 4)
    t.ok(maxDifference(found, sums) < 1e-9, String(maxDifference(found, sums)))
  })
}

/** Operations of a kind in a circuit. */
const count = ({ ops }: CircuitBuilder, kind: string): number => ops.filter((op) => op.kind === kind).length

// docs/attention.md has these numbers for a ciphertext of the query.
const KNOWN = [
  { own: CASES[0], rotations: 342, conjugations: 17, products: 512, relinearisations: 80 },
  { own: CASES[1], rotations: 214, conjugations: 5, products: 128, relinearisations: 36 },
]

for (const { own, ...known } of KNOWN) {
  for (const strategy of [CHAINS, DIRECT]) {
    t.test(`${own.title}: counts with ${strategy.babySteps} steps`, async (t) => {
      const builder = newBuilder()
      const layout = layoutOf(own, builder.chain.slots)
      const diagonals = diagonalsOf(layout, own.channels, builder.chain.slots)
      const moves = { builder, strategy, diagonals, maskScale: MASK_SCALE }
      const [q, k, v] = inputs(builder, layout, 3)
      const scores = lowerScores(moves, q, k, { ...base(own), kind: 'scores', gain: 1, offset: 1 })
      // Scores that a refresh has brought back.
      const weights = { ...scores, values: scores.values.map((_, i) => builder.input(i)) }
      lowerAttend(moves, weights, v, { ...base(own), kind: 'attend', gain: 1 })
      const each = (kind: string): number => count(builder, kind) / layout.ciphertexts
      t.strictSame(
        {
          rotations: each('rotate'),
          conjugations: each('conjugate'),
          products: each('multiply'),
          relinearisations: each('relinearise'),
        },
        known,
      )
    })
  }
}
