import type { Command } from 'commander'
import type { ConnectOptions, LocalModel } from '../../client/index.ts'
import type { Session } from '../command.ts'
import { UsageError } from '../usage-error.ts'
import { readJsonInput } from './files.ts'
import { openKeyStore, withKeys } from './key-store.ts'
import { type PinFlags, pinOptions, withPins } from './pins.ts'

/** What the steps of a client need that take place without a server. */
export interface LocalOptions extends PinFlags {
  readonly manifest: string
  readonly keys: string
}

export const withLocalModel = (command: Command): Command =>
  withPins(withKeys(command.requiredOption('--manifest <file or url>', MANIFEST_HELP)))

export const MANIFEST_HELP = "the model's manifest: a file, or its URL .../v2/models/NAME/manifest"

/**
 * Runs `body` on a model known by its manifest; keys are freed afterwards. A manifest from a URL is held against the one that the key
 * directory remembers.
 *
 * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID, TOO_LARGE when the manifest does not hold
 */
export async function withModel<T>(
  session: Session,
  options: LocalOptions,
  body: (model: LocalModel) => Promise<T>,
): Promise<T> {
  const { KeyRing, LocalModel } = await import('../../client/index.ts')
  const { manifest } = options
  const keys = await openKeyStore(options.keys)
  const data = /^https?:/.test(manifest)
    ? await fetchManifest(manifest, { keys, ...pinOptions(options, session.progress) })
    : await readJsonInput(manifest, 'The manifest')
  const ring = new KeyRing(keys)
  try {
    return await body(new LocalModel(data, ring))
  } finally {
    ring.close()
  }
}

async function fetchManifest(url: string, options: ConnectOptions): Promise<unknown> {
  const match = /^(https?:\/\/.+?\/)v2\/models\/([^/]+)\/manifest$/.exec(url)
  if (!match) throw new UsageError('The URL of a manifest ends in /v2/models/NAME/manifest')
  const { connect } = await import('../../client/index.ts')
  const server = await connect(match[1], options)
  return server.manifest(decodeURIComponent(match[2]))
}
