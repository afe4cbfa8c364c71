import { markdownTable } from './markdown.ts'
import { source } from './refreshed-table.ts'
import { type MlInference, RESULTS } from './results.ts'
import { bytesText, secondsText } from './units.ts'

type Instance = MlInference['ml-inference']['instances'][number]

/** Stages of the harness as it names them, and their programs. */
const STAGES = {
  'key generation': 'client_key_generation',
  'model preprocessing': 'server_preprocess_model',
  'input preprocessing': 'client_preprocess_input',
  'input encryption': 'client_encode_encrypt_input',
  'encrypted computation': 'server_encrypted_compute',
  decryption: 'client_decrypt_decode',
  postprocessing: 'client_postprocess',
} as const

/** The stages, sizes and quality of the workload ml-inference, a column for each instance. */
export function mlInferenceTable(): string {
  const { mlInference } = RESULTS
  const { instances, images } = mlInference.results['ml-inference']
  const row = (what: string, cell: (instance: Instance) => string): string[] => [what, ...instances.map(cell)]
  const table = markdownTable([
    row('instance', ({ name }) => name),
    row('images', ({ images }) => String(images)),
    row('images in a ciphertext', ({ imagesInACiphertext }) => String(imagesInACiphertext)),
    ...Object.entries(STAGES).map(([title, stage]) =>
      row(title, ({ seconds }) => secondsText(seconds[stage])),
    ),
    row('encrypted computation, for each image', ({ secondsPerImage }) => secondsText(secondsPerImage)),
    row('public and evaluation keys', ({ bytes }) => bytesText(bytes.keys)),
    row('encrypted input', ({ bytes }) => bytesText(bytes.upload)),
    row('encrypted results', ({ bytes }) => bytesText(bytes.download)),
    row('labels that are right', ({ quality }) => `${quality.correct} of ${quality.images}`),
  ])
  return `${table}\n\nImages: ${images}. ${source(mlInference)}`
}
