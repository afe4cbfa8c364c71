import type { Footprint, Resampling } from './resample.ts'

/**
 * Bilinear interpolation with half-pixel centres and no antialias, as torch's
 * `interpolate(mode='bilinear', align_corners=False)`. Values stay fractional.
 */
export const bilinear: Resampling = {
  footprint: footprintAt,
  // Weights that add up to 1 after rounding may bring 255 an ulp too high.
  finish: (sum) => Math.min(255, Math.max(0, sum)),
}

function footprintAt(x: number, inSize: number, outSize: number): Footprint {
  const position = Math.max(0, (x + 0.5) * (inSize / outSize) - 0.5)
  const first = Math.min(Math.floor(position), inSize - 1)
  // Beyond the last centre the last sample stands alone.
  if (first === inSize - 1) return { first, weights: [1] }
  const fraction = position - first
  return { first, weights: [1 - fraction, fraction] }
}
