import type { Command } from 'commander'
import type { LocalModel } from '../../client/index.ts'
import { UsageError } from '../usage-error.ts'
import { readJsonInput } from './files.ts'
import { openKeyStore, withKeys } from './key-store.ts'
import { headersOf, type ServerOptions, withHeaders } from './server.ts'

/** What the steps of a client need that take place without a server. */
export interface LocalOptions extends ServerOptions {
  readonly manifest: string
  readonly keys: string
}

export const withLocalModel = (command: Command): Command =>
  withHeaders(withKeys(command.requiredOption('--manifest <file or url>', MANIFEST_HELP)))

export const MANIFEST_HELP = "the model's manifest: a file, or its URL .../v2/models/NAME/manifest"

/**
 * Runs `body` on a model known by its manifest; keys are freed afterwards.
 *
 * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID, TOO_LARGE when the manifest does not hold
 */
export async function withModel<T>(
  { manifest, keys, ...server }: LocalOptions,
  body: (model: LocalModel) => Promise<T>,
): Promise<T> {
  const { KeyRing, LocalModel } = await import('../../client/index.ts')
  const data = /^https?:/.test(manifest)
    ? await fetchManifest(manifest, server)
    : await readJsonInput(manifest, 'The manifest')
  const ring = new KeyRing(await openKeyStore(keys))
  try {
    return await body(new LocalModel(data, ring))
  } finally {
    ring.close()
  }
}

async function fetchManifest(url: string, options: ServerOptions): Promise<unknown> {
  const match = /^(https?:\/\/.+?\/)v2\/models\/([^/]+)\/manifest$/.exec(url)
  if (!match) throw new UsageError('The URL of a manifest ends in /v2/models/NAME/manifest')
  const { connect, memoryKeyStore } = await import('../../client/index.ts')
  const server = await connect(match[1], { keys: memoryKeyStore(), headers: headersOf(options) })
  return server.manifest(nameIn(match[2]))
}

function nameIn(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new UsageError('The name in the URL of a manifest is not percent-encoded')
  }
}
