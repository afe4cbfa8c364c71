import { lanesIn } from '../../circuit/layout.ts'
import type { ValueId } from '../../circuit/types.ts'
import type { NodeOf, PositionedTap } from '../graph/graph.ts'
import { cachedNonzeros, cachedRootMeanSquare } from '../graph/statistics.ts'
import { positionOf } from '../packing/taps.ts'
import type { CircuitBuilder } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { isZeroInLanes, outerConstant, type Part, positionFactors } from './constants.ts'
import { channelHalf, type Half, halfGain, roundingVariance } from './halves.ts'
import { layerValues } from './layer-values.ts'
import type { Form, Packed } from './packed.ts'

/**
 * Lowers a sum of reads at other positions, each with factors of its own for channels and positions. The
 * source is rotated to each tap once, and multiplied by full-size plaintexts that have zeros where the tap
 * reads beyond the map. A ciphertext none of whose channels has a tap leaves the tap out.
 *
 * @param constantScale scale of the plaintexts
 * @returns output at the input's level, at the input's scale times `constantScale`; clean
 */
export function lowerTaps(
  builder: CircuitBuilder,
  input: Packed,
  node: NodeOf<'taps'>,
  constantScale: number,
  form: Form,
): Packed {
  const { layout } = input
  const factors = node.taps.map((tap) => sharedFactors(builder, input, tap))
  const sumOf =
    (index: number) =>
    (half: Half): ValueId | undefined => {
      const terms = node.taps.map((tap, k) => ({
        value: () => builder.rotate(input.values[index], stepsOf(input, tap)),
        constant: constantOf(builder, input, tap, factors[k], index, half),
      }))
      return builder.dot(terms, constantScale)
    }
  const made = layerValues(builder, layout, form, {
    operands: [input.values, tapsByCiphertext(input, node)],
    from: layout.parts,
    constantScale,
    sumOf,
    sourceOf: (index) => input.values[index],
  })
  return { layout, ...made, clean: true }
}

/** Slots between an output and the element that a tap reads. */
const stepsOf = ({ layout }: Packed, { dy, dx }: PositionedTap): number =>
  (positionOf(layout, dy, dx) - positionOf(layout, 0, 0)) * layout.interleave

/** The factors of positions, computed when they are first needed and shared by all ciphertexts. */
function sharedFactors(
  builder: CircuitBuilder,
  { layout }: Packed,
  { position }: PositionedTap,
): () => Float64Array | undefined {
  let made: { readonly factors: Float64Array | undefined } | undefined
  return () => {
    made ??= {
      factors: positionFactors(builder.chain.slots, layout, 0, (y, x) => position[y * layout.width + x]),
    }
    return made.factors
  }
}

function constantOf(
  builder: CircuitBuilder,
  { layout }: Packed,
  { channel, position }: PositionedTap,
  factors: () => Float64Array | undefined,
  index: number,
  half: Half,
): ConstantDraft {
  const factorOf = (lane: number, part: Part): number =>
    channelHalf(half, part, layout, index, lane, (c) => channel[c])
  const size = cachedRootMeanSquare(channel) * cachedRootMeanSquare(position)
  return {
    period: builder.chain.slots,
    gain: halfGain(size, half, layout.parts, true),
    rounding: roundingVariance(half, layout.parts, true),
    isZero: () => cachedNonzeros(position) === 0 || isZeroInLanes(layout, index, factorOf),
    make: () => outerConstant(layout, index, factors(), factorOf),
  }
}

/**
 * For each ciphertext, a number that is equal where the same taps have a factor other than zero, in the same
 * form of their halves. In a draft, only such ciphertexts are replicates of each other.
 */
function tapsByCiphertext({ layout }: Packed, { taps }: NodeOf<'taps'>): ValueId[] {
  const patterns = Array.from({ length: layout.ciphertexts }, (_, index) => {
    const used = taps.flatMap(({ channel }) =>
      (['plain', 'conjugated', 'first', 'second'] as const).map((half) =>
        isZeroInLanes(layout, index, (lane, part) =>
          channelHalf(half, part, layout, index, lane, (c) => channel[c]),
        )
          ? '0'
          : '1',
      ),
    )
    return `${lanesIn(layout, index)} ${used.join('')}`
  })
  return patterns.map((own) => patterns.indexOf(own))
}
