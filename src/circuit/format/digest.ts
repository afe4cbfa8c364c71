import { sha256 } from '@noble/hashes/sha2.js'

/** A SHA-256 digest that takes its input in pieces. */
export interface Digest {
  update(bytes: Uint8Array): unknown
  /** The 32 bytes; ends the digest. */
  digest(): Uint8Array
}

// Key sets and circuits have hundreds of megabytes. Node's own hash is several times faster than
// JavaScript's. Browsers have no hash that takes its input in pieces.
const crypto = globalThis.process?.getBuiltinModule?.('node:crypto')

/** SHA-256 by the platform where it has one, else in JavaScript. */
export const createDigest: () => Digest = crypto ? () => crypto.createHash('sha256') : () => sha256.create()

/** SHA-256 of bytes in memory. */
export function digestOf(bytes: Uint8Array): Uint8Array {
  const digest = createDigest()
  digest.update(bytes)
  return digest.digest()
}
