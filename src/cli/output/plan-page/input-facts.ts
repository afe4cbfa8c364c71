import { fineOf, isComplex, isOuter } from '../../../circuit/constants/constant.ts'
import { realOf } from '../../../circuit/constants/slot-vector.ts'
import type { Circuit, ConstantList, InputSpec } from '../../../circuit/index.ts'
import { counted, countText } from '../../../text/counted.ts'
import { preprocessingSteps, preprocessingText } from '../preprocessing-text.ts'
import { type Markup, markup } from './markup.ts'

/** What goes into a circuit: the input, and the numbers that the weights have become. */
export interface Ingredients {
  readonly input: InputSpec
  /** Slots of one image in each ciphertext. */
  readonly slots: number
  readonly constants: number
  /** Numbers of all constants: of one period each. */
  readonly constantNumbers: number
}

export const ingredientsOf = ({ input, parameters, batch, constants }: Circuit): Ingredients => ({
  input,
  slots: parameters.slots / batch,
  constants: constants.length,
  constantNumbers: numbersIn(constants),
})

function numbersIn(constants: ConstantList): number {
  let count = 0
  for (const constant of constants) {
    count += realOf(fineOf(constant)).length * (isComplex(constant) ? 2 : 1)
    if (isOuter(constant)) count += constant.coarse.length
  }
  return count
}

/** What a picture goes through until it is encrypted, and how large the network is. */
export const inputFacts = ({ input, slots, constants, constantNumbers }: Ingredients): Markup =>
  markup`<dl class="identity">
<dt>Preprocessing</dt><dd>${preparationText(input)}</dd>
<dt>Input</dt><dd>${shapeText(input.image)} numbers of at most ${countText(input.bound)} in absolute value</dd>
${input.patch > 1 ? markup`<dt>Patches</dt><dd>${patchText(input)}</dd>` : undefined}
<dt>Packing</dt><dd>${packingText(input, slots)}</dd>
<dt>Weights</dt><dd>${counted(constants, 'constant')} of ${countText(constantNumbers)} numbers together. The compiler has merged weights of
several layers and repeated them over the slots, so this is not the number of the network’s parameters. A circuit does not
have that number; <code>polyveil check</code> counts it in a checkpoint.</dd>
</dl>`

const preparationText = ({ preprocessing }: InputSpec): Markup | string =>
  preprocessing === null
    ? preprocessingText(null)
    : markup`<ol class="steps">${preprocessingSteps(preprocessing).map((step) => markup`<li>${step}</li>`)}</ol>`

const patchText = ({ patch, layout }: InputSpec): string =>
  `each ${patch} × ${patch} pixels become channels of one position, as the first layer has this stride: ` +
  shapeText([layout.channels, layout.height, layout.width])

function packingText({ layout }: InputSpec, slots: number): string {
  const { ciphertexts, channelsPerCiphertext, interleave, parts, rowStride, columnStride } = layout
  const inSlots = parts === 2 ? 'two in a slot, as its real and its imaginary part' : 'one in a slot'
  return (
    `${counted(ciphertexts, 'ciphertext')} of ${counted(channelsPerCiphertext, 'channel')} and ${countText(slots)} slots; ` +
    `each position has ${counted(interleave, 'slot')} for its channels, ${inSlots}; ` +
    `neighbours are ${counted(columnStride, 'position')} apart in a row and ${countText(rowStride)} in a column`
  )
}

const shapeText = (shape: readonly number[]): string => shape.join(' × ')
