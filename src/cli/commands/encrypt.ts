import type { Command } from 'commander'
import type { LocalModel, PreprocessedImage } from '../../client/index.ts'
import { bytesText } from '../../text/units.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { IMAGE_ARGUMENT, INVERT_HELP, ofFile, readImageFile } from '../input/images.ts'
import { type LocalOptions, withLocalModel, withModel } from '../input/local-model.ts'
import { writeWhole } from '../output/write-file.ts'
import { UsageError } from '../usage-error.ts'

interface EncryptOptions extends LocalOptions {
  readonly out?: string
  readonly invert?: boolean
}

/** `polyveil encrypt` */
export const encryptCommand = (): Command =>
  withLocalModel(
    command(
      'encrypt',
      'encrypt an image for a model, or as many as it takes at once; needs no server',
    ).argument('<image...>', IMAGE_ARGUMENT),
  )
    .option('--invert', INVERT_HELP)
    .option('--out <file>', 'where to write the encrypted images (default: stdout)')
    .action(act(encrypt))

async function encrypt(context: CommandContext, paths: string[], options: EncryptOptions): Promise<Outcome> {
  const { out } = options
  if (out === undefined && (context.json || process.stdout.isTTY)) {
    throw new UsageError(
      'What is encrypted is binary; give --out FILE, or send stdout elsewhere, without --json',
    )
  }
  const images = await Promise.all(paths.map(readImageFile))
  context.progress.step('encrypting')
  return withModel(context, options, async (model) => {
    const frame = await model.encryptTensors(await tensorsOf(model, paths, images, options))
    const document = { manifest: model.manifest.digest, images: images.length, bytes: frame.length, out }
    if (out !== undefined) {
      await writeWhole(out, frame)
      return { document, text: `${out}: ${bytesText(frame.length)}` }
    }
    process.stdout.write(frame)
    return { document }
  })
}

/** The tensors of images, each error with its file. */
async function tensorsOf(
  { manifest }: LocalModel,
  paths: readonly string[],
  images: readonly Uint8Array[],
  { invert }: EncryptOptions,
): Promise<PreprocessedImage[]> {
  const { imageTensor } = await import('../../client/index.ts')
  const tensors: PreprocessedImage[] = []
  for (const [k, image] of images.entries()) {
    try {
      tensors.push(await imageTensor(image, manifest.input, { invert }))
    } catch (error) {
      throw ofFile(paths[k], error)
    }
  }
  return tensors
}
