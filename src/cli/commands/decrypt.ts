import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { rank } from '../../client/local/answer.ts'
import { act, command, type Outcome, type Session } from '../command.ts'
import { type ConnectionOptions, open, withConnection } from '../input/connection.ts'
import { whole } from '../input/option-values.ts'
import { table } from '../output/table.ts'

interface DecryptOptions extends ConnectionOptions {
  readonly top: number
}

/** `polyveil decrypt` */
export const decryptCommand = (): Command =>
  withConnection(command('decrypt', 'decrypt an answer; nothing is sent that depends on it'))
    .argument('<frame>', 'file with the encrypted logits')
    .option('--top <n>', 'number of classes to print', whole(1, 1000), 1)
    .action(act(decrypt))

async function decrypt(session: Session, file: string, options: DecryptOptions): Promise<Outcome> {
  using polyveil = await open(options, session)
  const { labels } = await polyveil.manifest(options.model, { signal: session.signal })
  const logits = await polyveil.decrypt(options.model, await readFile(file), { signal: session.signal })
  const classes = rank(logits, labels, options.top)
  const rows = classes.map((c) => [c.label, c.score.toFixed(4)])
  return { document: { model: options.model, classes }, text: table([['class', 'score'], ...rows]) }
}
