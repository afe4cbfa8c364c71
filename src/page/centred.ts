/** A grey picture: brightness from 0 to 255, row by row. */
export interface Grey {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** Side of the pictures of MNIST, and of the box that a digit fills in them. */
const SIDE = 28
const BOX = 20

/**
 * Brings a drawing to the form of MNIST's digits, which networks for digits are trained on: the drawn part
 * is scaled to a box of 20 x 20, and its centre of mass is in the middle of 28 x 28 (LeCun, Cortes, Burges).
 *
 * @returns undefined when nothing is drawn
 */
export function centred(drawing: Grey): Grey | undefined {
  const box = drawnBox(drawing)
  if (box === undefined) return undefined
  const scale = BOX / Math.max(box.right - box.left, box.bottom - box.top)
  const mass = centreOfMass(drawing)
  // The pixel in the middle of the result shows the centre of mass.
  const sourceOf = (at: number, centre: number): number => centre + (at + 0.5 - SIDE / 2) / scale
  const data = new Uint8Array(SIDE * SIDE)
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      data[y * SIDE + x] = meanAround(drawing, sourceOf(x, mass.x), sourceOf(y, mass.y), 1 / scale)
    }
  }
  return { width: SIDE, height: SIDE, data }
}

interface Box {
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** Bounds of the pixels that are not black; right and bottom are exclusive. */
function drawnBox({ width, height, data }: Grey): Box | undefined {
  let [left, top, right, bottom] = [width, height, 0, 0]
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (data[y * width + x] === 0) continue
      left = Math.min(left, x)
      top = Math.min(top, y)
      right = Math.max(right, x + 1)
      bottom = Math.max(bottom, y + 1)
    }
  }
  return right > left ? { left, top, right, bottom } : undefined
}

/** In units of pixels; the middle of the first pixel is at 0.5. */
function centreOfMass({ width, height, data }: Grey): { x: number; y: number } {
  let [sum, sumX, sumY] = [0, 0, 0]
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = data[y * width + x]
      sum += value
      sumX += value * (x + 0.5)
      sumY += value * (y + 0.5)
    }
  }
  return { x: sumX / sum, y: sumY / sum }
}

/** Mean brightness of a square, with black outside of the drawing. @param side at least one pixel is read */
function meanAround({ width, height, data }: Grey, x: number, y: number, side: number): number {
  const from = (centre: number): number => Math.floor(centre - side / 2)
  const to = (centre: number): number => Math.max(from(centre) + 1, Math.floor(centre + side / 2))
  let [sum, count] = [0, 0]
  for (let row = from(y); row < to(y); row++) {
    for (let column = from(x); column < to(x); column++) {
      const isInside = row >= 0 && row < height && column >= 0 && column < width
      sum += isInside ? data[row * width + column] : 0
      count++
    }
  }
  return Math.round(sum / count)
}
