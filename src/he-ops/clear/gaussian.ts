/** Draws from the normal distribution of mean 0 and deviation 1. */
export type Gaussian = () => number

/**
 * A reproducible source of normal numbers: equal seeds give equal sequences. For simulations only, never for
 * secrets.
 *
 * Uniform numbers by Chris Doty-Humphrey's sfc32 (PractRand), normal ones by Box and Muller.
 */
export function seededGaussian(seed: number): Gaussian {
  const uniform = sfc32(seed)
  let spare: number | undefined
  return () => {
    if (spare !== undefined) {
      const value = spare
      spare = undefined
      return value
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()))
    const angle = 2 * Math.PI * uniform()
    spare = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}

/** Uniform multiples of 2^-32 in [0, 1). */
function sfc32(seed: number): () => number {
  let a = 0
  let b = seed | 0
  let c = 0x9e3779b9
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter++) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  // The generator's author discards the first twelve numbers, which depend too simply on the seed.
  for (let i = 0; i < 12; i++) next()
  return next
}
