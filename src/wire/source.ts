import { PolyVeilError } from '../errors/index.ts'

/**
 * Bytes that are read in pieces, for example from a file, so that a large key set is never in memory as a
 * whole.
 */
export interface ByteSource {
  readonly size: number
  /**
   * Whether `verifyKeySet` has passed these bytes, and only this program could have changed them since. Their
   * digest is then not computed again.
   */
  readonly verified?: boolean
  /** Reads `length` bytes from `offset` on; fewer come back only when the source ends before. */
  read(offset: number, length: number): Promise<Uint8Array>
}

/** A source over bytes in memory. */
export const bytesSource = (bytes: Uint8Array): ByteSource => ({
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
})

/** @throws TENSOR_MALFORMED when the source ends before `offset + length` */
export async function readExactly(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await source.read(offset, length)
  if (bytes.length !== length) {
    throw new PolyVeilError('TENSOR_MALFORMED', `The bytes end at ${offset + bytes.length} of ${source.size}`)
  }
  return bytes
}
