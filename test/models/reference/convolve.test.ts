import fc from 'fast-check'
import t from 'tap'
import type { Convolution } from '../../../src/models/index.ts'
import { convolve } from '../../../src/models/reference/convolve.ts'
import type { Tensor } from '../../../src/models/reference/tensor.ts'
import { numbers } from '../support/checkpoint.ts'
import { maxAbsDifference } from '../support/golden.ts'

/** The definition: a sum over all weights and the padded input for each output. */
function direct(layer: Convolution, x: Tensor): number[] {
  const [, height, width] = x.shape
  const output: number[] = []
  for (let o = 0; o < layer.outChannels; o++) {
    for (const y of starts(layer, height)) {
      for (const left of starts(layer, width)) output.push(weightedSum(layer, x, o, y, left))
    }
  }
  return output
}

/**
 * First input index of each output: the window moves by the stride as long as it fits into the padded input.
 */
function starts({ kernel, stride, padding, dilation }: Convolution, size: number): number[] {
  const list: number[] = []
  const reach = dilation * (kernel - 1) + 1
  for (let start = -padding; start + reach <= size + padding; start += stride) list.push(start)
  return list
}

function weightedSum(layer: Convolution, x: Tensor, o: number, top: number, left: number): number {
  const [, height, width] = x.shape
  const perGroup = layer.inChannels / layer.groups
  const firstInput = Math.floor((o * layer.groups) / layer.outChannels) * perGroup
  let sum = 0
  for (let k = 0; k < perGroup * layer.kernel ** 2; k++) {
    const c = firstInput + Math.floor(k / layer.kernel ** 2)
    const y = top + (Math.floor(k / layer.kernel) % layer.kernel) * layer.dilation
    const column = left + (k % layer.kernel) * layer.dilation
    const inside = y >= 0 && column >= 0 && y < height && column < width
    const value = inside ? x.data[(c * height + y) * width + column] : 0
    sum += layer.weight[o * perGroup * layer.kernel ** 2 + k] * value
  }
  return sum
}

t.test('convolutions of all kinds agree with the definition', async () => {
  const kind = fc.record({
    kernel: fc.integer({ min: 1, max: 7 }),
    stride: fc.integer({ min: 1, max: 4 }),
    padding: fc.integer({ min: 0, max: 4 }),
    dilation: fc.integer({ min: 1, max: 2 }),
    groups: fc.integer({ min: 1, max: 3 }),
    inPerGroup: fc.integer({ min: 1, max: 3 }),
    outPerGroup: fc.integer({ min: 1, max: 3 }),
    height: fc.integer({ min: 1, max: 13 }),
    width: fc.integer({ min: 1, max: 13 }),
    seed: fc.nat(),
  })
  const fits = (k: {
    kernel: number
    dilation: number
    padding: number
    height: number
    width: number
  }): boolean => k.dilation * (k.kernel - 1) + 1 <= Math.min(k.height, k.width) + 2 * k.padding
  fc.assert(
    fc.property(kind.filter(fits), ({ inPerGroup, outPerGroup, height, width, seed, ...window }) => {
      const next = numbers(seed)
      const inChannels = window.groups * inPerGroup
      const outChannels = window.groups * outPerGroup
      const size = outChannels * inPerGroup * window.kernel ** 2
      const weight = Float32Array.from({ length: size }, next)
      const layer = { name: 'w', weight, inChannels, outChannels, ...window }
      const data = Float64Array.from({ length: inChannels * height * width }, next)
      const x: Tensor = { shape: [inChannels, height, width], data }
      const expected = direct(layer, x)
      const found = convolve(layer, x)
      if (maxAbsDifference(found.data, expected) > 1e-12) throw new Error('differs')
      const [channels, outHeight, outWidth] = found.shape
      if (channels !== outChannels || channels * outHeight * outWidth !== expected.length)
        throw new Error('shape')
    }),
    { numRuns: 300 },
  )
})
