import t from 'tap'
import { operandsOf } from '../../../src/circuit/operands.ts'
import { evaluate } from '../../../src/compiler/graph/evaluate.ts'
import type { ConvNode, Graph, Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerDense } from '../../../src/compiler/lowering/dense.ts'
import { lowerDepthwise } from '../../../src/compiler/lowering/depthwise.ts'
import type { Form, Packed } from '../../../src/compiler/lowering/packed.ts'
import type { RotationStrategy } from '../../../src/compiler/lowering/strategy.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import { casesOf } from '../../support/thorough.ts'
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
  readonly input: Shape
  readonly outputs: number
  readonly kernel: number
  readonly stride?: number
  readonly padding?: number
  readonly dilation?: number
  readonly depthwise?: boolean
  readonly position?: boolean
  /** Guards that are requested from the layout. */
  readonly reach?: number
  /** Differences from chains of three baby steps. */
  readonly strategy?: Partial<RotationStrategy>
  /** Whether the input's guards contain other values than zero, as after another spatial layer. */
  readonly dirty?: boolean
  /** Form of the output; joined by default. */
  readonly form?: Form
  readonly rotations: number
  /** Without that of conjugation. */
  readonly keys: number
  /** One for each output ciphertext by default. */
  readonly conjugations?: number
  readonly clean: boolean
}

