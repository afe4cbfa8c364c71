import type { Preprocessing } from './types.ts'

/** A fault in a field of a preprocessing. */
export interface PreprocessingFault {
  readonly field: 'resize' | 'mean' | 'std'
  readonly reason: string
}

/**
 * Checks that a preprocessing yields the image that a network takes, for every picture.
 *
 * @param size height and width of the network's input
 * @returns the first fault; undefined when there is none
 */
export function preprocessingFault(
  { channels, resize, mean, std }: Preprocessing,
  { height, width }: { readonly height: number; readonly width: number },
): PreprocessingFault | undefined {
  if (resize.height !== height || resize.width !== width) {
    return {
      field: 'resize',
      reason: `it makes ${resize.height}x${resize.width}, but input_size is ${height}x${width}`,
    }
  }
  if (resize.mode === 'shortSide' && resize.size < Math.max(height, width)) {
    return { field: 'resize', reason: `a crop does not fit into a short side of ${resize.size}` }
  }
  const expected = sentChannels(channels)
  if (mean.length !== expected) return { field: 'mean', reason: `${expected} values are needed` }
  if (std.length !== expected) return { field: 'std', reason: `${expected} values are needed` }
  if (!mean.every(Number.isFinite)) return { field: 'mean', reason: 'values must be finite' }
  if (!std.every((s) => Number.isFinite(s) && s > 0)) {
    return { field: 'std', reason: 'values must be positive' }
  }
  return undefined
}

/** Channels of the tensor that a preprocessing yields. */
export const sentChannels = (channels: Preprocessing['channels']): 1 | 3 => (channels === 'grey' ? 1 : 3)

/**
 * The largest absolute value that a preprocessing yields for any picture. Resized pixels are clipped to
 * 0..255, and normalising is monotone, also with its rounding. 0 without a preprocessing, which takes no
 * pictures.
 */
export const largestYield = (preprocessing: Pick<Preprocessing, 'mean' | 'std'> | null): number =>
  preprocessing === null ? 0 : largestOf(preprocessing)

const largestOf = ({ mean, std }: Pick<Preprocessing, 'mean' | 'std'>): number =>
  Math.max(...mean.flatMap((m, c) => [Math.abs((0 - m) / std[c]), Math.abs((1 - m) / std[c])]))
