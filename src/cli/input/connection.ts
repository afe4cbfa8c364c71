import type { Command } from 'commander'
import type { ClientProgress, PolyVeil } from '../../client/index.ts'
import type { Session } from '../command.ts'

/** The options that say which server, model and keys to use. */
export interface ConnectionOptions {
  readonly url: string
  readonly model: string
  readonly keys: string
}

const DEFAULT_KEYS = './polyveil-keys'

/** Adds the options to a command. */
export const withConnection = (command: Command): Command =>
  command
    .requiredOption('--url <url>', 'address of the server')
    .requiredOption('--model <name>', 'model to use')
    .option('--keys <dir>', 'directory of the key store; made when it is not there', DEFAULT_KEYS)

/** Connects to the server, with the keys of the directory. */
export async function open({ url, keys }: ConnectionOptions, { signal }: Session): Promise<PolyVeil> {
  const { connect, directoryKeyStore } = await import('../../client/index.ts')
  return connect(url, { keys: directoryKeyStore(keys), signal })
}

/** Shows what the SDK reports as progress of the command. */
export function onProgress({ progress }: Session): (at: ClientProgress) => void {
  let stage = ''
  return (at) => {
    if (at.stage !== stage) progress.step(at.stage)
    stage = at.stage
    if (at.bytesTotal > 0) progress.update(at.bytesDone, at.bytesTotal)
  }
}
