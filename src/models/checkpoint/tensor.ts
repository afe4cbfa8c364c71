/** A named tensor of a checkpoint, row-major. */
export interface CheckpointTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** Tensors by the name that the file gives them. */
export type Checkpoint = ReadonlyMap<string, CheckpointTensor>

/** More elements than any network of the family has (L has 60 million), so that no file can ask for more memory. */
export const MAX_ELEMENTS = 2 ** 27

/** Number of elements of a shape; NaN when a dimension is no whole number or the product is not exact. */
export function elementCount(shape: readonly number[]): number {
  let product = 1
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return Number.NaN
    product *= size
    if (!Number.isSafeInteger(product)) return Number.NaN
  }
  return product
}
