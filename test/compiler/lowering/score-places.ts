import { slotOf } from '../../../src/circuit/layout.ts'
import type { Layout } from '../../../src/circuit/types.ts'
import { diagonalsOf, farSlots, nearSlots } from '../../../src/compiler/lowering/attention/diagonals.ts'
import { wrap } from '../../../src/compiler/packing/taps.ts'

/** The sizes of attention. */
export interface Heads {
  readonly heads: number
  /** Channels of a head. */
  readonly channels: number
  readonly height: number
  readonly width: number
}

/** A score of the tensor [heads * T, T], and its place on packed diagonals. */
interface ScorePlace {
  readonly index: number
  readonly ciphertext: number
  readonly slot: number
}

/**
 * Where the score of each pair of positions is.
 *
 * @param layout of query, key and value
 * @param slots of one image
 */
export function* scorePlaces(
  { heads, channels, height, width }: Heads,
  layout: Layout,
  slots: number,
): Generator<ScorePlace> {
  const diagonals = diagonalsOf(layout, channels, slots)
  const { block, lanes, unitSlots, groups, span, heads: together } = diagonals
  const area = height * width
  const positions = Array.from({ length: area }, (_, at) =>
    slotOf(layout, 0, Math.floor(at / width), at % width),
  )
  const keyAt = new Map(positions.map((slot, at) => [slot, at]))
  for (let head = 0; head < heads; head++) {
    const first = Math.floor((head * channels) / (layout.channelsPerCiphertext * span)) * groups.length
    for (const [group, { near, far }] of groups.entries()) {
      for (let lane = 0; lane < lanes; lane++) {
        const moved = farSlots(diagonals, far)
        const distance = lane * unitSlots + nearSlots(diagonals, near) + moved
        for (const [query, start] of positions.entries()) {
          const key = keyAt.get(wrap(start + distance, slots))
          if (key === undefined) continue
          const slot = wrap(start + moved, slots) + (head % together) * block + lane
          yield { index: (head * area + key) * area + query, ciphertext: first + group, slot }
        }
      }
    }
  }
}

/** The scores of all heads, from the real slots of their ciphertexts. A pair without a place is NaN. */
export function scoresFrom(slots: readonly Float64Array[], heads: Heads, layout: Layout): Float64Array {
  const found = new Float64Array(heads.heads * (heads.height * heads.width) ** 2).fill(Number.NaN)
  for (const { index, ciphertext, slot } of scorePlaces(heads, layout, slots[0].length)) {
    found[index] = slots[ciphertext][slot]
  }
  return found
}