const CASES: Case[] = [
  {
    title: 'pointwise, 5 to 7 channels in one ciphertext',
    input: [5, 9, 6],
    outputs: 7,
    kernel: 1,
    // Three lanes to four, so shifts -3..2: babies -1, 0, 1 and giants -3, 0, 3 of both halves.
    rotations: 2 + 2 * 2,
    keys: 4,
    clean: true,
  },
  {
    title: 'pointwise over several ciphertexts on both sides',
    input: [37, 11, 23],
    outputs: 59,
    kernel: 1,
    strategy: { babies: 5 },
    // 10 + 9 lanes to 15 + 15, shifts -14..9: babies -2..2 of two inputs, giants -15..10 by 5 of both halves
    // of two outputs.
    rotations: 2 * 4 + 2 * 2 * 5,
    conjugations: 2,
    keys: 4,
    clean: true,
  },
  {
    title: 'pointwise from one channel, which has slots of its own',
    input: [1, 9, 6],
    outputs: 5,
    kernel: 1,
    // One lane to three: babies -1 and 1, giant -3. Complex weights of a real input need no second half.
    rotations: 2 + 1,
    keys: 3,
    conjugations: 0,
    clean: true,
  },
  {
    title: 'pointwise to one channel, the real part of one sum',
    input: [5, 9, 6],
    outputs: 1,
    kernel: 1,
    // Three lanes to one: babies -1 and 1, giant 3.
    rotations: 2 + 1,
    keys: 3,
    clean: true,
  },
  {
    title: 'dense 3x3 with guards',
    input: [3, 7, 10],
    outputs: 4,
    kernel: 3,
    padding: 1,
    reach: 1,
    // Two lanes to two.
    rotations: 8 + 9 * 2,
    keys: 4 + 2,
    clean: false,
  },
  {
    title: 'dense 3x3 without guards has masks',
    input: [2, 8, 16],
    outputs: 3,
    kernel: 3,
    padding: 1,
    reach: 1,
    // One lane to two.
    rotations: 8 + 9,
    keys: 4 + 1,
    clean: true,
  },
  {
    title: 'dense 3x3, stride 2, odd map',
    input: [3, 9, 5],
    outputs: 2,
    kernel: 3,
    stride: 2,
    padding: 1,
    reach: 1,
    rotations: 8 + 9,
    keys: 4 + 1,
    clean: false,
  },
  {
    title: 'dense 2x2, stride 2, no padding',
    input: [3, 6, 10],
    outputs: 5,
    kernel: 2,
    stride: 2,
    reach: 1,
    // Two lanes to three: one giant step, of both halves.
    rotations: 3 + 4 * 2 + 2,
    keys: 2 + 3,
    clean: false,
  },
  {
    title: 'depthwise 3x3 with guards has periodic weights',
    input: [6, 7, 10],
    outputs: 6,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    // Columns of the input, and rows of both halves.
    rotations: 2 + 2 * 2,
    keys: 4,
    clean: false,
  },
  {
    title: 'depthwise 3x3, dilation 2, scaled by position',
    input: [5, 6, 11],
    outputs: 5,
    kernel: 3,
    padding: 2,
    dilation: 2,
    depthwise: true,
    position: true,
    reach: 2,
    rotations: 2 + 2 * 2,
    keys: 4,
    clean: true,
  },
  {
    title: 'depthwise 5x5, dilation 2, without guards, over two ciphertexts',
    input: [140, 8, 8],
    outputs: 140,
    kernel: 5,
    padding: 4,
    dilation: 2,
    depthwise: true,
    reach: 4,
    rotations: 2 * (4 + 2 * 4),
    keys: 8 - 2,
    conjugations: 2,
    clean: true,
  },
  {
    title: 'depthwise 3x3 of a tensor with nonzero guards',
    input: [4, 5, 9],
    outputs: 4,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    dirty: true,
    rotations: 2 + 2 * 2,
    keys: 4,
    clean: true,
  },
  {
    title: '3x3 with three outputs for each input, in one ciphertext',
    input: [6, 7, 10],
    outputs: 18,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    // Three lanes to nine: the input in place and moved by three and by six lanes, two columns of each, and
    // rows of both halves.
    rotations: 2 + 3 * 2 + 2 * 2,
    keys: 2 + 2 + 2,
    clean: false,
  },
  {
    title: '3x3 with two outputs for each of an odd number of inputs',
    input: [5, 6, 11],
    outputs: 10,
    kernel: 3,
    padding: 1,
    depthwise: true,
    position: true,
    reach: 1,
    // Output 5 reads input 0, so channels change their parts of a slot: lanes move by 0, -2 and -3.
    rotations: 2 + 3 * 2 + 2 * 2,
    keys: 2 + 2 + 2,
    clean: true,
  },
  {
    title: '3x3 with three outputs for each input, whose ciphertexts do not divide',
    input: [140, 8, 8],
    outputs: 420,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    // Two ciphertexts of 35 lanes to four of 53. Each output reads both inputs, the second one the second
    // input twice: one read is in place, and eight have distances of their own. Then columns of each read,
    // and rows of both halves of each output.
    rotations: 8 + 9 * 2 + 4 * 2 * 2,
    keys: 8 + 2 + 2,
    conjugations: 4,
    clean: true,
  },
  {
    title: '3x3 with three outputs for each input, whose ciphertexts divide',
    input: [64, 17, 30],
    outputs: 192,
    kernel: 3,
    padding: 1,
    depthwise: true,
    reach: 1,
    // Four ciphertexts to twelve: each output reads one input in place. Columns of inputs are shared.
    rotations: 4 * 2 + 12 * 2 * 2,
    keys: 4,
    conjugations: 12,
    clean: true,
  },
]

