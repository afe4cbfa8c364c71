import { PolyVeilError } from '../errors/index.ts'
import type { Checkpoint } from './checkpoint/index.ts'

/** Names that a message lists. */
const MOST_LISTED = 5

/**
 * Finds the prefix of the network's tensors when all of them are below another name, such as `backbone.`.
 *
 * @param anchor a tensor that every network of the family has
 * @throws TENSOR_MISSING naming the prefixes below which a network is, or the prefix that all names share
 */
export function refusePrefixed(checkpoint: Checkpoint, anchor: string): void {
  if (checkpoint.has(anchor)) return
  const prefixes = prefixesOfNetworks(checkpoint, anchor)
  const shared = sharedPrefix(checkpoint)
  const found = prefixes.length > 0 ? prefixes : shared === '' ? [] : [shared]
  if (found.length === 0) return
  const [names, choice] = [found.slice(0, MOST_LISTED).join(' and '), found[0]]
  throw new PolyVeilError(
    'TENSOR_MISSING',
    prefixes.length > 0
      ? `The checkpoint has no ${anchor}, but one below ${names}: give --prefix ${choice} to read the network there`
      : `The checkpoint has no ${anchor}; all its names begin with ${names}: give --prefix ${choice} if the network stands there`,
    { tensor: anchor, prefixes: found.slice(0, MOST_LISTED) },
    { remedy: `Give --prefix ${choice}, in programs readCheckpoint's option prefix.` },
  )
}

/** Prefixes of networks in a checkpoint; empty for a network without one. */
export const prefixesOfNetworks = (checkpoint: Checkpoint, anchor: string): string[] =>
  [...checkpoint.keys()]
    .filter((name) => name === anchor || name.endsWith(`.${anchor}`))
    .map((name) => name.slice(0, -anchor.length))

/** The longest prefix of whole parts that all names have, the last part of each left out. */
function sharedPrefix(checkpoint: Checkpoint): string {
  const [first = '', ...others] = [...checkpoint.keys()].filter((name) => name !== 'n_averaged')
  let shared = first.split('.').slice(0, -1)
  for (const name of others) {
    const parts = name.split('.').slice(0, -1)
    const end = shared.findIndex((part, i) => part !== parts[i])
    if (end >= 0) shared = shared.slice(0, end)
  }
  return shared.length === 0 ? '' : `${shared.join('.')}.`
}
