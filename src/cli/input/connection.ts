import type { Command } from 'commander'
import type { ManifestChange, PolyVeil } from '../../client/index.ts'
import { DEFAULT_INFERENCE_SECONDS } from '../../client/time-limit.ts'
import type { CommandContext } from '../command.ts'
import { openKeyStore, withOptionalKeys } from './key-store.ts'
import { whole } from './option-values.ts'
import { type PinFlags, pinOptions, withPins } from './pins.ts'
import { headersOf, type ServerOptions, shownUrl, withHeaders } from './server.ts'

/** Options of commands that have a server classify images. */
export interface ConnectionFlags extends PinFlags, ServerOptions {
  readonly keys?: string
  readonly maxSeconds: number
}

export const withConnection = (command: Command): Command =>
  withPins(withHeaders(withOptionalKeys(command))).option(
    '--max-seconds <n>',
    'end an inference, or an upload of keys, that takes longer',
    whole(1, 86_400),
    DEFAULT_INFERENCE_SECONDS,
  )

/**
 * Connects to a server. The command's signal ends every request. Closing the connection deletes throw-away
 * keys on the server.
 *
 * @param onChange called when a manifest differs from its pin
 * @throws as `connect`
 */
export async function openConnection(
  { progress, signal }: CommandContext,
  url: string,
  flags: ConnectionFlags,
  onChange: (change: ManifestChange) => void,
): Promise<PolyVeil> {
  progress.step(`connecting to ${shownUrl(url)}`)
  const { connect } = await import('../../client/index.ts')
  return connect(url, {
    keys: await openKeyStore(flags.keys),
    headers: headersOf(flags),
    signal,
    limits: { maxInferenceSeconds: flags.maxSeconds, maxKeysSeconds: flags.maxSeconds },
    ...pinOptions(flags, progress, onChange),
  })
}
