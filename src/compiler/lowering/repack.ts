import { ciphertextOf, slotOf } from '../../circuit/layout.ts'
import type { Layout, SlotVector, ValueId } from '../../circuit/types.ts'
import { wrap } from '../packing/taps.ts'
import type { CircuitBuilder, TermDraft } from './builder/circuit-builder.ts'
import type { ConstantDraft } from './builder/constant-pool.ts'
import { eachCiphertext } from './ciphertexts.ts'
import { rotatedBack } from './constants.ts'
import type { Packed } from './packed.ts'
import { giantSum, type RotationStrategy } from './strategy.ts'

/**
 * Lowers a repacking to another layout. A mask of ones and zeros selects the elements that move by the same
 * number of slots, and a rotation moves them. The rotations are split into baby steps of the inputs and giant
 * steps of the outputs. Between layouts of equal row stride in slots, the number of distinct moves is the
 * number of columns times the number of ciphertexts that become one.
 *
 * @param target layout of the same channels and map
 * @param constantScale scale of the masks
 * @returns output at the input's level, at the input's scale times `constantScale`; clean
 */
export function lowerRepack(
  builder: CircuitBuilder,
  input: Packed,
  target: Layout,
  strategy: RotationStrategy,
  constantScale: number,
): Packed {
  const moves = cachedMoves(input.layout, target, builder.chain.slots)
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
 * Distance, in ciphertexts of a tensor to be repacked, between two that move to the same place of
 * neighbouring target ciphertexts.
 */
export const ciphertextStride = (from: Layout, to: Layout): number => {
  const stride = to.channelsPerCiphertext / from.channelsPerCiphertext
  return Number.isInteger(stride) ? stride : from.ciphertexts
}

/** The inputs that each output is made from, in the form of `eachCiphertext`'s operands. */
function sourcesOf({ layout, values }: Packed, target: Layout): (readonly ValueId[])[] {
  const stride = ciphertextStride(layout, target)
  // No two outputs are replicates where each output has its channels in other places of the inputs.
  if (stride === layout.ciphertexts) return [Array.from({ length: target.ciphertexts }, (_, out) => out)]
  return Array.from({ length: stride }, (_, source) =>
    Array.from({ length: target.ciphertexts }, (_, out) => values[out * stride + source]),
  )
}

/** Elements of one ciphertext that one rotation moves to another ciphertext. */
interface Move {
  readonly source: number
  /** Slots of the rotation to the left, from minus half of all slots to half of them. */
  readonly steps: number
  /** Slots of the elements after the rotation. */
  readonly targets: number[]
}

/** Moves of the pairs of layouts that were used last. All drafts of a network use the same few. */
const moveCache = new Map<string, readonly Moves[]>()
const MOST_CACHED = 16

function cachedMoves(from: Layout, to: Layout, slots: number): readonly Moves[] {
  const key = JSON.stringify([from, to, slots])
  const moves = moveCache.get(key) ?? movesBetween(from, to, slots)
  // Inserted again, so that the first key is the one that was used least recently.
  moveCache.delete(key)
  moveCache.set(key, moves)
  if (moveCache.size > MOST_CACHED) moveCache.delete(moveCache.keys().next().value!)
  return moves
}

/** The moves to one ciphertext, by source and steps. */
type Moves = ReadonlyMap<number, Move>

/** The moves to each ciphertext of the target. */
function movesBetween(from: Layout, to: Layout, slots: number): Map<number, Move>[] {
  const moves = Array.from({ length: to.ciphertexts }, () => new Map<number, Move>())
  // The channels of a slot move together.
  for (let c = 0; c < to.channels; c += to.parts) {
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
  const make = (): SlotVector => {
    const mask = new Float64Array(slots)
    for (const target of move.targets) mask[target] = 1
    return rotatedBack(mask, giantSteps)!
  }
  const constant: ConstantDraft = { period: slots, gain: Math.sqrt(move.targets.length / elements), make }
  return { value: () => builder.rotate(input.values[move.source], move.steps - giantSteps), constant }
}
