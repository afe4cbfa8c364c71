import type { Footprint, Resampling } from './resample.ts'

/** Bits after the binary point of PIL's 8-bit resize: 32, less 8 of the sample and 2 of headroom. */
const PRECISION_BITS = 22
const ONE = 2 ** PRECISION_BITS
/** Half the width of the kernel at scale 1. */
const SUPPORT = 2
/** The bicubic kernel's free parameter, PIL's choice. */
const A = -0.5

/**
 * PIL's antialiased bicubic resize of 8-bit images (libImaging/Resample.c): the kernel widens when shrinking,
 * weights are fixed-point integers, and each pass rounds to 8 bits.
 */
export const bicubic: Resampling = {
  footprint: footprintAt,
  // PIL adds one half and shifts, then clips.
  finish: (sum) => Math.min(255, Math.max(0, Math.floor((sum + ONE / 2) / ONE))),
}

function footprintAt(x: number, inSize: number, outSize: number): Footprint {
  const scale = inSize / outSize
  const stretch = Math.max(1, scale)
  const centre = (x + 0.5) * scale
  const first = Math.max(0, Math.trunc(centre - SUPPORT * stretch + 0.5))
  const end = Math.min(inSize, Math.trunc(centre + SUPPORT * stretch + 0.5))
  const weights = Array.from({ length: end - first }, (_, k) => kernel((k + first - centre + 0.5) / stretch))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return { first, weights: weights.map((weight) => fixedPoint(weight / total)) }
}

function kernel(position: number): number {
  const x = Math.abs(position)
  if (x < 1) return ((A + 2) * x - (A + 3)) * x * x + 1
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * A
  return 0
}

/** Rounded half away from zero. */
const fixedPoint = (weight: number): number => Math.trunc(weight * ONE + (weight < 0 ? -0.5 : 0.5))
