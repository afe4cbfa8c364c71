import type { Command } from 'commander'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { readInput, readStream } from '../input/files.ts'
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
  return withModel(context, options, async (model) => {
    const { rank } = await import('../../client/index.ts')
    const { model: name, labels, batch } = model.manifest
    const frame = await answerIn(path, model.sizes.response)
    context.progress.step('decrypting')
    if (options.count > batch) throw new UsageError(`Model ${name} takes ${batch} image(s) at once`)
    const { fullPrecision } = options
    const rows = (await model.decryptBatch(frame, { fullPrecision })).slice(0, options.count)
    const images = rows.map((logits) => ({ classes: rank(logits, labels, options.top) }))
    return {
      document: { model: name, classes: images[0].classes, images },
      text: images.map(({ classes }) => scoresText(classes)).join('\n\n'),
    }
  })
}

/** @param limit bytes of the model's answers */
const answerIn = (path: string | undefined, limit: number): Promise<Uint8Array> =>
  path === undefined
    ? readStream(process.stdin, 'The answer', limit)
    : readInput(path, 'The answer', { limit })
