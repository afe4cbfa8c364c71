import t from 'tap'
import { addMaskErrors, maskGradient } from '../../../src/compiler/analysis/mask-errors.ts'
import { relativeGradient } from '../../../src/compiler/analysis/weight-gradient.ts'
import type { Shape } from '../../../src/compiler/graph/graph.ts'
import { rootMeanSquare } from '../../../src/compiler/graph/statistics.ts'
import { lowerRepack } from '../../../src/compiler/lowering/repack.ts'
import { chooseLayout, withStride } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/search/strategies.ts'
import { seededGaussian } from '../../../src/he-ops/clear/gaussian.ts'
import { encodingNoise } from '../../../src/he-ops/noise.ts'
import { distinct, newBuilder, noisyElements, packedInput, parameters } from '../harness.ts'

// Compares the analysis of repacking masks with repackings by encoded masks, of maps that are as smooth as
// those of photographs.

const MAP: Shape = [16, 54, 56]
const SHAPE: Shape = [16, 27, 28]
const MERGED = 4
const DRAWS = 24

/** A map that is smooth within rows, and different in all rows and channels. */
function smooth([channels, height, width]: Shape, seed: number): Float64Array {
  const [level, slope, bend] = [1, 2, 3].map((part) => distinct(channels * height, 7 * seed + part))
  return Float64Array.from({ length: channels * height * width }, (_, i) => {
    const row = Math.floor(i / width)
    const x = (i % width) / width - 0.5
    return level[row] + slope[row] * x + bend[row] * x * x
  })
}

/** Every second row and column, which the repacking moves. The masks also read the elements between them. */
const everySecond = (map: Float64Array): Float64Array =>
  map.filter((_, i) => (i % MAP[2]) % 2 === 0 && (Math.floor(i / MAP[2]) % MAP[1]) % 2 === 0)

/** Errors [C, H, W] of a repacking with masks at a scale. @param map before the downsize */
function errorOfRepacking(map: Float64Array, scale: number): Float64Array {
  const whole = chooseLayout(parameters.slots, MAP, 2)
  const from = withStride(whole, 2, SHAPE[1], SHAPE[2])
  const to = chooseLayout(parameters.slots, SHAPE, 1)
  t.same([from.ciphertexts, to.ciphertexts], [MAP[0] / 2, MAP[0] / 2 / MERGED])
  const builder = newBuilder()
  const output = lowerRepack(builder, packedInput(builder, from), to, CHAINS, scale)
  const tensor = everySecond(map)
  const found = noisyElements(builder, map, whole, output)
  return found.map((x, i) => x - tensor[i])
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i], 0)

/**
 * A map, a gradient with respect to its repacked elements, and the errors of the repacking in units of a
 * mask's error in a slot.
 */
function drawn(draw: number) {
  const map = smooth(MAP, draw)
  const tensor = everySecond(map)
  const gradient = smooth(SHAPE, draw + 100)
  const scale = 2 ** (12 + draw / DRAWS)
  const errors = errorOfRepacking(map, scale).map((x) => (x * scale) / encodingNoise(parameters.slots))
  const expected = Math.sqrt(MERGED * maskGradient(tensor, gradient, SHAPE))
  return { tensor, gradient, errors, expected }
}

const draws = Array.from({ length: DRAWS }, (_, draw) => drawn(draw))

const isNearOne = (t: { ok(value: boolean, what: string): void }, ratio: number, what: string): void => {
  t.ok(ratio > 1 / 1.6 && ratio < 1.6, `${ratio} times ${what}`)
}

t.test('the mask gradient agrees with the errors of a scalar', async (t) => {
  const effects = draws.map(({ gradient, errors }) => dot(errors, gradient))
  const ratios = effects.map((effect, draw) => effect / draws[draw].expected)
  isNearOne(t, rootMeanSquare(ratios), 'the deviation that the analysis gives')
  const independent = draws.map(({ tensor, gradient }) => Math.sqrt(relativeGradient(tensor, gradient)))
  const excess = rootMeanSquare(effects.map((effect, draw) => effect / independent[draw]))
  t.ok(excess > 3, `${excess} times what independent errors would do`)
})

t.test('the rehearsed errors of a tensor and of a scalar agree with those of repackings', async (t) => {
  const gaussian = seededGaussian(3)
  const rehearsed = draws.map(({ tensor }) => {
    const erring = tensor.slice()
    addMaskErrors({ shape: SHAPE, merged: MERGED }, erring, gaussian)
    return erring.map((x, i) => x - tensor[i])
  })
  const sizes = rehearsed.map((own, draw) => rootMeanSquare(own) / rootMeanSquare(draws[draw].errors))
  isNearOne(t, rootMeanSquare(sizes), 'the size')
  const effects = rehearsed.map((own, draw) => dot(own, draws[draw].gradient) / draws[draw].expected)
  isNearOne(t, rootMeanSquare(effects), 'the deviation')
})
