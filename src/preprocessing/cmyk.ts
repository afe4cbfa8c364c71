/**
 * Inks to colours by the plain formula of PIL and of browsers, for files that have no colour profile: each
 * ink takes its share of what black leaves.
 *
 * @param inks C, M, Y and K for each pixel, 255 is full ink
 * @returns R, G and B for each pixel
 */
export function rgbOfCmyk(inks: Uint8Array): Uint8Array {
  const pixels = inks.length / 4
  const colours = new Uint8Array(3 * pixels)
  for (let i = 0; i < pixels; i++) {
    const light = 255 - inks[4 * i + 3]
    for (let c = 0; c < 3; c++) colours[3 * i + c] = Math.max(0, light - share(inks[4 * i + c], light))
  }
  return colours
}

/** a b / 255 as PIL rounds it. */
function share(a: number, b: number): number {
  const product = a * b + 128
  return ((product >> 8) + product) >> 8
}
