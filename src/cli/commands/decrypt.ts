import { buffer } from 'node:stream/consumers'
import type { Command } from 'commander'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { readInput } from '../input/files.ts'
import { type LocalOptions, withLocalModel, withModel } from '../input/local-model.ts'
import { whole } from '../input/option-values.ts'
import { FULL_PRECISION_HELP, scoresText } from '../output/scores-text.ts'
import { UsageError } from '../usage-error.ts'

interface DecryptOptions extends LocalOptions {
  readonly top: number
  readonly count: number
  readonly fullPrecision?: boolean
}

/** `polyveil decrypt` */
export const decryptCommand = (): Command =>
  withLocalModel(
    command('decrypt', 'decrypt the encrypted answer of a model; needs no server').argument(
      '[frame]',
      'the encrypted logits (default: stdin)',
    ),
  )
    .option('--count <n>', 'how many images were encrypted together', whole(1, 1_000_000), 1)
    .option('--top <n>', 'classes to show', whole(1, 100_000), 5)
    .option('--full-precision', FULL_PRECISION_HELP)
    .action(act(decrypt))

async function decrypt(
  context: CommandContext,
  path: string | undefined,
  options: DecryptOptions,
): Promise<Outcome> {
  const frame = path === undefined ? await buffer(process.stdin) : await readInput(path, 'The answer')
  context.progress.step('decrypting')
  return withModel(context, options, async (model) => {
    const { rank } = await import('../../client/index.ts')
    const { model: name, labels, batch } = model.manifest
    if (options.count > batch) throw new UsageError(`Model ${name} takes ${batch} image(s) at once`)
    const rows = (await model.decryptBatch(frame, options)).slice(0, options.count)
    const images = rows.map((logits) => ({ classes: rank(logits, labels, options.top) }))
    return {
      document: { model: name, classes: images[0].classes, images },
      text: images.map(({ classes }) => scoresText(classes)).join('\n\n'),
    }
  })
}
