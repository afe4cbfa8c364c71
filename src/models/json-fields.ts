import { z } from 'zod'

// Fields that JSON forms share.

const side = z.number().int().positive()
/** The side of a square, or height and width. */
export const size = z.union([side, z.tuple([side, side])])

export const sides = (size: number | [number, number]): [height: number, width: number] =>
  typeof size === 'number' ? [size, size] : size

/** Fields that every family's JSON form has. */
export const COMMON_JSON_FIELDS = {
  labels: z.array(z.string()).optional(),
  /** Read by `parsePreprocessing`. */
  preprocessing: z.unknown().optional(),
  /** Measurements of the network; ignored. */
  accuracy: z.unknown().optional(),
}
