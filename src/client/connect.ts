import { z } from 'zod'
import { PolyVeilError } from '../errors/index.ts'
import type { KeyStore } from './keys/key-store.ts'
import type { ClientLimits } from './local/limits.ts'
import { type PinOptions, Pins } from './pins/pins.ts'
import { PolyVeil } from './polyveil.ts'
import { Transport } from './transport/transport.ts'

const EXTENSION = 'polyveil_ckks'
const serverSchema = z.looseObject({ extensions: z.array(z.string()) })

export interface ConnectOptions extends PinOptions {
  /** Where secret keys are kept, and which manifests were seen. */
  readonly keys: KeyStore
  /** Another `fetch` than the platform's, for proxies, credentials and tests. */
  readonly fetch?: typeof fetch
  /** Ends every request of the connection. */
  readonly signal?: AbortSignal
  /** What to make, send and receive at most; the rest are defaults. */
  readonly limits?: Partial<ClientLimits>
}

/**
 * Connects to a PolyVeil server.
 *
 * @param url its address, http or https; a path prefix is kept
 * @throws CONFIG_INVALID when the address is none, or what answers there is no PolyVeil server
 */
export async function connect(
  url: string | URL,
  { keys, limits, pins, onManifestChange, ...options }: ConnectOptions,
): Promise<PolyVeil> {
  const transport = new Transport(url, options)
  const server = serverSchema.safeParse(await transport.json({ method: 'GET', path: 'v2' }))
  if (server.success && server.data.extensions.includes(EXTENSION))
    return new PolyVeil(transport, keys, {
      limits,
      pins: new Pins(keys, transport.base, { pins, onManifestChange }),
    })
  throw new PolyVeilError('CONFIG_INVALID', `There is no PolyVeil server at ${transport.base.origin}`, {
    origin: transport.base.origin,
  })
}
