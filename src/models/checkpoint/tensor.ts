import type { DatatypeName } from './datatypes.ts'

/** A named tensor of a checkpoint, row-major. */
export interface CheckpointTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
  /** How the file stores the elements; absent where they come from no file. */
  readonly datatype?: DatatypeName
  /** Prefix that the file's name has before the bare name, such as `model.`; absent where it has none. */
  readonly prefix?: string
}

/** Tensors by the name that the file gives them. */
export type Checkpoint = ReadonlyMap<string, CheckpointTensor>

/** A checkpoint with its place in the file. */
export interface Weights {
  readonly tensors: Checkpoint
  /** Keys that lead to it, joined by dots; empty where the file is the state dict itself. */
  readonly entry: string
  /** All dictionaries of tensors in the file. */
  readonly entries: readonly { readonly name: string; readonly tensors: number }[]
  /** Notes about the choice, in words. */
  readonly notes: readonly string[]
}

/**
 * More elements than any network of the family has (L has 60 million), so that no file can ask for more
 * memory.
 */
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
