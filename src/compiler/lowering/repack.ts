import { ciphertextOf, slotOf } from '../../circuit/layout.ts'
import type { Layout, ValueId } from '../../circuit/types.ts'
import { wrap } from '../packing/taps.ts'
import type { CircuitBuilder, TermDraft } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { rotatedBack } from './constants.ts'
import type { Packed } from './packed.ts'
import { giantSum, type RotationStrategy } from './strategy.ts'

/**
 * Moves a tensor to another layout: every element is cut out by a mask of ones and zeros and rotated to its
 * place, elements that go the same way together. Ways are split into baby steps of the inputs and giant steps
 * of the outputs. Between layouts whose rows are equally many slots apart there are as many ways as columns
 * times the factor by which ciphertexts become fewer.
 *
 * @param target layout of the same channels and map
 * @param constantScale scale of the masks
 * @returns clean, at the input's level
 */
export function lowerRepack(
  builder: CircuitBuilder,
  input: Packed,
  target: Layout,
  strategy: RotationStrategy,
  constantScale: number,
): Packed {
  const moves = knownMoves(input.layout, target, builder.chain.slots)
  const steps = splitSteps(moves.flatMap((ofOutput) => [...ofOutput.values()].map(({ steps }) => steps)))
  const values = eachCiphertext(builder, target, sourcesOf(input, target), (out) => {
    const ofOutput = moves[out]
    const elements = [...ofOutput.values()].reduce((sum, { targets }) => sum + targets.length, 0)
    const parts = new Map<number, ValueId>()
    const byGiant = Map.groupBy(ofOutput.values(), (move) => steps.giantOf(move.steps))
    for (const [giant, own] of byGiant) {
      const back = giant * steps.unit
      const terms = own.map((move) => termOf(builder, input, move, back, elements))
      parts.set(giant, builder.dot(terms, constantScale)!)
    }
    return giantSum(builder, strategy, parts, steps.unit)
  })
  return { layout: target, values, clean: true }
}

/**
 * In a tensor to be repacked, how many ciphertexts further one is that goes to the same place of another
 * ciphertext.
 */
export const ciphertextStride = (from: Layout, to: Layout): number => {
  const apart = to.channelsPerCiphertext / from.channelsPerCiphertext
  return Number.isInteger(apart) ? apart : from.ciphertexts
}

/** The inputs that each output is made from, as `eachCiphertext` compares them. */
function sourcesOf({ layout, values }: Packed, target: Layout): (readonly ValueId[])[] {
  const apart = ciphertextStride(layout, target)
  // Where channels fall differently in each output, no two are alike.
  if (apart === layout.ciphertexts) return [Array.from({ length: target.ciphertexts }, (_, out) => out)]
  return Array.from({ length: apart }, (_, source) =>
    Array.from({ length: target.ciphertexts }, (_, out) => values[out * apart + source]),
  )
}

/** Elements of one ciphertext that go to another one by the same rotation. */
interface Move {
  readonly source: number
  /** Of the rotation to the left, between minus half of the slots and half of them. */
  readonly steps: number
  /** Slots where the elements arrive. */
  readonly targets: number[]
}

/** Moves that were worked out last: each draft of a network asks for the same few. */
const lastMoves = new Map<string, readonly Moves[]>()
const MOST_KNOWN = 16

function knownMoves(from: Layout, to: Layout, slots: number): readonly Moves[] {
  const key = JSON.stringify([from, to, slots])
  const moves = lastMoves.get(key) ?? movesBetween(from, to, slots)
  // Inserted anew, so that the first one is the one that was not asked for longest.
  lastMoves.delete(key)
  lastMoves.set(key, moves)
  if (lastMoves.size > MOST_KNOWN) lastMoves.delete(lastMoves.keys().next().value!)
  return moves
}

/** By their sources and steps. */
type Moves = ReadonlyMap<number, Move>

/** For each ciphertext of the target the moves that fill it. */
function movesBetween(from: Layout, to: Layout, slots: number): Map<number, Move>[] {
  const moves = Array.from({ length: to.ciphertexts }, () => new Map<number, Move>())
  for (let c = 0; c < to.channels; c++) {
    const source = ciphertextOf(from, c)
    const ofOutput = moves[ciphertextOf(to, c)]
    for (let y = 0; y < to.height; y++) {
      for (let x = 0; x < to.width; x++) {
        const target = slotOf(to, c, y, x)
        const steps = centred(slotOf(from, c, y, x) - target, slots)
        // Distinct for all sources and steps.
        const key = source * slots + steps
        const known = ofOutput.get(key)
        if (known === undefined) ofOutput.set(key, { source, steps, targets: [target] })
        else known.targets.push(target)
      }
    }
  }
  return moves
}

const centred = (steps: number, slots: number): number => wrap(steps + slots / 2, slots) - slots / 2

interface SplitSteps {
  /** Slots of a giant step. */
  readonly unit: number
  giantOf(steps: number): number
}

/** Splits rotations into about as many baby steps as giant steps. */
function splitSteps(all: readonly number[]): SplitSteps {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  const distinct = new Set(all)
  const least = [...distinct].reduce((divisor, steps) => gcd(divisor, Math.abs(steps)), 0) || 1
  const range = (Math.max(...distinct) - Math.min(...distinct)) / least + 1
  const babies = 2 ** Math.round(Math.log2(range) / 2)
  const unit = least * babies
  return { unit, giantOf: (steps) => Math.round(steps / unit) }
}

/** @param elements of the output */
function termOf(
  builder: CircuitBuilder,
  input: Packed,
  move: Move,
  giantSteps: number,
  elements: number,
): TermDraft {
  const { slots } = builder.chain
  const make = (): Float64Array => {
    const mask = new Float64Array(slots)
    for (const target of move.targets) mask[target] = 1
    return rotatedBack(mask, giantSteps)!
  }
  const constant: ConstantDraft = { period: slots, gain: Math.sqrt(move.targets.length / elements), make }
  return { value: () => builder.rotate(input.values[move.source], move.steps - giantSteps), constant }
}