/** Rotations and keys of the same layers with other strategies and forms. */
const OTHERWISE: Case[] = [
  {
    ...CASES[1],
    title: 'pointwise over several ciphertexts, split',
    form: 'split',
    // As joined; both sums of both outputs are conjugated.
    conjugations: 2 * 2,
  },
  { ...CASES[8], title: 'depthwise 3x3, split', form: 'split', conjugations: 2 },
  {
    ...CASES[0],
    title: 'pointwise by direct steps',
    strategy: { babySteps: 'direct', giantSteps: 'direct' },
    // Babies -1 and 1, giants -3 and 3 of both halves; each step has its own key.
    rotations: 2 + 2 * 2,
    keys: 4,
  },
  {
    ...CASES[0],
    title: 'pointwise by all shifts, -3..2',
    strategy: { babies: 13, babySteps: 'direct' },
    rotations: 5,
    keys: 5,
  },
  {
    ...CASES[1],
    title: 'pointwise over several ciphertexts by direct steps',
    strategy: { babies: 8, babySteps: 'direct', giantSteps: 'direct' },
    // Babies -4..3 of two inputs; giants -16, -8 and 8 of both halves of two outputs.
    rotations: 2 * 7 + 2 * 2 * 3,
    keys: 7 + 3,
  },
  {
    ...CASES[4],
    title: 'dense 3x3, every tap rotated from the input',
    strategy: { taps: 'direct' },
    rotations: 8 + 9 * 2,
    keys: 8 + 2,
  },
  {
    ...CASES[4],
    title: 'dense 3x3, tap and baby step in one rotation',
    strategy: { taps: 'joint' },
    // Every pair except the central tap with baby step 0.
    rotations: 9 * 3 - 1,
    keys: 26,
  },
  {
    ...CASES[5],
    title: 'dense 3x3 with masks, all shifts of all taps by one rotation each',
    strategy: { babies: 5, babySteps: 'direct', giantSteps: 'direct', taps: 'joint' },
    // One lane to two, so shifts -1..0.
    rotations: 9 * 2 - 1,
    keys: 17,
  },
  {
    ...CASES[8],
    title: 'depthwise 3x3 by its nine taps',
    strategy: { depthwise: 'direct' },
    rotations: 8,
    keys: 8,
  },
  {
    ...CASES[10],
    title: 'depthwise 5x5, dilation 2, by its taps',
    strategy: { depthwise: 'direct' },
    // Four rows up and four rows down are both half of the slots.
    rotations: 2 * (4 * 5 - 1),
    keys: 4 * 5 - 1,
  },
  {
    ...CASES[10],
    title: 'depthwise 5x5, dilation 2, columns then direct rows',
    strategy: { giantSteps: 'direct' },
    rotations: 2 * (4 + 2 * 4),
    keys: 4 + 3,
  },
]

const SCALE = 2 ** 20

const ALL_STRATEGIES: RotationStrategy[] = [2, 3, 8, 63].flatMap((babies) =>
  (['chain', 'direct'] as const).flatMap((babySteps) =>
    (['horner', 'direct'] as const).flatMap((giantSteps) =>
      (['separable', 'direct', 'joint'] as const).flatMap((taps) =>
        (['separable', 'direct'] as const).map((depthwise) => ({
          babies,
          babySteps,
          giantSteps,
          taps,
          depthwise,
        })),
      ),
    ),
  ),
)

for (const c of [...CASES, ...OTHERWISE]) {
  t.test(c.title, async (t) => {
    const { builder, output, clean } = check(t, c)
    t.equal(clean, c.clean, 'clean')
    const rotations = builder.ops.filter((op) => op.kind === 'rotate')
    t.equal(rotations.length, c.rotations, 'rotations')
    const conjugations = builder.ops.filter((op) => op.kind === 'conjugate').length
    t.equal(conjugations, c.conjugations ?? 1, 'conjugations')
    t.equal(new Set(rotations.map((op) => op.steps)).size, c.keys, 'Galois keys')
    for (const value of output.values) t.equal(builder.type(value).scale, 2 ** 30 * SCALE, 'scale')
  })
}

t.test('every strategy computes every convolution', async (t) => {
  for (const [at, strategy] of ALL_STRATEGIES.entries()) {
    for (const form of casesOf<Form>(['joined', 'split'], [at % 2 === 0 ? 'joined' : 'split'])) {
      const title = `${Object.values(strategy)}, ${form}`
      for (const c of CASES) {
        if (form === 'split' && c.outputs === 1) continue
        check(t, { ...c, title: `${c.title}, ${title}`, strategy, form })
      }
    }
  }
})

