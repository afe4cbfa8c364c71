import type { KeyLife } from '../key-life.ts'
import type { PolyVeil } from '../polyveil.ts'

/** The public methods of `KeyLife`. */
export type KeySetCalls = { readonly [K in keyof KeyLife]: KeyLife[K] }

/**
 * A connection to a server, wherever it works: `PolyVeil` on the calling thread, or `WorkerPolyVeil` in a Web
 * Worker. Both have the same methods, which `PolyVeil` describes.
 */
export type Connection = {
  readonly [K in keyof PolyVeil]: K extends 'keySets' ? KeySetCalls : PolyVeil[K]
}
