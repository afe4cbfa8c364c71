import { readFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Classification } from '../../client/index.ts'
import { act, command, type Outcome, type Session } from '../command.ts'
import { type ConnectionOptions, onProgress, open, withConnection } from '../input/connection.ts'
import { whole } from '../input/option-values.ts'
import { table } from '../output/table.ts'

interface ClassifyOptions extends ConnectionOptions {
  readonly top: number
}

/** `polyveil classify` */
export const classifyCommand = (): Command =>
  withConnection(command('classify', 'classify images that the server never sees'))
    .argument('<image...>', 'PNG, JPEG or WebP files')
    .option('--top <n>', 'number of classes to print', whole(1, 1000), 1)
    .action(act(classify))

async function classify(
  session: Session,
  files: readonly string[],
  options: ClassifyOptions,
): Promise<Outcome> {
  using polyveil = await open(options, session)
  const images: { file: string; classes: Classification[] }[] = []
  for (const file of files) {
    session.progress.note(file)
    const classes = await polyveil.classify(options.model, await readFile(file), {
      topK: options.top,
      onProgress: onProgress(session),
      signal: session.signal,
    })
    images.push({ file, classes })
  }
  const rows = images.flatMap(({ file, classes }) => classes.map((c) => [file, c.label, c.score.toFixed(4)]))
  return { document: { model: options.model, images }, text: table([['image', 'class', 'score'], ...rows]) }
}