for (const batch of casesOf([2, 8], [2])) {
  t.test(`each image of a batch of ${batch} gets its own convolution`, async (t) => {
    for (const c of [...CASES, ...OTHERWISE]) {
      const { builder, output, layout, graph } = lowered(c, convolution(c), batch)
      const images = Array.from({ length: batch }, (_, b) => distinct(sizeOf(c.input), b + 1))
      readBackAll(builder, images, layout, output).forEach(({ elements, stray }, b) => {
        t.ok(maxDifference(elements, evaluate(graph, images[b])) < 1e-9, `${c.title}: image ${b}`)
        if (output.clean) t.ok(stray < 1e-12, `${c.title}: slots of image ${b} without elements are zero`)
      })
    }
  })
}

t.test('weights of zero take no rotations', async (t) => {
  const c = CASES[4]
  const node = convolution(c)
  // Only the central tap from input channel 2 to output channel 0 is kept.
  const weight = node.weight.map((value, index) => (index === 2 * 9 + 4 ? value : 0))
  for (const strategy of ALL_STRATEGIES) {
    const { builder } = check(t, { ...c, strategy }, { ...node, weight })
    const read = new Set(builder.ops.flatMap(operandsOf))
    const result = builder.ops.length - 1
    t.ok(
      builder.ops.every((_, id) => id === result || read.has(id)),
      'every value is used',
    )
  }
})

t.test('a planted wrong rotation is detected', async (t) => {
  for (const strategy of ALL_STRATEGIES) {
    const c = { ...CASES[0], strategy }
    const { builder, output, layout, image, graph } = lowered(c)
    const at = builder.ops.findIndex((op) => op.kind === 'rotate')
    const op = builder.ops[at]
    if (op.kind === 'rotate') builder.ops[at] = { ...op, steps: parameters.slots - op.steps }
    const { elements } = readBack(builder, image, layout, output)
    t.ok(maxDifference(elements, evaluate(graph, image)) > 1e-3)
  }
})

/** Lowers a convolution of an image of distinct values. */
function lowered(c: Case, node = convolution(c), batch = 1) {
  const strategy = { ...CHAINS, babies: 3, ...c.strategy }
  const graph: Graph = { nodes: [{ kind: 'input', name: 'x', shape: c.input }, node], output: 1 }
  const builder = newBuilder(batch)
  const layout = chooseLayout(builder.chain.slots, c.input, c.reach ?? 0)
  const source = { ...packedInput(builder, layout), clean: !c.dirty }
  const lower = c.depthwise ? lowerDepthwise : lowerDense
  const output: Packed = lower(builder, source, node, strategy, SCALE, c.form ?? 'joined')
  const image = distinct(sizeOf(c.input))
  return { builder, output, layout, image, graph }
}

function sizeOf([channels, height, width]: Shape): number {
  return channels * height * width
}

/** Checks that a lowered convolution equals the convolution, and that clean outputs have zero guards. */
function check(t: Tester, c: Case, node = convolution(c)) {
  const { builder, output, layout, image, graph } = lowered(c, node)
  const { elements, stray } = readBack(builder, image, layout, output)
  t.ok(maxDifference(elements, evaluate(graph, image)) < 1e-9, `${c.title}: equals the convolution`)
  if (output.clean) t.ok(stray < 1e-12, `${c.title}: slots without elements are zero`)
  return { builder, output, clean: output.clean }
}

interface Tester {
  ok(ok: boolean, message: string): unknown
  equal(found: unknown, wanted: unknown, message: string): unknown
}

function convolution(c: Case): ConvNode {
  const [channels, height, width] = c.input
  const { kernel, stride = 1, padding = 0, dilation = 1 } = c
  const size = (n: number) => Math.floor((n + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
  const shape: Shape = [c.outputs, size(height), size(width)]
  const perGroup = c.depthwise ? 1 : channels
  return {
    kind: 'conv',
    name: 'conv',
    source: 0,
    shape,
    kernel,
    stride,
    padding,
    dilation,
    groups: c.depthwise ? channels : 1,
    weight: distinct(c.outputs * perGroup * kernel ** 2, 7),
    position: c.position ? distinct(shape[1] * shape[2], 9) : undefined,
  }
}
