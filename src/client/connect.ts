import * as z from 'zod'
import { boundedList } from '../circuit/manifest/bounds.ts'
import { PolyVeilError } from '../errors/index.ts'
import { CKKS_EXTENSION, ROUTES } from '../wire/protocol/index.ts'
import { keyStoreArgument, optionsArgument, secondsArgument } from './arguments.ts'
import type { KeyStore } from './keys/key-store.ts'
import { type ClientLimits, limitsOf } from './local/limits.ts'
import { type PinOptions, Pins } from './pins/pins.ts'
import { PolyVeil } from './polyveil.ts'
import type { HeaderValues } from './transport/headers.ts'
import { Transport } from './transport/transport.ts'

const MAX_EXTENSIONS = 1000

/** Other servers of the Open Inference Protocol have other members; the extensions tell them apart. */
const extensionsSchema = z.looseObject({ extensions: boundedList(z.string(), MAX_EXTENSIONS) })

export interface ConnectOptions extends PinOptions {
  /** Keeps secret keys, and the digests of manifests. */
  readonly keys: KeyStore
  /**
   * Replaces the platform's `fetch`, for proxies and tests. It must heed `redirect: 'manual'`.
   */
  readonly fetch?: typeof fetch
  /**
   * Headers of every request, such as credentials for a proxy. Errors do not contain their values.
   */
  readonly headers?: HeaderValues | Headers
  /**
   * The token that the operator of the service gave you. It is sent as `Authorization: Bearer`, and errors do
   * not contain it.
   */
  readonly token?: string
  /**
   * Seconds of silence after which a request fails; by default 30, and 300 for requests that the server
   * computes before it answers. Node's own fetch waits at most 300.
   */
  readonly silenceSeconds?: number
  /** Ends every request of the connection. */
  readonly signal?: AbortSignal
  /** Limits on bytes and on the time of an inference; `DEFAULT_LIMITS` where absent. */
  readonly limits?: Partial<ClientLimits>
}

/** Options that connections have wherever they work. */
export const SHARED_OPTIONS = [
  'headers',
  'token',
  'silenceSeconds',
  'signal',
  'limits',
  'pins',
  'onManifestChange',
] as const

const CONNECT_OPTIONS = ['keys', 'fetch', ...SHARED_OPTIONS] as const

/**
 * Connects to a PolyVeil server.
 *
 * @param url its address, http or https; a path prefix is kept. Credentials, `https://user:password@host`,
 *   are sent as Basic authorization and shown nowhere
 * @throws CONFIG_INVALID when the address, a header or an option is invalid, or another program answers;
 *   SERVER_UNREACHABLE when no answer comes, with the `reason` among the facts; UNAUTHENTICATED, FORBIDDEN
 *   when a proxy in front of it wants credentials
 */
export async function connect(url: string | URL, options: ConnectOptions): Promise<PolyVeil> {
  // Callers without types may omit the options.
  const given = optionsArgument(options ?? ({} as ConnectOptions), CONNECT_OPTIONS)
  const { keys, limits, pins, onManifestChange, ...transportOptions } = given
  keyStoreArgument(keys)
  const checkedLimits = limitsOf(limits)
  secondsArgument('limits.maxInferenceSeconds', limits?.maxInferenceSeconds)
  secondsArgument('limits.maxKeysSeconds', limits?.maxKeysSeconds)
  const transport = new Transport(url, transportOptions)
  const server = extensionsSchema.safeParse(await transport.json({ method: 'GET', path: ROUTES.server }))
  if (server.success && server.data.extensions.includes(CKKS_EXTENSION))
    return new PolyVeil(transport, keys, {
      limits: checkedLimits,
      pins: new Pins(keys, transport.base, { pins, onManifestChange }),
    })
  throw new PolyVeilError(
    'CONFIG_INVALID',
    `There is no PolyVeil server at ${transport.base.origin}`,
    {
      origin: transport.base.origin,
    },
    { remedy: 'Check the address: scheme, port, and the path where the server lies behind a prefix.' },
  )
}
