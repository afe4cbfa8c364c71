import type { Layout } from '../../../circuit/types.ts'
import { wrap } from '../../packing/taps.ts'

/**
 * The pairs of positions whose scores a ciphertext has. Lane l of a block has, at the position of query t,
 * the score of the key `unit * (l + lanes * (near + nears * far))` positions behind t; positions wrap around.
 * The ciphertext is moved by `unit * lanes * nears * far` positions, so that a query's row is that much to
 * the right.
 */
export interface PairGroup {
  readonly near: number
  readonly far: number
}

/** How the scores of a layout lie in ciphertexts. */
export interface Diagonals {
  /** Heads of a ciphertext; 1 where a head takes several ciphertexts. */
  readonly heads: number
  /** Lanes of a head in a ciphertext; a power of two. Each of them has slots of two channels. */
  readonly block: number
  /**
   * Ciphertexts of query, key or value that a head takes; several heads share a ciphertext where this is 1.
   */
  readonly span: number
  /** Lanes of a block that have scores: fewer than the block's where the map has few positions. */
  readonly lanes: number
  /** Slots between the keys of neighbouring lanes. */
  readonly unitSlots: number
  /** Number of different `near` of pair groups. */
  readonly nears: number
  /** The groups that have a pair within the map, in the order of their ciphertexts. */
  readonly groups: readonly PairGroup[]
}

/**
 * @param layout of query, key and value, with two channels in a slot and a whole number of heads, or of equal
 *   parts of one head, in each ciphertext
 * @param channels of a head, a power of two
 * @param slots of one image
 */
export function diagonalsOf(layout: Layout, channels: number, slots: number): Diagonals {
  const { interleave, parts } = layout
  if (parts !== 2 || !Number.isInteger(Math.log2(channels))) {
    throw new Error(`A head of ${channels} channels has no whole number of slots`)
  }
  const block = Math.min(channels / parts, interleave)
  const positions = slots / interleave
  const unit = unitOf(layout, positions)
  const count = positions / unit
  const lanes = Math.min(block, count)
  const steps = count / lanes
  const nears = 2 ** Math.ceil(Math.log2(steps) / 2)
  const used = new Set(
    distancesWithin(layout, positions).map((distance) => Math.floor(distance / unit / lanes)),
  )
  const groups = Array.from({ length: steps }, (_, step) => step)
    .filter((step) => used.has(step))
    .map((step) => ({ near: step % nears, far: Math.floor(step / nears) }))
  return {
    heads: Math.max(1, layout.channelsPerCiphertext / channels),
    block,
    span: channels / parts / block,
    lanes,
    unitSlots: unit * interleave,
    nears,
    groups,
  }
}

/**
 * Greatest common divisor of the distances between the map's positions; a power of two, since positions wrap.
 */
function unitOf({ rowStride, columnStride }: Layout, positions: number): number {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  return gcd(positions, gcd(rowStride, columnStride))
}

/** The distances from a position of the map to another one, from 0 to `positions` - 1. */
function distancesWithin({ height, width, rowStride, columnStride }: Layout, positions: number): number[] {
  const distances = new Set<number>()
  for (let y = 1 - height; y < height; y++) {
    for (let x = 1 - width; x < width; x++) {
      distances.add(wrap(y * rowStride + x * columnStride, positions))
    }
  }
  return [...distances]
}

/** Slots by which the rows of a group of pairs are moved to the right. */
export const farSlots = ({ unitSlots, lanes, nears }: Diagonals, far: number): number =>
  unitSlots * lanes * nears * far

/** Slots by which the keys of a group of pairs lie to the right, beside `farSlots`. */
export const nearSlots = ({ unitSlots, lanes }: Diagonals, near: number): number => unitSlots * lanes * near

/**
 * The layout that scores have for everything but their elements: their ciphertexts are real, and those of one
 * head, or of the heads of one ciphertext, follow each other.
 */
export function scoresLayout(layout: Layout, { heads, lanes, span, groups }: Diagonals): Layout {
  const ciphertexts = (layout.ciphertexts / span) * groups.length
  return {
    ...layout,
    parts: 1,
    ciphertexts,
    channelsPerCiphertext: heads * lanes,
    channels: ciphertexts * heads * lanes,
  }
}
