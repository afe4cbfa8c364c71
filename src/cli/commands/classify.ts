import type { Command } from 'commander'
import type { Classification, ManifestChange } from '../../client/index.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { type ConnectionFlags, openConnection, withConnection } from '../input/connection.ts'
import { type FileResult, IMAGE_ARGUMENT, INVERT_HELP, ofFile, readImageFiles } from '../input/images.ts'
import { whole } from '../input/option-values.ts'
import { showing } from '../output/client-progress.ts'
import { errorDocument } from '../output/errors.ts'
import { FULL_PRECISION_HELP, scoresText } from '../output/scores-text.ts'

interface ClassifyFlags extends ConnectionFlags {
  readonly url: string
  readonly model: string
  readonly top: number
  readonly fullPrecision?: boolean
  readonly invert?: boolean
}

/** `polyveil classify` */
export const classifyCommand = (): Command =>
  withConnection(
    command('classify', 'classify images on a server that never sees them')
      .argument('<image...>', IMAGE_ARGUMENT)
      .requiredOption('--url <url>', 'the server')
      .requiredOption('--model <name>', 'the model'),
  )
    .option('--top <n>', 'classes to show', whole(1, 100_000), 5)
    .option('--full-precision', FULL_PRECISION_HELP)
    .option('--invert', INVERT_HELP)
    .action(act(classify))

async function classify(context: CommandContext, files: string[], flags: ClassifyFlags): Promise<Outcome> {
  // All of them first, so that a wrong name costs no upload of keys.
  const read = await readImageFiles(files)
  const images = read.flatMap(({ file, value }) => (value ? [{ file, bytes: value }] : []))
  const bad = read.flatMap((result) => (result.error ? [result] : []))
  if (images.length === 0) return outcomeOf({ model: flags.model }, bad)
  const { progress, signal } = context
  // Closing deletes throw-away keys on the server, also where the command fails before an answer.
  let change: ManifestChange | undefined
  await using polyveil = await openConnection(context, flags.url, flags, (noticed) => {
    change = noticed
  })
  const { digest } = await polyveil.manifest(flags.model, { signal })
  const settled = await polyveil.classifySettled(
    flags.model,
    images.map(({ bytes }) => bytes),
    {
      topK: flags.top,
      fullPrecision: flags.fullPrecision,
      invert: flags.invert,
      // The connection is used once.
      releaseKeys: true,
      watch: true,
      signal,
      onProgress: showing(
        progress,
        images.map(({ file }) => file),
      ),
    },
  )
  const rest = settled.values()
  const results = read.map((result) => (result.error ? result : resultOf(result.file, rest.next().value!)))
  return outcomeOf({ model: flags.model, manifest: digest, previousManifest: change?.before }, results)
}

/** A single image that has no label is the command's failure; among several it is one image's. */
function outcomeOf(document: object, results: readonly Classified[]): Outcome {
  const errors = results.flatMap(({ error }) => error ?? [])
  if (results.length === 1 && errors.length === 1) throw errors[0]
  return { document: { ...document, images: results.map(imageDocument) }, text: imagesText(results), errors }
}

type Classified = FileResult<readonly Classification[]>

const resultOf = (file: string, result: PromiseSettledResult<Classification[]>): Classified =>
  result.status === 'fulfilled' ? { file, value: result.value } : { file, error: ofFile(file, result.reason) }

const imageDocument = ({ file, value, error }: Classified): object =>
  error ? { file, error: errorDocument(error) } : { file, classes: value }

/** Absent where no image has a label. */
function imagesText(results: readonly Classified[]): string | undefined {
  const texts = results.flatMap(({ file, value }) => (value ? [`${file}\n${scoresText(value)}`] : []))
  return texts.length > 0 ? texts.join('\n\n') : undefined
}
