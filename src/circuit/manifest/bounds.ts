import { z } from 'zod'
import { printable } from '../../errors/index.ts'
import { MAX_LOG_QP } from '../parameters/parameters.ts'

// Bounds of what a manifest or the header of a circuit file may say: every number has one before anything
// loops over it, so that checking either takes bounded time and memory, whoever wrote it.
// docs/threat-model.md states them.

/** Bytes of a circuit file's header; a manifest of more would not fit into an answer that clients take. */
export const MAX_HEADER_BYTES = 2 ** 23
export const MAX_LABELS = 100_000
export const MAX_LABEL_LENGTH = 256
export const MAX_LAYERS = 2 ** 16
export const MAX_ROUNDS = 10_000
/** Rotations below the slots of the largest ring. */
export const MAX_ROTATIONS = Math.max(...Object.keys(MAX_LOG_QP).map(Number)) / 2 - 1
export const MAX_COUNT = 2 ** 24
/** Height and width of an image in pixels, and the short side that it is resized to before a crop. */
export const MAX_SIDE = 4096
/** Values of the tensor that is packed, and slots of all ciphertexts that it is packed into. */
export const MAX_TENSOR_VALUES = 2 ** 22

/**
 * Every circuit takes inputs up to this absolute value at least. So a client can refuse tensors that are
 * larger before it asks a server anything. White noise of deviation 1, as golden tensors are made of, stays
 * below it.
 */
export const LEAST_INPUT_BOUND = 6

/** An array of at most `most` items. Its length is checked before any item is looked at. */
export const boundedList = <Item extends z.ZodType>(item: Item, most: number) =>
  z
    .custom<unknown[]>((data) => Array.isArray(data) && data.length <= most, {
      error: `it must be a list of at most ${most} items`,
    })
    .pipe(z.array(item))

const MAX_ISSUE_LENGTH = 200

/** Where the first fault that a schema found is, and what it is, in a line of bounded length. */
export function issueText({ issues: [issue] }: z.ZodError): string {
  const text = `${issue.path.join('.')}: ${issue.message}`
  return printable(text.length > MAX_ISSUE_LENGTH ? `${text.slice(0, MAX_ISSUE_LENGTH)}...` : text)
}
