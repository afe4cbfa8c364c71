import { channelsIn } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import { eachCiphertext, type Operands } from './ciphertexts.ts'
import { type Half, joinedOutput, realOutput } from './halves.ts'
import type { Form, Packed } from './packed.ts'

/**
 * The values of a layer's output, from the weighted sums of its halves.
 *
 * @param layout of the output
 * @param operands as for `eachCiphertext`
 * @param from channels in each slot of the input
 * @param sumOf the weighted sum of a half for an output ciphertext; undefined when all of its weights are
 *   zero
 * @throws Error when all weights of an output ciphertext are zero
 */
export function layerValues(
  builder: CircuitBuilder,
  layout: Layout,
  form: Form,
  operands: Operands,
  from: Layout['parts'],
  sumOf: (index: number) => (half: Half) => ValueId | undefined,
): Pick<Packed, 'values' | 'imaginary'> {
  const make = (outputOf: (sum: (half: Half) => ValueId | undefined) => ValueId | undefined): ValueId[] =>
    eachCiphertext(builder, layout, operands, (index) => {
      const value = outputOf(sumOf(index))
      if (value === undefined) throw new Error(`All weights of ciphertext ${index} of a layer are zero`)
      return value
    })
  if (form === 'joined') return { values: make((sum) => joinedOutput(builder, from, layout.parts, sum)) }
  return {
    values: make((sum) => realOutput(builder, from, sum('first'))),
    imaginary: eachCiphertext(builder, layout, operands, (index) =>
      channelsIn(layout, index) === 1 ? undefined : realOutput(builder, from, sumOf(index)('second')),
    ),
  }
}
