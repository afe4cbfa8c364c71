import type { Command } from 'commander'
import type { KeyStore, LocalModel } from '../../client/index.ts'
import type { CommandContext } from '../command.ts'
import { UsageError } from '../usage-error.ts'
import { readJsonInput } from './files.ts'
import { openKeyStore, withKeys } from './key-store.ts'
import { type PinFlags, pinOptions, withPins } from './pins.ts'
import { headersOf, type ServerOptions, withHeaders } from './server.ts'

/** Options of the client's steps that need no server. */
export interface LocalOptions extends PinFlags, ServerOptions {
  readonly manifest: string
  readonly keys: string
}

export const withLocalModel = (command: Command): Command =>
  withPins(withHeaders(withKeys(command.requiredOption('--manifest <file or url>', MANIFEST_HELP))))

export const MANIFEST_HELP = "the model's manifest: a file, or its URL .../v2/models/NAME/manifest"

/**
 * Runs `body` on the model of a manifest, and frees keys afterwards. A manifest from a URL is checked against
 * its pin in the key directory.
 *
 * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID, TOO_LARGE when the manifest does not hold
 */
export async function withModel<T>(
  context: CommandContext,
  options: LocalOptions,
  body: (model: LocalModel, store: KeyStore) => Promise<T>,
): Promise<T> {
  const { KeyRing, LocalModel } = await import('../../client/index.ts')
  const { manifest } = options
  const store = await openKeyStore(options.keys)
  const pinned = /^https?:/.test(manifest) ? await fetchManifest(context, options, store) : undefined
  const ring = new KeyRing(store)
  try {
    const model = new LocalModel(pinned?.manifest ?? (await readJsonInput(manifest, 'The manifest')), ring)
    const result = await body(model, store)
    await pinned?.pins.remember(model.manifest)
    return result
  } finally {
    ring.close()
  }
}

/** Fetches a manifest from a server and checks it against its pin. */
async function fetchManifest({ progress, signal }: CommandContext, options: LocalOptions, keys: KeyStore) {
  const match = /^(https?:\/\/.+?\/)v2\/models\/([^/]+)\/manifest$/.exec(options.manifest)
  if (!match) throw new UsageError('The URL of a manifest ends in /v2/models/NAME/manifest')
  const { connect } = await import('../../client/index.ts')
  const { Pins } = await import('../../client/pins/pins.ts')
  const server = await connect(match[1], { keys, pins: 'off', headers: headersOf(options), signal })
  const manifest = await server.manifest(nameIn(match[2]))
  const pins = new Pins(keys, new URL(match[1]), pinOptions(options, progress))
  await pins.check(manifest)
  return { manifest, pins }
}

function nameIn(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new UsageError('The name in the URL of a manifest is not percent-encoded')
  }
}
