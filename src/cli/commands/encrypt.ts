import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { act, command, type Outcome, type Session } from '../command.ts'
import { type ConnectionOptions, open, withConnection } from '../input/connection.ts'
import { writeWhole } from '../output/write-file.ts'

interface EncryptOptions extends ConnectionOptions {
  readonly out: string
}

/** `polyveil encrypt` */
export const encryptCommand = (): Command =>
  withConnection(command('encrypt', 'encrypt an image for a model; nothing of it is sent'))
    .argument('<image>', 'PNG, JPEG or WebP file')
    .requiredOption('--out <file>', 'where the encrypted tensor goes')
    .action(act(encrypt))

async function encrypt(session: Session, image: string, options: EncryptOptions): Promise<Outcome> {
  using polyveil = await open(options, session)
  const frame = await polyveil.encrypt(options.model, await readFile(image), { signal: session.signal })
  await writeWhole(options.out, frame)
  return {
    document: { file: options.out, bytes: frame.length },
    text: `${options.out}: ${frame.length} bytes`,
  }
}
