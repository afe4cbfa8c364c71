import { PolyVeilError } from '../../errors/index.ts'
import type { Amount, RoomView } from './key-set-index.ts'
import type { KeySetRecord, NamedKeySet } from './key-set-record.ts'
import type { AllLimits } from './key-store-limits.ts'

/** Incomplete sets of a network, in those of one owner. */
const NETWORK_FACTOR = 4
/** Part of the store that one network takes at most, unless a single owner may have more. */
const NETWORK_SHARE = 0.75
/** Seconds after which a client may try again when the store is full. */
const FULL_RETRY_SECONDS = 60
const UPLOAD_RETRY_SECONDS = 10

/** @throws TOO_BUSY when the owner or its network has too many incomplete sets */
export function requireFewUploads(
  { uploadsOfOwner, uploadsOfNetwork }: RoomView,
  { maxUploadsPerOwner }: AllLimits,
): void {
  const isOwnerWithin = uploadsOfOwner < maxUploadsPerOwner
  if (isOwnerWithin && uploadsOfNetwork < NETWORK_FACTOR * maxUploadsPerOwner) return
  throw new PolyVeilError(
    'TOO_BUSY',
    isOwnerWithin
      ? `The network of this address has ${uploadsOfNetwork} uploads of key sets under way, as many as it may`
      : `This client has ${uploadsOfOwner} uploads of key sets under way, as many as it may`,
    { retryAfter: UPLOAD_RETRY_SECONDS, maxUploadsPerAddress: maxUploadsPerOwner },
  )
}

/**
 * Names of the owner's sets that must be removed to make room for a new set of `bytes` bytes.
 *
 * @throws TOO_LARGE, TOO_BUSY
 */
export function setsToReplace(bytes: number, view: RoomView, limits: AllLimits): string[] {
  const { maxSets, maxTotalBytes: maxBytes } = limits
  requireFitting(bytes, limits)
  const isFull = (going: Amount): boolean => !isWithin(view.all, going, bytes, { maxSets, maxBytes })
  const fits = (going: Amount): boolean =>
    !isFull(going) && isWithin(view.ofNetwork, going, bytes, roomOfNetwork(limits))
  const names: string[] = []
  let going: Amount = { sets: 0, bytes: 0 }
  for (const [name, record] of view.completeOfOwner) {
    if (fits(going)) break
    names.push(name)
    going = { sets: going.sets + 1, bytes: going.bytes + record.bytes }
  }
  if (fits(going)) return names
  throw new PolyVeilError(
    'TOO_BUSY',
    isFull(going)
      ? 'The server holds as many key sets as it can'
      : 'The network of this address has as many key sets as it may',
    { retryAfter: FULL_RETRY_SECONDS },
  )
}

/** @throws TOO_LARGE for a set that has no room even in an empty store */
function requireFitting(bytes: number, limits: AllLimits): void {
  const maxBytes = Math.min(limits.maxSetBytes, limits.maxTotalBytes, roomOfNetwork(limits).maxBytes)
  if (bytes <= maxBytes) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `A key set of ${bytes} bytes is larger than ${maxBytes}`,
    { bytes, maxBytes },
    {
      remedy:
        'Raise maxKeySetMegabytes on the server, and maxStoredMegabytes if it is less; or compile the network for smaller ' +
        'keys (--objective keys).',
    },
  )
}

/**
 * Names of an owner's sets beyond the limits, now that the set `latest` is complete.
 *
 * @param complete the owner's complete sets, the least recently used first
 */
export function surplusOf(
  complete: readonly NamedKeySet[],
  [latest, { bytes }]: NamedKeySet,
  owner: string,
  limits: AllLimits,
): string[] {
  const others = complete.filter(([name]) => name !== latest)
  const maxSets = limits.setsOf?.(owner) ?? limits.maxSetsPerOwner
  let sets = others.length + 1
  let total = bytesOf(others.map(([, record]) => record)) + bytes
  const going: string[] = []
  for (const [name, record] of others) {
    if (sets <= maxSets && total <= limits.maxBytesPerOwner) break
    going.push(name)
    sets--
    total -= record.bytes
  }
  return going
}

interface Room {
  readonly maxSets: number
  readonly maxBytes: number
}

const roomOfNetwork = ({ maxSets, maxTotalBytes, maxSetsPerOwner, maxBytesPerOwner }: AllLimits): Room => ({
  maxSets: Math.max(Math.ceil(NETWORK_SHARE * maxSets), maxSetsPerOwner),
  maxBytes: Math.max(NETWORK_SHARE * maxTotalBytes, maxBytesPerOwner),
})

/** Whether a further set of `bytes` bytes has room beside those that stay. */
const isWithin = (all: Amount, going: Amount, bytes: number, { maxSets, maxBytes }: Room): boolean =>
  all.sets - going.sets < maxSets && all.bytes - going.bytes + bytes <= maxBytes

export const bytesOf = (records: readonly KeySetRecord[]): number =>
  records.reduce((sum, { bytes }) => sum + bytes, 0)
