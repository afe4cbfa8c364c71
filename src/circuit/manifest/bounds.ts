import * as z from 'zod'
import { printable } from '../../errors/index.ts'
import { LARGEST_RING } from '../parameters/parameters.ts'

// Bounds of the numbers in a manifest or in the header of a circuit file. Every number has a bound that is
// checked before a loop depends on it, so that checking takes bounded time and memory for any input.
// docs/threat-model.md states them.

/** Bytes of a circuit file's header. A larger manifest would exceed the answers that clients take. */
export const MAX_HEADER_BYTES = 2 ** 23
export const MAX_LABELS = 100_000
export const MAX_LABEL_LENGTH = 256
export const MAX_LAYERS = 2 ** 16
export const MAX_ROUNDS = 10_000
/** Each group of a transform has at least one stage, and the largest ring has 15. */
export const MAX_STAGE_GROUPS = 15
/** Most rotation steps: the slots of the largest ring, without zero. */
export const MAX_ROTATIONS = LARGEST_RING / 2 - 1
export const MAX_COUNT = 2 ** 24
/** Height and width of an image in pixels, and the short side that it is resized to before a crop. */
export const MAX_SIDE = 4096
/** Values of the tensor that is packed, and slots of all ciphertexts that it is packed into. */
export const MAX_TENSOR_VALUES = 2 ** 22

/**
 * Largest absolute value of means and bounds, and of the reciprocals of deviations. Sums of values and scales
 * within it stay far from the largest double, so that no encoder gives infinities.
 */
export const MAX_MAGNITUDE = 2 ** 64
/**
 * Most bits of an encoded image's coefficients, with the sign. Encoders take such numbers by the same steps,
 * whatever their sizes are. For larger ones they have slower steps, and the time of a query would tell which
 * coefficients of the picture are large.
 */
export const MAX_MESSAGE_BITS = 52
/**
 * Bits of a level's modulus beyond an encoded vector, because node-seal's encoder rounds both to whole bits.
 */
export const ENCODER_BITS = 1

/**
 * Every circuit takes inputs up to this absolute value at least, so that a client can refuse larger tensors
 * before it asks a server anything. White noise of deviation 1, which golden tensors consist of, stays below
 * it.
 */
export const LEAST_INPUT_BOUND = 6

/**
 * An array of at most `most` items. Its length is checked before any item is looked at. Checking ends at the
 * first wrong item: a fault noted for each of millions would take gigabytes.
 */
export const boundedList = <Item extends z.ZodType>(item: Item, most: number) =>
  z
    .custom<unknown[]>((data) => Array.isArray(data) && data.length <= most, {
      error: `it must be a list of at most ${most} items`,
    })
    .transform((list, context) => checkedItems(item, list, context))

function checkedItems<Item extends z.ZodType>(
  item: Item,
  list: readonly unknown[],
  context: z.RefinementCtx,
): z.output<Item>[] {
  const items: z.output<Item>[] = []
  for (const [index, value] of list.entries()) {
    const { data, error } = item.safeParse(value)
    if (error !== undefined) {
      const [{ message, path }] = error.issues
      context.addIssue({ code: 'custom', message, path: [index, ...path] })
      return z.NEVER
    }
    items.push(data)
  }
  return items
}

const MAX_ISSUE_LENGTH = 200

/** The place and the text of the first fault that a schema found, as a line of bounded length. */
export function issueText({ issues: [issue] }: z.ZodError): string {
  const text = `${issue.path.join('.')}: ${issue.message}`
  return printable(text.length > MAX_ISSUE_LENGTH ? `${text.slice(0, MAX_ISSUE_LENGTH)}...` : text)
}
