import { table } from '../../src/cli/output/table.ts'
import { bytesText, errorText, secondsText } from '../../src/text/units.ts'
import type { Classified, ModelKeys } from './classify.ts'

/** Limit on the largest error of an encrypted logit. */
const MAX_ERROR = 1e-2

/** The report of the demo, field by field as `--json` prints it. */
export interface Report {
  readonly ok: boolean
  readonly images: readonly Classified[]
  /** Size of the key set of each model. */
  readonly keyBytes: Readonly<Record<string, number>>
  /** Bytes that were uploaded; models share key sets. */
  readonly uploadedKeyBytes: number
  readonly serverPeakRssBytes: number
}

/** Whether every encrypted answer agrees with that of the clear network, including its logits. */
export const allWell = (images: readonly Classified[]): boolean =>
  images.length > 0 && images.every((i) => i.predicted === i.clearPredicted && i.maxAbsError < MAX_ERROR)

/** One line about the keys of a model, printed when they are ready. */
export const keysText = (model: string, { bytes, uploadedBytes, seconds }: ModelKeys): string =>
  uploadedBytes > 0
    ? `${model}: keys made and uploaded, ${bytesText(bytes)} in ${secondsText(seconds)}; the secret key stays here`
    : `${model}: the keys that the server has are good for it, too`

/** One line about an image, printed when its answer is decrypted. */
export const imageText = ({ model, file, truth, predicted, seconds }: Classified): string =>
  `${model}: ${file} encrypted, classified and decrypted in ${secondsText(seconds)}: ${predicted}` +
  (predicted === truth ? '' : ` (it shows ${truth})`)

/** The summary as text. */
export function summary({ ok, images, keyBytes, uploadedKeyBytes, serverPeakRssBytes }: Report): string {
  const models = Object.keys(keyBytes)
  const right = images.filter(({ predicted, truth }) => predicted === truth).length
  const same = images.filter(({ predicted, clearPredicted }) => predicted === clearPredicted).length
  return [
    table([HEADING, ...images.map(row)]),
    '',
    `${models.length} networks (${models.join(', ')}), ${bytesText(uploadedKeyBytes)} of keys uploaded once`,
    `${images.length} images, each encrypted here, classified by the server, decrypted here: ` +
      `${same} as by the network in the clear, ${right} as they are labelled`,
    `at most ${bytesText(serverPeakRssBytes)} of memory in the server`,
    ok
      ? 'Every encrypted answer is the clear one. The server saw none of the images.'
      : `NOT well: an encrypted answer differs from the clear one, or a logit by more than ${MAX_ERROR}.`,
  ].join('\n')
}

const HEADING = ['model', 'image', 'truth', 'encrypted', 'clear', 'max error', 'seconds', 'sent', 'received']

const row = (i: Classified): string[] => [
  i.model,
  i.file,
  i.truth,
  i.predicted,
  i.clearPredicted,
  errorText(i.maxAbsError),
  i.seconds.toFixed(2),
  bytesText(i.uploadBytes),
  bytesText(i.downloadBytes),
]
