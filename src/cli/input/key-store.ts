import type { Command } from 'commander'
import type { KeyStore } from '../../client/index.ts'

const HELP = 'directory of secret keys, encrypted under POLYVEIL_PASSPHRASE where that is set'

export const withKeys = (command: Command): Command => command.requiredOption('--keys <dir>', HELP)
export const withOptionalKeys = (command: Command): Command =>
  command.option('--keys <dir>', `${HELP} (default: keys for this one command)`)

/** The key store in a directory; without one, keys end with the command. */
export async function openKeyStore(directory: string | undefined): Promise<KeyStore> {
  const { directoryKeyStore, memoryKeyStore } = await import('../../client/index.ts')
  return directory === undefined ? memoryKeyStore() : directoryKeyStore(directory)
}
