import type { Command } from 'commander'
import type { KeyStore, LocalModel } from '../../client/index.ts'
import { UsageError } from '../usage-error.ts'
import { readJsonInput } from './files.ts'
import { openKeyStore, withKeys } from './key-store.ts'

/** What the steps of a client need that take place without a server. */
export interface LocalOptions {
  readonly manifest: string
  readonly keys: string
}

export const withLocalModel = (command: Command): Command =>
  withKeys(command.requiredOption('--manifest <file or url>', MANIFEST_HELP))

export const MANIFEST_HELP = "the model's manifest: a file, or its URL .../v2/models/NAME/manifest"

/**
 * Runs `body` on a model known by its manifest; keys are freed afterwards.
 *
 * @throws PARAMETERS_MISMATCH, SECURITY_TOO_LOW, CONFIG_INVALID, TOO_LARGE when the manifest does not hold
 */
export async function withModel<T>(
  { manifest, keys }: LocalOptions,
  body: (model: LocalModel, store: KeyStore) => Promise<T>,
): Promise<T> {
  const { KeyRing, LocalModel } = await import('../../client/index.ts')
  const data = /^https?:/.test(manifest)
    ? await fetchManifest(manifest)
    : await readJsonInput(manifest, 'The manifest')
  const store = await openKeyStore(keys)
  const ring = new KeyRing(store)
  try {
    return await body(new LocalModel(data, ring), store)
  } finally {
    ring.close()
  }
}

async function fetchManifest(url: string): Promise<unknown> {
  const match = /^(https?:\/\/.+?\/)v2\/models\/([^/]+)\/manifest$/.exec(url)
  if (!match) throw new UsageError('The URL of a manifest ends in /v2/models/NAME/manifest')
  const { connect, memoryKeyStore } = await import('../../client/index.ts')
  const server = await connect(match[1], { keys: memoryKeyStore() })
  return server.manifest(decodeURIComponent(match[2]))
}
