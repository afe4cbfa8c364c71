import { PolyVeilError } from '../../errors/index.ts'
import { largestYield, preprocessingFault, sentChannels } from '../../preprocessing/index.ts'
import { leastNoise } from '../answer.ts'
import { isBatch } from '../image-batch.ts'
import { conjugationElement, galoisElement } from '../keys.ts'
import { encodedBits, log2Modulus } from '../laws.ts'
import { isApart, partsFor } from '../layout.ts'
import type { CkksParameters } from '../parameters/parameters.ts'
import { MOST_REFRESH_PRIMES } from '../refresh.ts'
import { ENCODER_BITS, LEAST_INPUT_BOUND, MAX_MESSAGE_BITS, MAX_TENSOR_VALUES } from './bounds.ts'
import type { ManifestContent } from './content.ts'

/**
 * A plan tolerates 16 times the error that its precision allows; doubled, because the precision is rounded to
 * a power of two.
 */
const FINEST_PRECISION = 32

/**
 * A law that manifests keep, and the message for a manifest that breaks it. Later laws rely on earlier ones.
 */
type Law = readonly [holds: () => boolean, breach: string]

/**
 * Checks that a manifest does not contradict itself. Laws are evaluated in order, sizes first, up to the
 * first that is broken.
 *
 * @throws CONFIG_INVALID
 */
export function checkLaws(content: ManifestContent, parameters: CkksParameters): void {
  const laws = [
    ...levelLaws(content, parameters),
    ...imageLaws(content),
    ...layoutLaws(content, parameters),
    ...inputLaws(content, parameters),
    ...outputLaws(content, parameters),
    ...rotationLaws(content, parameters),
  ]
  const broken = laws.find(([holds]) => !holds())
  if (broken) throw new PolyVeilError('CONFIG_INVALID', `The manifest contradicts itself: ${broken[1]}`)
}

const levelLaws = (
  { batch, input, output, rounds, refresh }: ManifestContent,
  { slots, topLevel }: CkksParameters,
): Law[] => [
  [() => isBatch(batch, slots), 'the batch does not divide the slots'],
  [() => input.level <= topLevel && output.level <= topLevel, 'a level above the highest'],
  [
    () =>
      rounds === (refresh?.ciphertexts.length ?? 0) &&
      (refresh === null) === (rounds === 0) &&
      (refresh?.level ?? -1) < Math.min(topLevel, MOST_REFRESH_PRIMES),
    'the refreshes do not fit the rounds or the levels',
  ],
]

/** The images that preprocessing yields have the shape that is packed. */
const imageLaws = ({ input: { image, preprocessing } }: ManifestContent): Law[] => {
  const [channels, height, width] = image
  return [
    [
      () => channels === sentChannels(preprocessing?.channels ?? 'rgb'),
      'the image has other channels than the preprocessing',
    ],
    [
      () => preprocessing === null || preprocessingFault(preprocessing, { height, width }) === undefined,
      'the preprocessing does not yield the image',
    ],
  ]
}

const layoutLaws = ({ batch, input }: ManifestContent, { slots }: CkksParameters): Law[] => {
  const { layout, image, patch } = input
  const [c, h, w] = image
  const imageSlots = slots / batch
  const last =
    layout.offset + (layout.height - 1) * layout.rowStride + (layout.width - 1) * layout.columnStride
  return [
    [() => layout.channels === c * patch ** 2, 'the input layout has other channels than the image'],
    [() => layout.height === Math.ceil(h / patch), 'the input layout has another height than the image'],
    [() => layout.width === Math.ceil(w / patch), 'the input layout has another width than the image'],
    [
      () =>
        layout.channels * layout.height * layout.width <= MAX_TENSOR_VALUES &&
        layout.ciphertexts * slots <= MAX_TENSOR_VALUES,
      `the input has more than ${MAX_TENSOR_VALUES} values or slots`,
    ],
    [() => layout.parts === partsFor(layout.channels), 'another number of channels in a slot'],
    [() => layout.channelsPerCiphertext % layout.parts === 0, 'a slot that two ciphertexts share'],
    [
      () => layout.channelsPerCiphertext <= layout.interleave * layout.parts,
      'more channels than slots per position hold',
    ],
    [
      () => layout.ciphertexts === Math.ceil(layout.channels / layout.channelsPerCiphertext),
      'wrong ciphertext count',
    ],
    [() => (last + 1) * layout.interleave <= imageSlots, 'the input layout does not fit the slots'],
    [() => isApart(layout), 'two elements of the input have one slot'],
  ]
}

/**
 * All values that preprocessing can yield are within the bound, and can be encoded. Otherwise a server could
 * choose which pictures a client refuses, and would learn from a missing query that a picture was refused.
 */
const inputLaws = ({ input }: ManifestContent, parameters: CkksParameters): Law[] => [
  [() => input.bound >= LEAST_INPUT_BOUND, `the input is bounded below ${LEAST_INPUT_BOUND}`],
  [() => input.bound >= largestYield(input.preprocessing), 'preprocessing yields values beyond the bound'],
  [
    () =>
      encodedBits(input.bound * Math.sqrt(input.layout.parts), input.scale) + ENCODER_BITS <
      log2Modulus(parameters, input.level),
    'the scale of the input does not fit its level',
  ],
  [
    () => encodedBits(input.bound * Math.sqrt(input.layout.parts), input.scale) <= MAX_MESSAGE_BITS,
    `the input takes more than ${MAX_MESSAGE_BITS} bits when it is encoded`,
  ],
]

const outputLaws = ({ batch, output, labels }: ManifestContent, parameters: CkksParameters): Law[] => [
  [
    () => (parameters.slots / batch) % output.period === 0 && output.period >= output.classes,
    'the output layout does not fit the slots',
  ],
  [() => labels.length === 0 || labels.length === output.classes, 'labels and classes differ'],
  [
    () => encodedBits(output.bound, output.scale) < log2Modulus(parameters, output.level),
    'the scale of the output does not fit its level',
  ],
  [() => Number.isInteger(Math.log2(output.precision)), 'the precision is no power of two'],
  // Otherwise the server could choose that logits are shown with their noise, or are all rounded to zero.
  [
    () => output.precision >= leastNoise({ batch, output, parameters }) && output.precision <= output.bound,
    'logits are rounded to less than their noise, or to more than their bound',
  ],
  // The client refuses answers whose noise exceeds the tolerance. A much finer precision would show logits
  // with their noise.
  [
    () => output.precision * FINEST_PRECISION >= output.tolerance,
    'logits are rounded more finely than the noise that is tolerated',
  ],
]

const rotationLaws = (
  { batch, rotationSteps, conjugation, galoisElements }: ManifestContent,
  { ring, slots }: CkksParameters,
): Law[] => [
  [
    () => rotationSteps.length + Number(conjugation === true) === galoisElements.length,
    'rotations and Galois elements differ',
  ],
  [() => rotationSteps.every((step) => step < slots), 'a rotation beyond the slots'],
  [
    () => rotationSteps.every((step, i) => i === 0 || step > rotationSteps[i - 1]),
    'the rotations are not in ascending order',
  ],
  [() => rotationSteps.every((step) => step % batch === 0), 'a rotation mixes the images of a batch'],
  [
    () => rotationSteps.every((step, i) => galoisElement(ring, step) === galoisElements[i]),
    'rotations and Galois elements differ',
  ],
  [
    () => conjugation !== true || galoisElements.at(-1) === conjugationElement(ring),
    'conjugation and its Galois element differ',
  ],
]
