import { type Classification, type Manifest, type PolyVeil, rank } from '../../client/index.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { showing } from '../output/client-progress.ts'
import type { Progress } from '../output/progress.ts'
import type { EncryptedSide } from './encrypted-side.ts'
import type { Logits } from './side.ts'

/** Images of one call, which a client holds in memory; rounded up to whole batches. */
const IMAGES_OF_A_CALL = 64

export interface ServiceOptions {
  readonly invert?: boolean
  readonly signal: AbortSignal
  readonly progress: Progress
}

/**
 * Uploads keys, and has a service classify. Images that share a batch with one that leaves the range have no
 * answer either: sending them again would tell the service of a decryption.
 *
 * @throws errors of the service, and PARAMETERS_MISMATCH when it replaces the model meanwhile
 */
export async function serviceSide(
  polyveil: PolyVeil,
  { model, batch, digest, output }: Manifest,
  { invert, signal, progress }: ServiceOptions,
): Promise<EncryptedSide> {
  progress.step('making and uploading keys')
  await polyveil.keys(model, {
    signal,
    onProgress: ({ bytesDone, bytesTotal }) => progress.update(bytesDone, bytesTotal),
  })
  return {
    name: 'service',
    size: batch * Math.ceil(IMAGES_OF_A_CALL / batch),
    async run(images, { first, total, isLast }) {
      const names = images.map((_, k) => `image ${first + k + 1} of ${total}`)
      const files = images.map(({ bytes }) => bytes)
      const onProgress = showing(progress, names)
      const options = { invert, releaseKeys: isLast, watch: true, signal, onProgress }
      const settled = await polyveil.classifySettled(model, files, options)
      if ((await polyveil.manifest(model)).digest !== digest) throw replaced(model)
      return settled.map((result) => logitsOf(result, output.classes))
    },
    close: () => polyveil.close(),
  }
}

/**
 * Does the same work for an honest answer and another one, since the next request follows it.
 *
 * @throws errors of an inference, which say nothing about accuracy
 */
function logitsOf(result: PromiseSettledResult<Classification[]>, classes: number): Logits {
  const isHonest = result.status === 'fulfilled'
  const answer = isHonest ? result.value : rank(new Float64Array(classes), [], classes)
  const logits = Float64Array.from(
    answer.toSorted((a, b) => a.index - b.index),
    ({ logit }) => logit,
  )
  if (isHonest) return logits
  if ((result.reason as PolyVeilError).code === 'TENSOR_OUT_OF_RANGE') return undefined
  throw result.reason
}

const replaced = (model: string): PolyVeilError =>
  new PolyVeilError(
    'PARAMETERS_MISMATCH',
    `The server has replaced the model ${model} meanwhile, so that its answers are of two networks`,
    { model },
    { remedy: 'Run the command again.' },
  )
