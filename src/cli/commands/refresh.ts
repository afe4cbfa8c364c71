import type { Command } from 'commander'
import { bytesText } from '../../text/units.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { readInput } from '../input/files.ts'
import { type LocalOptions, withLocalModel, withModel } from '../input/local-model.ts'
import { whole } from '../input/option-values.ts'
import { writeWhole } from '../output/write-file.ts'

interface RefreshOptions extends LocalOptions {
  readonly round: number
  readonly out: string
}

/** `polyveil refresh` */
export const refreshCommand = (): Command =>
  withLocalModel(
    command('refresh', "a client's part in one refresh round; needs no server").argument(
      '<frame>',
      'the masked tensor that the server sent',
    ),
  )
    .requiredOption('--round <n>', 'the round that the server asks for, from 0 on', whole(0, 65_535))
    .requiredOption('--out <file>', 'where to write the answer')
    .action(act(refresh))

async function refresh(context: CommandContext, path: string, options: RefreshOptions): Promise<Outcome> {
  const { round, out } = options
  const masked = await readInput(path, 'The masked tensor')
  context.progress.step('refreshing')
  return withModel(context, options, async (model) => {
    const frame = await model.refresh(round, masked)
    await writeWhole(out, frame)
    const document = { manifest: model.manifest.digest, round, bytes: frame.length, out }
    return { document, text: `${out}: ${bytesText(frame.length)}` }
  })
}
