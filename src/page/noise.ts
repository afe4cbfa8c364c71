import { contextOf } from './elements.ts'

const SIDE = 160

/**
 * Draws the first bytes of an encrypted picture as brightness, one pixel a byte, behind the frame's header.
 *
 * @param offset where the residues begin
 */
export function drawNoise(canvas: HTMLCanvasElement, frame: Uint8Array, offset: number): void {
  const context = contextOf(canvas, SIDE, SIDE)
  const pixels = context.createImageData(SIDE, SIDE)
  for (let i = 0; i < SIDE * SIDE; i++) {
    // A short frame leaves the rest transparent.
    const byte = frame[offset + i]
    if (byte === undefined) break
    pixels.data.fill(byte, 4 * i, 4 * i + 3)
    pixels.data[4 * i + 3] = 255
  }
  context.putImageData(pixels, 0, 0)
}
