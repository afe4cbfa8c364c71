import { partsFor } from '../../circuit/layout.ts'
import type { NodeOf, Shape } from '../graph/graph.ts'

// Repacking selects elements by masks, one for each column and each source ciphertext. All masks are
// rotations of one mask, so the rounded coefficients of their polynomials are equal up to a shift. The error
// at a given distance from a mask's ones is therefore equal for all columns and for all target ciphertexts,
// and it multiplies the element at that distance from the selected one. In smooth maps these errors add up.
// In a network trained on photographs they changed the logits 15 times as much as independent errors would.

/**
 * Sum of squares of a scalar's gradient with respect to the error of a mask at each row and distance: sum
 * over rows and distances of (sum over channels and columns of the gradient times the element at that
 * distance within the row)^2.
 *
 * @param tensor [C, H, W]
 * @param gradient of the scalar with respect to it
 */
export function maskGradient(
  tensor: Float64Array,
  gradient: Float64Array,
  [channels, height, width]: Shape,
): number {
  let sum = 0
  for (let y = 0; y < height; y++) {
    for (let distance = 1 - width; distance < width; distance++) {
      let own = 0
      for (let c = 0; c < channels; c++) {
        const row = (c * height + y) * width
        own += overlap(tensor, gradient, row, width, distance)
      }
      sum += own * own
    }
  }
  return sum
}

/** Sum over a row's columns of the gradient times the element at a distance within the row. */
function overlap(
  tensor: Float64Array,
  gradient: Float64Array,
  row: number,
  width: number,
  distance: number,
): number {
  const end = row + Math.min(width, width - distance)
  let sum = 0
  for (let at = row + Math.max(0, -distance); at < end; at++) sum += gradient[at] * tensor[at + distance]
  return sum
}

/**
 * Adds the effect of mask errors to a repacked tensor.
 *
 * @param tensor [C, H, W] of the node; changed in place
 * @param error draws the error of a mask in a slot; called for each row and distance
 */
export function addMaskErrors(
  { shape, merged }: Pick<NodeOf<'repack'>, 'shape' | 'merged'>,
  tensor: Float64Array,
  error: () => number,
): void {
  const [channels, height, width] = shape
  const exact = tensor.slice()
  // Masks are real, so they move the parts of a slot separately.
  const parts = partsFor(channels)
  for (let y = 0; y < height; y++) {
    for (let offset = 1 - merged; offset < merged; offset++) {
      const errors = Float64Array.from({ length: 2 * width - 1 }, error)
      for (let c = 0; c < channels; c++) {
        const other = c + parts * offset
        const ciphertext = Math.floor(c / (parts * merged))
        if (other >= channels || Math.floor(other / (parts * merged)) !== ciphertext) continue
        addToRow(tensor, (c * height + y) * width, exact, (other * height + y) * width, errors)
      }
    }
  }
}

/**
 * Adds to a row the elements of another row times the errors. @param errors of distances 1 - width .. width -
 * 1
 */
function addToRow(
  tensor: Float64Array,
  row: number,
  exact: Float64Array,
  from: number,
  errors: Float64Array,
): void {
  const width = (errors.length + 1) / 2
  for (let x = 0; x < width; x++) {
    for (let read = 0; read < width; read++)
      tensor[row + x] += errors[read - x + width - 1] * exact[from + read]
  }
}
