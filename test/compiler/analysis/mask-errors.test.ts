import t from 'tap'
import { addMaskErrors, maskGradient } from '../../../src/compiler/analysis/mask-errors.ts'
import { rootMeanSquare } from '../../../src/compiler/analysis/statistics.ts'
import { relativeGradient } from '../../../src/compiler/analysis/weight-gradient.ts'
import type { Shape } from '../../../src/compiler/graph/graph.ts'
import { lowerRepack } from '../../../src/compiler/lowering/repack.ts'
import { chooseLayout, withStride } from '../../../src/compiler/packing/choose.ts'
import { CHAINS } from '../../../src/compiler/planner/strategies.ts'
import { seededGaussian } from '../../../src/he-ops/clear/gaussian.ts'
import { encodingNoise } from '../../../src/he-ops/noise.ts'
import { distinct, newBuilder, noisyElements, packedInput, parameters } from '../harness.ts'

// What the analysis says of repacking masks is held against repackings whose masks are rounded as they are encoded, of maps that
// are as smooth as those of photographs.

const MAP: Shape = [8, 54, 56]
const SHAPE: Shape = [8, 27, 28]
const MERGED = 4

/** Smooth within rows, and different in all of them, and in all channels. */
function smooth([channels, height, width]: Shape, seed: number): Float64Array {
  const [level, slope, bend] = [1, 2, 3].map((part) => distinct(channels * height, 7 * seed + part))
  return Float64Array.from({ length: channels * height * width }, (_, i) => {
    const row = Math.floor(i / width)
    const x = (i % width) / width - 0.5
    return level[row] + slope[row] * x + bend[row] * x * x
  })
}

/** Every second row and column, which the repacking moves; masks read what lies between them too. */
const everySecond = (map: Float64Array): Float64Array =>
  map.filter((_, i) => (i % MAP[2]) % 2 === 0 && (Math.floor(i / MAP[2]) % MAP[1]) % 2 === 0)

/** What repacking with masks of a scale errs by, [C, H, W]. @param map before the downsize */
function errorOfRepacking(map: Float64Array, scale: number): Float64Array {
  const whole = chooseLayout(parameters.slots, MAP, 2)
  const from = withStride(whole, 2, SHAPE[1], SHAPE[2])
  const to = chooseLayout(parameters.slots, SHAPE, 1)
  t.same([from.ciphertexts, to.ciphertexts], [MAP[0], MAP[0] / MERGED])
  const builder = newBuilder()
  const output = lowerRepack(builder, packedInput(builder, from), to, CHAINS, scale)
  const tensor = everySecond(map)
  const found = noisyElements(builder, map, whole, output)
  return found.map((x, i) => x - tensor[i])
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i], 0)

t.test('what masks do to a scalar', async (t) => {
  const ratios: number[] = []
  const independent: number[] = []
  for (let draw = 0; draw < 24; draw++) {
    const map = smooth(MAP, draw)
    const tensor = everySecond(map)
    const gradient = smooth(SHAPE, draw + 100)
    const scale = 2 ** (12 + draw / 24)
    const found = dot(errorOfRepacking(map, scale), gradient) * (scale / encodingNoise(parameters.slots))
    ratios.push(found / Math.sqrt(MERGED * maskGradient(tensor, gradient, SHAPE)))
    independent.push(found / Math.sqrt(relativeGradient(tensor, gradient)))
  }
  const ratio = rootMeanSquare(ratios)
  t.ok(ratio > 1 / 1.6 && ratio < 1.6, `${ratio} times the deviation that the analysis gives`)
  t.ok(rootMeanSquare(independent) > 3, 'far more than independent errors would do')
})

t.test('what a rehearsal adds to a tensor is as large, and does as much', async (t) => {
  const gaussian = seededGaussian(3)
  const sizes: number[] = []
  const effects: number[] = []
  for (let draw = 0; draw < 24; draw++) {
    const map = smooth(MAP, draw)
    const tensor = everySecond(map)
    const gradient = smooth(SHAPE, draw + 100)
    const rehearsed = tensor.slice()
    addMaskErrors({ shape: SHAPE, merged: MERGED }, rehearsed, gaussian)
    const errors = rehearsed.map((x, i) => x - tensor[i])
    const scale = 2 ** (12 + draw / 24)
    const encoded = errorOfRepacking(map, scale).map((x) => (x * scale) / encodingNoise(parameters.slots))
    sizes.push(rootMeanSquare(errors) / rootMeanSquare(encoded))
    effects.push(dot(errors, gradient) / Math.sqrt(MERGED * maskGradient(tensor, gradient, SHAPE)))
  }
  const size = rootMeanSquare(sizes)
  t.ok(size > 1 / 1.6 && size < 1.6, `${size} times the size`)
  const effect = rootMeanSquare(effects)
  t.ok(effect > 1 / 1.6 && effect < 1.6, `${effect} times the deviation`)
})
