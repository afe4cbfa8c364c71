import t from 'tap'
import { sourceNoises } from '../../../src/compiler/analysis/noise.ts'
import type { ConvNode, NodeOf, Sensitivity, Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerDense } from '../../../src/compiler/lowering/dense.ts'
import { lowerDepthwise } from '../../../src/compiler/lowering/depthwise.ts'
import { lowerDiagonal } from '../../../src/compiler/lowering/diagonal.ts'
import type { Form } from '../../../src/compiler/lowering/packed.ts'
import { weightBits } from '../../../src/compiler/lowering/weight-bits.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import { distinct, newBuilder, packedInput, parameters, policy } from '../harness.ts'

const DIRECT = { ...CHAINS, babies: 64, babySteps: 'direct', giantSteps: 'direct' } as const

const conv = (shape: Shape, inputs: number, kernel: number, groups: number, isScaled = false): ConvNode => ({
  kind: 'conv',
  name: 'layer',
  source: 0,
  weight: distinct(shape[0] * (inputs / groups) * kernel ** 2),
  kernel,
  stride: 1,
  padding: (kernel - 1) / 2,
  dilation: 1,
  groups,
  shape,
  ...(isScaled && { position: distinct(shape[1] * shape[2]) }),
})

/** Sensitivities of a layer for which the logits' error comes from rounded weights only. */
const sensitivity: Sensitivity = { tensor: 0, relative: 0, weights: 4, scattered: 0.25, moved: 0 }

/** Bits by which the logits' error from a layer's rounded weights lies below 1, by the noise model. */
function roundingBits(
  input: Shape,
  node: ConvNode | NodeOf<'diagonal'>,
  own = sensitivity,
  form: Form = 'joined',
): number {
  const layout = chooseLayout(parameters.slots, input, 1)
  const builder = newBuilder()
  const packed = packedInput(builder, layout)
  const layer = { ...node, sensitivity: own }
  const scale = 2 ** weightBits(builder, layer, packed, form)
  const lowered = builder.within(layer, () => {
    if (layer.kind === 'diagonal') return lowerDiagonal(builder, packed, layer, scale, form)
    return layer.groups === 1
      ? lowerDense(builder, packed, layer, DIRECT, scale, form)
      : lowerDepthwise(builder, packed, layer, { ...DIRECT, depthwise: 'direct' }, scale, form)
  })
  const { ops, counts, noiseSourceOf, noiseSources, entering, statistics } = builder
  const noises = sourceNoises(
    { ops, counts, noiseSourceOf, noiseSources, entering, statistics, result: lowered.values[0] },
    parameters,
  )
  return -Math.log2(noises.at(-1)!.logit)
}

/** Half of the rotations' weights are zeros, which are rounded too. */
const expected = policy.rounding - 1 / 2
const map: Shape = [8, 14, 14]

t.test('every layer has the same share of the error for any terms, periods and masks', async (t) => {
  const layers: [string, Shape, ConvNode | NodeOf<'diagonal'>][] = [
    ['8 to 8 channels', map, conv(map, 8, 1, 1)],
    ['40 to 24 channels', [40, 14, 14], conv([24, 14, 14], 40, 1, 1)],
    // A 16 x 16 map has no room for guards.
    ['masked taps', [8, 16, 16], conv([8, 16, 16], 8, 3, 8)],
    ['taps with a position scale', map, conv(map, 8, 3, 8, true)],
    [
      'a scale alone',
      map,
      {
        kind: 'diagonal',
        name: 'scale',
        source: 0,
        shape: map,
        channel: distinct(8),
        position: distinct(196),
      },
    ],
  ]
  for (const [what, input, node] of layers) {
    const found = roundingBits(input, node)
    t.ok(Math.abs(found - expected) < 1e-6, `${what}: ${found} of ${expected} bits`)
  }
})

t.test('the weights of a layer of low sensitivity stay above their rounding errors', async (t) => {
  const found = roundingBits(map, conv(map, 8, 1, 1), { ...sensitivity, weights: 1e-9 })
  const rootMeanSquare = 1 / Math.sqrt(3)
  const relative = 2 ** -found / 1e-9 / Math.SQRT2 / rootMeanSquare
  t.ok(Math.abs(relative - 1 / 8) < 0.02, `errors are ${relative} of the weights' size`)
})
