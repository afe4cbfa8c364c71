import type { LabelledImage } from '../input/labelled-images.ts'
import type { Evaluated } from './evaluate.ts'
import type { ImageReader } from './image-reader.ts'
import type { Prediction } from './prediction.ts'

const HEADING = ['file', 'label', 'clear', 'clear_score', 'encrypted', 'encrypted_score']

/**
 * The answers as CSV (RFC 4180), one line for each image in order. An image without an answer has the code of
 * the error in the answer's place; an answer that was not asked for is empty.
 *
 * @param nameOf the name of a class
 */
export function accuracyCsv(
  images: readonly LabelledImage[],
  { predictions }: Evaluated,
  skipped: ImageReader['skipped'],
  nameOf: (index: number) => string,
): string {
  const answer = (prediction: Prediction | undefined, image: LabelledImage): string[] => {
    if (prediction === undefined) return [skipped.get(image)?.code ?? '', '']
    const { best, score } = prediction
    return best === undefined ? ['TENSOR_OUT_OF_RANGE', ''] : [nameOf(best), String(score)]
  }
  const rows = images.map((image) => [
    image.file,
    nameOf(image.truth),
    ...answer(predictions.clear.get(image), image),
    ...answer(predictions.encrypted.get(image), image),
  ])
  return [HEADING, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('')
}

const field = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
