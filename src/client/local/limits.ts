import type { Manifest } from '../../circuit/manifest/manifest.ts'
import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import {
  keySetBytes,
  maskedSpec,
  querySpec,
  refreshedSpec,
  responseSpec,
  tensorBytes,
} from '../../wire/index.ts'
import { limitsArgument } from '../arguments.ts'
import { DEFAULT_INFERENCE_SECONDS, DEFAULT_KEYS_SECONDS } from '../time-limit.ts'

/** Limits on bytes that a client makes, sends and receives for one model. */
export interface ByteLimits {
  /** Circuits whose server restores levels have key sets of up to 2 GB. */
  readonly maxKeyBytes: number
  readonly maxQueryBytes: number
  readonly maxResponseBytes: number
  /** Bytes of a masked tensor, and of the reply to it. A client takes some six times as much memory. */
  readonly maxRoundBytes: number
  /** Bytes that the client sends for an inference, without keys: query and refresh rounds. */
  readonly maxUploadBytes: number
  /** Bytes that the client receives for an inference: refresh rounds and response. */
  readonly maxDownloadBytes: number
}

/** Limits on what one model may ask of a client. */
export interface ClientLimits extends ByteLimits {
  /** Seconds of one inference without the upload of keys: query, refresh rounds, and waits for room. */
  readonly maxInferenceSeconds: number
  /** Seconds to find or upload a key set, and of each call of `keySets`. */
  readonly maxKeysSeconds: number
}

export const DEFAULT_LIMITS: ClientLimits = Object.freeze({
  maxKeyBytes: 2 ** 31,
  maxQueryBytes: 2 ** 28,
  maxResponseBytes: 2 ** 28,
  maxRoundBytes: 2 ** 27,
  maxUploadBytes: 2 ** 31,
  maxDownloadBytes: 2 ** 31,
  maxInferenceSeconds: DEFAULT_INFERENCE_SECONDS,
  maxKeysSeconds: DEFAULT_KEYS_SECONDS,
})

/**
 * All limits, those of `DEFAULT_LIMITS` where a limit is absent or undefined.
 *
 * @throws CONFIG_INVALID when a limit does not exist or is no number above 0
 */
export function limitsOf(limits?: Partial<ClientLimits>): ClientLimits {
  const checked = limitsArgument(limits, Object.keys(DEFAULT_LIMITS))
  const given = Object.entries(checked).filter(([, value]) => value !== undefined)
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(given) }
}

/** Exact sizes of a model's frames in bytes. */
export interface ModelSizes {
  readonly keys: number
  readonly query: number
  readonly response: number
  /** For each refresh round. */
  readonly rounds: readonly RoundSizes[]
}

/** Exact sizes of a refresh round's frames in bytes. */
export interface RoundSizes {
  /** The masked tensor, from the server. */
  readonly down: number
  /** Its answer, from the client. */
  readonly up: number
}

/** Bytes of all refresh rounds of an inference together. */
export const refreshBytes = ({ rounds }: Pick<ModelSizes, 'rounds'>): RoundSizes => ({
  down: rounds.reduce((sum, { down }) => sum + down, 0),
  up: rounds.reduce((sum, { up }) => sum + up, 0),
})

/**
 * The sizes that a manifest implies.
 *
 * @throws TOO_LARGE when one exceeds its limit, so that a server cannot make a client work or send without
 *   bound
 */
export function modelSizes(manifest: Manifest, parameters: CkksParameters, limits: ByteLimits): ModelSizes {
  const sizes = {
    keys: keySetBytes(parameters, manifest.galoisElements),
    query: tensorBytes(parameters, querySpec(manifest)),
    response: tensorBytes(parameters, responseSpec(manifest)),
    rounds: Array.from({ length: manifest.rounds }, (_, round) => ({
      down: tensorBytes(parameters, maskedSpec(manifest, round)),
      up: tensorBytes(parameters, refreshedSpec(manifest, round)),
    })),
  }
  const refresh = refreshBytes(sizes)
  requireWithin('keys', sizes.keys, limits.maxKeyBytes)
  requireWithin('query', sizes.query, limits.maxQueryBytes)
  requireWithin('response', sizes.response, limits.maxResponseBytes)
  for (const { down, up } of sizes.rounds) {
    requireWithin('largest refresh round', Math.max(down, up), limits.maxRoundBytes)
  }
  requireWithin('query and refreshes', sizes.query + refresh.up, limits.maxUploadBytes)
  requireWithin('refreshes and response', sizes.response + refresh.down, limits.maxDownloadBytes)
  return sizes
}

function requireWithin(what: string, bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return
  throw new PolyVeilError(
    'TOO_LARGE',
    `The model's ${what} would take ${bytes} bytes; the limit is ${maxBytes}`,
    { bytes, maxBytes },
    { remedy: 'If you trust the server with so much, raise the limits that connect takes.' },
  )
}
