import t from 'tap'
import { circuitNoise } from '../../../src/compiler/analysis/noise.ts'
import type { ConvNode, NodeOf, Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerDense } from '../../../src/compiler/lowering/dense.ts'
import { lowerDepthwise } from '../../../src/compiler/lowering/depthwise.ts'
import { lowerDiagonal } from '../../../src/compiler/lowering/diagonal.ts'
import { weightBits } from '../../../src/compiler/lowering/weight-bits.ts'
import { chooseLayout } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/strategies.ts'
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

/**
 * Bits by which what rounding the weights does to an output lies below 1, by the noise model. At a scale of ten bits fewer
 * that error is larger by as much, and what the input's noise adds is the same: the difference is rounding alone.
 */
function roundingBits(input: Shape, node: ConvNode | NodeOf<'diagonal'>): number {
  const layout = chooseLayout(parameters.slots, input, 1)
  const variance = (bits: number): number => {
    const builder = newBuilder()
    const packed = packedInput(builder, layout)
    const scale = 2 ** (weightBits(builder, node, packed) + bits)
    const lowered =
      node.kind === 'diagonal'
        ? lowerDiagonal(builder, packed, node, scale)
        : node.groups === 1
          ? lowerDense(builder, packed, node, DIRECT, scale)
          : lowerDepthwise(builder, packed, node, { ...DIRECT, depthwise: 'direct' }, scale)
    const noise = circuitNoise(builder.ops, builder.statistics, parameters)
    return noise[lowered.values[0]] ** 2
  }
  return -Math.log2(variance(-10) - variance(0)) / 2 + 10
}

const { rounding } = policy
const map: Shape = [8, 14, 14]

t.test('a layer has the bits that the error of its rounding takes, whatever its terms', async (t) => {
  // A periodic weight's error is the same everywhere too, which the model counts besides: at most a tenth of a bit.
  for (const [inputs, outputs] of [
    [8, 8],
    [40, 24],
  ]) {
    const found = roundingBits([inputs, 14, 14], conv([outputs, 14, 14], inputs, 1, 1))
    t.ok(Math.abs(found - rounding) < 0.3, `${inputs} to ${outputs} channels: ${found} of ${rounding} bits`)
  }
})

t.test('masked taps have less, since pooling averages their errors out; position scales more', async (t) => {
  // A 16 x 16 map leaves no guards.
  const masked = roundingBits([8, 16, 16], conv([8, 16, 16], 8, 3, 8))
  t.ok(Math.abs(masked - (rounding - 2)) < 0.3, `masked taps: ${masked} bits`)
  const scaled = roundingBits(map, conv(map, 8, 3, 8, true))
  t.ok(Math.abs(scaled - (rounding + 2)) < 0.3, `taps with a position scale: ${scaled} bits`)
  const diagonal: NodeOf<'diagonal'> = {
    kind: 'diagonal',
    name: 'scale',
    source: 0,
    shape: map,
    channel: distinct(8),
    position: distinct(196),
  }
  t.ok(Math.abs(roundingBits(map, diagonal) - (rounding + 2)) < 0.3, 'a scale alone')
})
