import t from 'tap'
import { convolve, convolveTransposed } from '../../../src/compiler/graph/convolution.ts'
import type { ConvNode, Shape } from '../../../src/compiler/graph/graph.ts'
import { multiplyMatrices, transpose } from '../../../src/compiler/graph/matrix.ts'
import { distinct, maxDifference } from '../harness.ts'

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, i) => sum + x * b[i], 0)

t.test('matrix products of any shape agree with the definition', async (t) => {
  for (const [rows, inner, columns] of [
    [1, 1, 1],
    [4, 7, 4],
    [5, 3, 9],
    [8, 2, 3],
    [3, 11, 8],
    [13, 6, 17],
  ]) {
    const a = distinct(rows * inner, 1)
    const b = distinct(inner * columns, 2)
    const expected = Float64Array.from({ length: rows * columns }, (_, at) => {
      const row = Math.floor(at / columns)
      let sum = 0
      for (let i = 0; i < inner; i++) sum += a[row * inner + i] * b[i * columns + (at % columns)]
      return sum
    })
    const found = multiplyMatrices(a, b, { rows, inner, columns })
    t.ok(maxDifference(found, expected) < 1e-12, `${rows} x ${inner} times ${inner} x ${columns}`)
  }
  t.strictSame([...transpose(Float64Array.of(1, 2, 3, 4, 5, 6), 2, 3)], [1, 4, 2, 5, 3, 6])
})

const inShape: Shape = [6, 9, 5]
const cases: Record<string, Partial<ConvNode> & Pick<ConvNode, 'shape' | 'kernel'>> = {
  pointwise: { shape: [7, 9, 5], kernel: 1 },
  'pointwise, strided': { shape: [7, 5, 3], kernel: 1, stride: 2 },
  dense: { shape: [4, 9, 5], kernel: 3, padding: 1 },
  'dense, strided, of even size': { shape: [4, 4, 2], kernel: 2, stride: 2 },
  depthwise: { shape: [6, 9, 5], kernel: 3, padding: 1, groups: 6 },
  'depthwise, dilated': { shape: [6, 9, 5], kernel: 3, padding: 2, dilation: 2, groups: 6 },
  'three outputs for each input': { shape: [18, 9, 5], kernel: 3, padding: 1, groups: 6 },
  'depthwise with a position scale': {
    shape: [6, 9, 5],
    kernel: 5,
    padding: 2,
    groups: 6,
    position: distinct(45, 9),
  },
}

for (const [what, partial] of Object.entries(cases)) {
  t.test(`${what}: the convolution and its transpose agree with their definitions`, async (t) => {
    const { shape, kernel, groups = 1 } = partial
    const perGroup = inShape[0] / groups
    const weight = distinct(shape[0] * perGroup * kernel ** 2, 3)
    const node: ConvNode = {
      kind: 'conv',
      name: what,
      source: 0,
      stride: 1,
      padding: 0,
      dilation: 1,
      ...partial,
      groups,
      weight,
    }
    const x = distinct(inShape[0] * inShape[1] * inShape[2], 4)
    const found = convolve(node, x, inShape)
    t.ok(maxDifference(found, byDefinition(node, x)) < 1e-12)
    const gradient = distinct(found.length, 5)
    const back = convolveTransposed(node, gradient, inShape)
    t.equal(back.length, x.length)
    t.ok(Math.abs(dot(found, gradient) - dot(x, back)) < 1e-9, '<A x, g> = <x, A^T g>')
  })
}

function byDefinition(node: ConvNode, x: Float64Array): Float64Array {
  const { shape, kernel, stride, padding, dilation, groups, weight, position } = node
  const [, height, width] = shape
  const [inputs, inHeight, inWidth] = inShape
  const perGroup = inputs / groups
  return Float64Array.from({ length: shape[0] * height * width }, (_, at) => {
    const o = Math.floor(at / (height * width))
    const place = at % (height * width)
    let sum = 0
    for (let i = 0; i < perGroup; i++) {
      for (let k = 0; k < kernel ** 2; k++) {
        const y = Math.floor(place / width) * stride + Math.floor(k / kernel) * dilation - padding
        const column = (place % width) * stride + (k % kernel) * dilation - padding
        if (y < 0 || y >= inHeight || column < 0 || column >= inWidth) continue
        const channel = groups === 1 ? i : o % groups
        sum += weight[(o * perGroup + i) * kernel ** 2 + k] * x[(channel * inHeight + y) * inWidth + column]
      }
    }
    return sum * (position?.[place] ?? 1)
  })
}
