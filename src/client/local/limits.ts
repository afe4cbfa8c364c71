import type { Manifest } from '../../circuit/manifest.ts'
import type { CkksParameters } from '../../circuit/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { keySetBytes, querySpec, responseSpec, tensorBytes } from '../../wire/index.ts'

/** What a client is willing to make, send and receive for one model. */
export interface ClientLimits {
  readonly maxKeyBytes: number
  readonly maxQueryBytes: number
  readonly maxResponseBytes: number
}

export const DEFAULT_LIMITS: ClientLimits = Object.freeze({
  maxKeyBytes: 2 ** 30,
  maxQueryBytes: 2 ** 28,
  maxResponseBytes: 2 ** 28,
})

/** Exact sizes of a model's frames in bytes. */
export interface ModelSizes {
  readonly keys: number
  readonly query: number
  readonly response: number
}

/**
 * The sizes that a manifest implies.
 *
 * @throws TOO_LARGE when one is over its limit: a server must not make a client work or send without end
 */
export function modelSizes(manifest: Manifest, parameters: CkksParameters, limits: ClientLimits): ModelSizes {
  const sizes = {
    keys: keySetBytes(parameters, manifest.galoisElements),
    query: tensorBytes(parameters, querySpec(manifest)),
    response: tensorBytes(parameters, responseSpec(manifest)),
  }
  requireWithin('keys', sizes.keys, limits.maxKeyBytes)
  requireWithin('query', sizes.query, limits.maxQueryBytes)
  requireWithin('response', sizes.response, limits.maxResponseBytes)
  return sizes
}

function requireWithin(what: keyof ModelSizes, bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `The model's ${what} would take ${bytes} bytes; the limit is ${maxBytes}`,
    {
      bytes,
      maxBytes,
    },
  )
}
