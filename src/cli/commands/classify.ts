import type { Command } from 'commander'
import type { Classification, ClientProgress, ManifestChange } from '../../client/index.ts'
import { DEFAULT_INFERENCE_SECONDS } from '../../client/time-limit.ts'
import { act, type CommandContext, command, type Outcome } from '../command.ts'
import { type FileResult, IMAGE_ARGUMENT, INVERT_HELP, ofFile, readImageFiles } from '../input/images.ts'
import { openKeyStore, withOptionalKeys } from '../input/key-store.ts'
import { whole } from '../input/option-values.ts'
import { type PinFlags, pinOptions, withPins } from '../input/pins.ts'
import { headersOf, type ServerOptions, shownUrl, withHeaders } from '../input/server.ts'
import { errorDocument } from '../output/errors.ts'
import type { Progress } from '../output/progress.ts'
import { FULL_PRECISION_HELP, scoresText } from '../output/scores-text.ts'

interface ClassifyFlags extends PinFlags, ServerOptions {
  readonly url: string
  readonly model: string
  readonly keys?: string
  readonly top: number
  readonly fullPrecision?: boolean
  readonly invert?: boolean
  readonly maxSeconds: number
}

/** `polyveil classify` */
export const classifyCommand = (): Command =>
  withPins(
    withHeaders(
      withOptionalKeys(
        command('classify', 'classify images on a server that never sees them')
          .argument('<image...>', IMAGE_ARGUMENT)
          .requiredOption('--url <url>', 'the server')
          .requiredOption('--model <name>', 'the model'),
      ),
    ),
  )
    .option('--top <n>', 'classes to show', whole(1, 100_000), 5)
    .option('--full-precision', FULL_PRECISION_HELP)
    .option('--invert', INVERT_HELP)
    .option(
      '--max-seconds <n>',
      'end an inference, or an upload of keys, that takes longer',
      whole(1, 86_400),
      DEFAULT_INFERENCE_SECONDS,
    )
    .action(act(classify))

async function classify(context: CommandContext, files: string[], flags: ClassifyFlags): Promise<Outcome> {
  // All of them first, so that a wrong name costs no upload of keys.
  const read = await readImageFiles(files)
  const images = read.flatMap(({ file, value }) => (value ? [{ file, bytes: value }] : []))
  const bad = read.flatMap((result) => (result.error ? [result] : []))
  if (images.length === 0) return outcomeOf({ model: flags.model }, bad)
  const { progress, signal } = context
  progress.step(`connecting to ${shownUrl(flags.url)}`)
  const { connect } = await import('../../client/index.ts')
  // Closing deletes throw-away keys on the server, also where the command fails before an answer.
  let change: ManifestChange | undefined
  await using polyveil = await connect(flags.url, {
    keys: await openKeyStore(flags.keys),
    headers: headersOf(flags),
    signal,
    limits: { maxInferenceSeconds: flags.maxSeconds, maxKeysSeconds: flags.maxSeconds },
    ...pinOptions(flags, progress, (noticed) => {
      change = noticed
    }),
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

const STAGES = {
  keys: 'making and uploading keys',
  encrypt: 'encrypting',
  infer: 'waiting for the server',
  refresh: 'refreshing',
  decrypt: 'decrypting',
} as const

/**
 * Shows a client's progress: a step for each stage of each inference. @param files of the images that the
 * client was given
 */
function showing(progress: Progress, files: readonly string[]): (state: ClientProgress) => void {
  let current: string | undefined
  return (state) => {
    const { stage, rounds, images = [], bytesDone, bytesTotal } = state
    const names = namesText(images.map((place) => files[place]))
    if (stage === 'wait') {
      progress.step(`${names}: ${waitText(state)}`)
      current = undefined
      return
    }
    if (stage === 'restart') {
      progress.note(`${names}: ${restartText(state)}`)
      current = undefined
      return
    }
    const step = `${names}: ${STAGES[stage]}${rounds ? `, ${rounds} rounds` : ''}`
    if (step !== current) progress.step(step)
    current = step
    progress.update(bytesDone, bytesTotal)
  }
}

const waitText = ({ waitsFor, secondsLeft = 0 }: ClientProgress): string =>
  `the server has no room for ${waitsFor === 'keys' ? 'keys' : 'an inference'} now; trying again in ${Math.ceil(secondsLeft)} s`

const restartText = ({ reason, restart, restarts, secondsLeft = 0 }: ClientProgress): string =>
  `the inference is lost (${reason}); beginning again in ${Math.ceil(secondsLeft)} s (restart ${restart} of ${restarts} at most)`

const namesText = ([first, ...others]: readonly string[]): string =>
  others.length === 0 ? first : `${first} and ${others.length} more`
