import type { Command } from 'commander'
import type { Classification, ClientProgress } from '../../client/index.ts'
import { act, command, type Outcome, type Session } from '../command.ts'
import { readImageFile } from '../input/images.ts'
import { openKeyStore, withOptionalKeys } from '../input/key-store.ts'
import { whole } from '../input/option-values.ts'
import { headersOf, type ServerOptions, shownUrl, withHeaders } from '../input/server.ts'
import type { Progress } from '../output/progress.ts'
import { scoresText } from '../output/scores-text.ts'

interface ClassifyFlags extends ServerOptions {
  readonly url: string
  readonly model: string
  readonly keys?: string
  readonly top: number
}

/** `polyveil classify` */
export const classifyCommand = (): Command =>
  withHeaders(
    withOptionalKeys(
      command('classify', 'classify images on a server that never sees them')
        .argument('<image...>', 'PNG, JPEG or WebP')
        .requiredOption('--url <url>', 'the server')
        .requiredOption('--model <name>', 'the model'),
    ),
  )
    .option('--top <n>', 'classes to show', whole(1, 100_000), 5)
    .action(act(classify))

interface Classified {
  readonly file: string
  readonly classes: readonly Classification[]
}

async function classify(session: Session, files: string[], flags: ClassifyFlags): Promise<Outcome> {
  // All of them first, so that a wrong name costs no upload of keys.
  const images = await Promise.all(files.map(async (file) => ({ file, bytes: await readImageFile(file) })))
  const { progress, signal } = session
  progress.step(`connecting to ${shownUrl(flags.url)}`)
  const { connect } = await import('../../client/index.ts')
  using polyveil = await connect(flags.url, {
    keys: await openKeyStore(flags.keys),
    headers: headersOf(flags),
    signal,
  })
  const { batch } = await polyveil.manifest(flags.model, { signal })
  const classes = await polyveil.classify(
    flags.model,
    images.map(({ bytes }) => bytes),
    { topK: flags.top, signal, onProgress: showing(progress, files, batch) },
  )
  const results = images.map(({ file }, k): Classified => ({ file, classes: classes[k] }))
  return {
    document: { model: flags.model, images: results },
    text: results.map(({ file, classes }) => `${file}\n${scoresText(classes)}`).join('\n\n'),
  }
}

const STAGES = {
  keys: 'making and uploading keys',
  encrypt: 'encrypting',
  infer: 'waiting for the server',
  refresh: 'refreshing',
  decrypt: 'decrypting',
} as const

/** Shows a client's progress: a step for each stage of each inference. @param batch files that go together */
function showing(
  progress: Progress,
  files: readonly string[],
  batch: number,
): (state: ClientProgress) => void {
  let current: string | undefined
  return ({ stage, rounds, inference = 1, bytesDone, bytesTotal }) => {
    const own = files.slice((inference - 1) * batch, inference * batch)
    const step = `${namesText(own)}: ${STAGES[stage]}${rounds ? `, ${rounds} rounds` : ''}`
    if (step !== current) progress.step(step)
    current = step
    progress.update(bytesDone, bytesTotal)
  }
}

const namesText = ([first, ...others]: readonly string[]): string =>
  others.length === 0 ? first : `${first} and ${others.length} more`
