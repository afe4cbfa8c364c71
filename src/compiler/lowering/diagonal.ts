import type { NodeOf } from '../graph/graph.ts'
import { cachedRootMeanSquare } from '../graph/statistics.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { fullConstant, outerConstant, positionFactors } from './constants.ts'
import type { Packed } from './packed.ts'

/**
 * Lowers channel[c] * position[hw] * x with one full-size plaintext for each ciphertext.
 *
 * @param constantScale scale of the plaintexts
 * @returns output at the input's level, at the input's scale times `constantScale`; clean
 */
export function lowerDiagonal(
  builder: CircuitBuilder,
  input: Packed,
  node: NodeOf<'diagonal'>,
  constantScale: number,
): Packed {
  const { layout } = input
  const gain = cachedRootMeanSquare(node.channel) * cachedRootMeanSquare(node.position)
  let scales: Float64Array | undefined
  const makeScales = () =>
    positionFactors(builder.chain.slots, layout, 0, (y, x) => node.position[y * layout.width + x])
  const values = eachCiphertext(builder, layout, [input.values], (index) => {
    const value = input.values[index]
    const first = index * layout.channelsPerCiphertext
    const make = () => {
      scales ??= makeScales()
      return outerConstant(layout, index, scales, (local) => node.channel[first + local])
    }
    const scaled = builder.dot(
      [{ value: () => value, constant: { period: builder.chain.slots, gain, make } }],
      constantScale,
    )
    if (scaled === undefined) throw new Error(`All scales of ${node.name} are zero`)
    return scaled
  })
  return { layout, values, clean: true }
}

/** Lowers x + bias, at the level and scale of x. The guards are unchanged. */
export function lowerBias(builder: CircuitBuilder, input: Packed, node: NodeOf<'bias'>): Packed {
  const { layout } = input
  const area = layout.height * layout.width
  const values = eachCiphertext(builder, layout, [input.values], (index) => {
    const value = input.values[index]
    const make = () =>
      fullConstant(
        builder.chain.slots,
        layout,
        index,
        (c, y, x) => node.bias[c * area + y * layout.width + x],
      )
    return builder.addPlain(value, {
      period: builder.chain.slots,
      gain: cachedRootMeanSquare(node.bias),
      make,
    })
  })
  return { ...input, values }
}
