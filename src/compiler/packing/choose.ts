import { partsFor } from '../../circuit/layout.ts'
import type { Layout } from '../../circuit/types.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { Shape } from '../graph/graph.ts'

/**
 * Chooses the layout of a tensor: as many interleaved channels as fit into a ciphertext, then as many guard
 * rows and columns as fit without fewer channels. Taps have masks where guards are missing. The row stride is
 * a power of two where that takes neither channels nor guards. After a downsize, the rows of the denser
 * layout then lie at the slots of the old rows, which makes the repacking cheap.
 *
 * @param slots that one image has in a ciphertext
 * @param reach largest distance of a spatial tap from its output, in positions of this map
 * @throws CONFIG_INVALID when one channel does not fit a ciphertext
 */
export function chooseLayout(slots: number, shape: Shape, reach: number): Layout {
  const [channels, height, width] = shape
  const positions = nextPowerOfTwo(height * width)
  if (positions > slots) {
    throw new PolyVeilError(
      'CONFIG_INVALID',
      `A ${height} x ${width} map does not fit ${slots} slots; use a larger ring or a smaller input`,
      { height, width, slots },
    )
  }
  return withChannels(
    {
      channels,
      height,
      width,
      interleave: slots / positions,
      parts: 1,
      channelsPerCiphertext: 1,
      rowStride: rowStrideOf(height, width, positions, reach),
      columnStride: 1,
      offset: 0,
      ciphertexts: channels,
    },
    channels,
  )
}

/**
 * The layout of another number of channels, spread evenly over as few ciphertexts as possible. Two channels
 * share a slot.
 *
 * @param block channels that stay together in a ciphertext where they fit one: a power of two that divides
 *   the channels. Blocks begin at lanes that they divide
 */
export function withChannels(layout: Layout, channels: number, block = 1): Layout {
  const parts = partsFor(channels)
  const lanes = Math.min(Math.ceil(block / parts), layout.interleave)
  const blocks = Math.ceil(channels / (lanes * parts))
  const ciphertexts = Math.ceil(blocks / Math.floor(layout.interleave / lanes))
  return {
    ...layout,
    channels,
    parts,
    ciphertexts,
    channelsPerCiphertext: Math.ceil(blocks / ciphertexts) * lanes * parts,
  }
}

/** The layout of every `stride`-th position in both directions. A downsize moves no element. */
export function withStride(layout: Layout, stride: number, height: number, width: number): Layout {
  return {
    ...layout,
    height,
    width,
    rowStride: layout.rowStride * stride,
    columnStride: layout.columnStride * stride,
  }
}

function rowStrideOf(height: number, width: number, positions: number, reach: number): number {
  const guard = largestFreeGuard(height, width, positions, reach)
  const even = nextPowerOfTwo(width)
  const hasGuards = even - width >= guard && height + guard <= positions / even
  return hasGuards ? even : width + guard
}

function largestFreeGuard(height: number, width: number, positions: number, reach: number): number {
  let guard = reach
  while (guard > 0 && (height + guard) * (width + guard) > positions) guard--
  return guard
}

/**
 * Slots after which an answer repeats: the least power of two above the number of classes. At least one slot
 * has no logit. It is zero unless a value has overflowed, and the client looks at it.
 */
export const answerSlots = (classes: number): number => nextPowerOfTwo(classes + 1)

export const nextPowerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(n))
