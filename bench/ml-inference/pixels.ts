/** Side of the images of MNIST. */
export const SIDE = 28
const AREA = SIDE * SIDE

/**
 * Reads images as the harness writes them: one in a line, as brightnesses from 0 to 1.
 *
 * @returns brightnesses from 0 to 255, one image after the other
 * @throws Error when a line has another form
 */
export function parsePixels(text: string): Uint8Array {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const bytes = new Uint8Array(lines.length * AREA)
  lines.forEach((line, i) => {
    const values = line.trim().split(/\s+/).map(Number)
    const isImage = values.length === AREA && values.every((value) => value >= 0 && value <= 1)
    if (!isImage) throw new Error(`Line ${i + 1} is no image of ${AREA} numbers from 0 to 1`)
    bytes.set(
      values.map((value) => Math.round(255 * value)),
      i * AREA,
    )
  })
  return bytes
}

/** The image at a place, in the form that clients take. */
export const imageAt = (bytes: Uint8Array, index: number) => ({
  width: SIDE,
  height: SIDE,
  channels: 1 as const,
  data: bytes.subarray(index * AREA, (index + 1) * AREA),
})
