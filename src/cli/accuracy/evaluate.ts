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
  readonly reader: ImageReader
  /** Number of classes of the model. */
  readonly classes: number
  readonly topK: number
  /** Takes all images; absent when nothing is known in the clear. */
  readonly clear?: Side
  /** Images that are encrypted, at most. */
  readonly count: number
  /** Makes keys and opens the encrypted side for a number of images. */
  openEncrypted(total: number): Promise<EncryptedSide>
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
 * encrypted, and then an evenly spread part of them under encryption.
 *
 * @throws errors of the reader and of the sides; the signal's reason
 */
export async function evaluate(
  evaluation: Evaluation,
  progress: Progress,
  signal?: AbortSignal,
): Promise<Evaluated> {
  const { images, clear: clearSide, topK, classes, count } = evaluation
  const chosen = spread(await evaluation.reader.readable(images, signal), count)
  const clear = clearSide && (await runClear(evaluation, clearSide, new Set(chosen), progress, signal))
  const encrypted = chosen.length > 0 ? await runEncrypted(evaluation, chosen, signal) : undefined
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

/** @param kept images whose logits are needed later; those of the others are dropped, for they may be many */
async function runClear(
  { images, reader }: Evaluation,
  side: Side,
  kept: ReadonlySet<LabelledImage>,
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<Map<LabelledImage, Answer>> {
  const answers = new Map<LabelledImage, Answer>()
  progress.step(`in the clear: ${images.length} images`)
  await runAll(images, side, {
    reader,
    signal,
    onLogits: (image, logits) => {
      const answer = answerOf(logits, image.truth)
      answers.set(image, kept.has(image) ? answer : { ...answer, logits: undefined })
    },
    onProgress: (done) => progress.update(done, images.length),
  })
  return answers
}

interface EncryptedRun {
  readonly by: string
  readonly answers: ReadonlyMap<LabelledImage, Answer>
  readonly seconds: number
}

async function runEncrypted(
  { openEncrypted, reader }: Evaluation,
  images: readonly LabelledImage[],
  signal: AbortSignal | undefined,
): Promise<EncryptedRun> {
  const rows = new Map<LabelledImage, Answer['logits']>()
  const side = await openEncrypted(images.length)
  let seconds: number
  try {
    seconds = await runAll(images, side, {
      reader,
      signal,
      onLogits: (image, logits) => rows.set(image, logits),
    })
  } finally {
    // Before anything is computed from the answers, since closing may send a request.
    await side.close()
  }
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
