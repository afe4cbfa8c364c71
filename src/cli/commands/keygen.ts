import type { Command } from 'commander'
import { act, command, type Outcome, type Session } from '../command.ts'
import { type ConnectionOptions, onProgress, open, withConnection } from '../input/connection.ts'

/** `polyveil keygen` */
export const keygenCommand = (): Command =>
  withConnection(command('keygen', 'make the keys of a model and upload those that the server needs')).action(
    act(keygen),
  )

async function keygen(session: Session, options: ConnectionOptions): Promise<Outcome> {
  using polyveil = await open(options, session)
  const uploaded = await polyveil.keys(options.model, {
    onProgress: onProgress(session),
    signal: session.signal,
  })
  return { document: { model: options.model, ...uploaded }, text: `key set ${uploaded.id}` }
}
