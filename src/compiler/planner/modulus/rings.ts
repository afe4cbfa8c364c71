import { isBatch } from '../../../circuit/image-batch.ts'
import { MAX_EPHEMERAL_LOG_QP } from '../../../circuit/parameters/ephemeral.ts'
import { MAX_LOG_QP } from '../../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../../errors/index.ts'
import type { RefreshChoice } from '../../choices.ts'
import type { Graph } from '../../graph/graph.ts'
import { answerSlots, nextPowerOfTwo } from '../../packing/choose.ts'

/**
 * Slots of each image of a batch in a ciphertext of a ring.
 *
 * @param copies of each image; the slots are those of one copy
 */
export const imageSlots = (ring: number, batch: number, copies = 1): number => ring / 2 / batch / copies

/** The largest ring that plans consider where nobody names rings and the server restores no levels. */
const LARGEST_USUAL_RING = 32768

/**
 * The rings to consider where nobody names any. A server restores levels in those that raise moduli. Plans in
 * one shot and with refreshes by the client stop at 32768, where a key switch takes less than half of the
 * time and of the bytes that it takes at 65536: deeper networks are better off with refreshes.
 */
export const usualRings = (refresh: RefreshChoice): number[] =>
  refresh === 'server'
    ? Object.keys(MAX_EPHEMERAL_LOG_QP).map(Number)
    : knownRings().filter((ring) => ring <= LARGEST_USUAL_RING)

const knownRings = (): number[] => Object.keys(MAX_LOG_QP).map(Number)

/**
 * The rings whose ciphertexts hold a channel of the input and the logits of every image of a batch, the
 * smallest first.
 *
 * @throws CONFIG_INVALID when a ring is not in the security table or too large for the target, when no ring
 *   is large enough, or when the batch is not a power of two up to the slots
 */
export function ringsFor(
  graph: Graph,
  rings: readonly number[],
  batch: number,
  { name, largestRing }: { readonly name: string; readonly largestRing: number },
): number[] {
  const unknown = rings.find((ring) => !Object.hasOwn(MAX_LOG_QP, ring))
  if (unknown !== undefined || rings.length === 0) throw noRing(unknown)
  const beyond = rings.find((ring) => ring > largestRing)
  if (beyond !== undefined) throw beyondTarget(name, beyond, largestRing)
  const ascending = [...rings].sort((a, b) => a - b)
  const largest = ascending.at(-1)!
  if (!isBatch(batch, largest / 2)) throw noBatch(batch, largest)
  const needed = slotsNeeded(graph)
  const fitting = ascending.filter((ring) => imageSlots(ring, batch) >= needed)
  if (fitting.length === 0) throw tooSmall(graph, largest, batch)
  return fitting
}

/** Slots that one image needs at least: the positions of the largest map, or a period of its logits. */
export function slotsNeeded(graph: Graph): number {
  const [, height, width] = inputShape(graph)
  const [classes] = graph.nodes[graph.output].shape
  return Math.max(nextPowerOfTwo(height * width), answerSlots(classes))
}

const inputShape = (graph: Graph) => graph.nodes.find((node) => node.kind === 'input')!.shape

const noRing = (ring: number | undefined): PolyVeilError => {
  const known = knownRings().join(', ')
  return ring === undefined
    ? new PolyVeilError('CONFIG_INVALID', `No ring is given; there are ${known}`)
    : new PolyVeilError('CONFIG_INVALID', `Ring ${ring} is not one of ${known}`, { ring })
}

const beyondTarget = (target: string, ring: number, largestRing: number): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `Target ${target} has rings up to ${largestRing}, not ${ring}`, {
    ring,
    largestRing,
  })

const noBatch = (batch: number, ring: number): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `A batch of ${batch} is no power of two of images that share the ${ring / 2} slots of ring ${ring}`,
    { batch, ring },
  )

function tooSmall(graph: Graph, ring: number, batch: number): PolyVeilError {
  const [, height, width] = inputShape(graph)
  const [classes] = graph.nodes[graph.output].shape
  const slots = imageSlots(ring, batch)
  const share = batch === 1 ? `${slots} slots` : `the ${slots} slots that each of ${batch} images has`
  const smaller = batch === 1 ? 'a smaller input' : 'a smaller batch'
  return new PolyVeilError(
    'CONFIG_INVALID',
    `A ${height} x ${width} map and ${classes} classes do not fit ${share}; use a larger ring or ${smaller}`,
    { height, width, classes, slots, batch, ring },
  )
}
