import { counted } from '../../text/counted.ts'
import type { LabelledImage } from '../input/labelled-images.ts'
import type { Progress } from '../output/progress.ts'
import type { EncryptedSide } from './encrypted-side.ts'
import {
  type Accuracy,
  type Agreement,
  accuracyOf,
  agreementOf,
  type ClassCount,
  classCounts,
} from './figures.ts'
import type { ImageReader } from './image-reader.ts'
import { type Answer, answerOf, type Prediction } from './prediction.ts'
import { runAll, type Side } from './side.ts'
import { spread } from './spread.ts'

/** What is to be measured. */
export interface Evaluation {
  readonly images: readonly LabelledImage[]
  readonly reader: Pick<ImageReader, 'read' | 'skipped'>
  /** Number of classes of the model. */
  readonly classes: number
  readonly topK: number
  /** Takes all images; absent when nothing is known in the clear. */
  readonly clear?: Side
  /** Images that are encrypted, at most. */
  readonly count: number
  /** Makes keys and opens the encrypted side. */
  openEncrypted(): Promise<EncryptedSide>
}

/** Predictions of one side, by image. */
export type Predictions = ReadonlyMap<LabelledImage, Prediction>

export interface EncryptedAccuracy extends Accuracy {
  /** What executed the circuit. */
  readonly by: string
  /** Wall-clock seconds for an image, without making keys and reading the file. */
  readonly secondsPerImage: number
}

export interface Evaluated {
  readonly clear?: Accuracy
  readonly encrypted?: EncryptedAccuracy
  readonly agreement?: Agreement
  /** For each class, by index. */
  readonly classes: readonly { readonly clear?: ClassCount; readonly encrypted?: ClassCount }[]
  readonly predictions: { readonly clear: Predictions; readonly encrypted: Predictions }
}

/**
 * Classifies all images in the clear first, which finds images that cannot be read before anything is
 * encrypted, and then an evenly spread part of them under encryption. Each side reads an image once.
 *
 * @throws errors of the reader and of the sides; the signal's reason
 */
export async function evaluate(
  evaluation: Evaluation,
  progress: Progress,
  signal?: AbortSignal,
): Promise<Evaluated> {
  const { images, clear: clearSide, topK, classes, count } = evaluation
  const run = clearSide && (await runClear(evaluation, clearSide, progress, signal))
  const clear = run?.answers
  const encrypted = await runEncrypted(evaluation, run?.chosen ?? spread(images, count), signal)
  const counts = {
    clear: clear && classCounts([...clear.values()], classes),
    encrypted: encrypted && classCounts([...encrypted.answers.values()], classes),
  }
  return {
    ...(clear && { clear: accuracyOf([...clear.values()], topK) }),
    ...(encrypted && { encrypted: encryptedAccuracy(encrypted, topK) }),
    ...(clear && encrypted && { agreement: agreementOf(pairs(clear, encrypted.answers)) }),
    classes: Array.from({ length: classes }, (_, index) => ({
      ...(counts.clear && { clear: counts.clear[index] }),
      ...(counts.encrypted && { encrypted: counts.encrypted[index] }),
    })),
    predictions: { clear: clear ?? new Map(), encrypted: encrypted?.answers ?? new Map() },
  }
}

interface ClearRun {
  readonly answers: ReadonlyMap<LabelledImage, Answer>
  /** What is to be encrypted: images that can be read, as many as are wanted or there are. */
  readonly chosen: readonly LabelledImage[]
}

/** Only the logits of the images that are to be encrypted are kept, since the others may be many. */
async function runClear(
  { images, reader, count }: Evaluation,
  side: Side,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<ClearRun> {
  const answers = new Map<LabelledImage, Answer>()
  progress.step(`in the clear: ${counted(images.length, 'image')}`)
  const take = async (part: readonly LabelledImage[], keepsLogits: boolean): Promise<void> => {
    const before = answers.size
    await runAll(part, () => side, {
      reader,
      signal,
      onLogits: (image, logits) => {
        const answer = answerOf(logits, image.truth)
        answers.set(image, keepsLogits ? answer : { ...answer, logits: undefined })
      },
      onProgress: (done) => progress.update(before + done, images.length),
    })
  }
  let left = images
  // Others take the places of images that cannot be read.
  while (answers.size < count && left.length > 0) {
    await take(spread(left, count - answers.size), true)
    left = left.filter((image) => !answers.has(image) && !reader.skipped.has(image))
  }
  const chosen = images.filter((image) => answers.has(image))
  await take(left, false)
  return { answers: inOrder(images, answers), chosen }
}

/** What is known of images, in their order. */
export const inOrder = <T>(
  images: readonly LabelledImage[],
  known: ReadonlyMap<LabelledImage, T>,
): Map<LabelledImage, T> =>
  new Map(images.flatMap((image) => (known.has(image) ? [[image, known.get(image)!]] : [])))

interface EncryptedRun {
  readonly by: string
  readonly answers: ReadonlyMap<LabelledImage, Answer>
  readonly seconds: number
}

/** @returns undefined when no image can be read, and nothing was encrypted */
async function runEncrypted(
  { openEncrypted, reader }: Evaluation,
  images: readonly LabelledImage[],
  signal: AbortSignal | undefined,
): Promise<EncryptedRun | undefined> {
  const rows = new Map<LabelledImage, Answer['logits']>()
  let side: EncryptedSide | undefined
  const open = async (): Promise<EncryptedSide> => (side = await openEncrypted())
  let seconds: number
  try {
    seconds = await runAll(images, open, {
      reader,
      signal,
      onLogits: (image, logits) => rows.set(image, logits),
    })
  } finally {
    // Before anything is computed from the answers, since closing may send a request.
    await side?.close()
  }
  if (side === undefined) return undefined
  const answers = new Map([...rows].map(([image, logits]) => [image, answerOf(logits, image.truth)]))
  return { by: side.name, answers, seconds }
}

const encryptedAccuracy = ({ by, answers, seconds }: EncryptedRun, topK: number): EncryptedAccuracy => ({
  by,
  ...accuracyOf([...answers.values()], topK),
  secondsPerImage: seconds / answers.size,
})

const pairs = (clear: ReadonlyMap<LabelledImage, Answer>, encrypted: ReadonlyMap<LabelledImage, Answer>) =>
  [...encrypted].flatMap(([image, answer]) => {
    const other = clear.get(image)
    return other ? [{ clear: other, encrypted: answer }] : []
  })
