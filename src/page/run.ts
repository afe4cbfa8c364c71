import type { Manifest } from '../circuit/manifest/manifest.ts'
import { type Classification, rank } from '../client/local/answer.ts'
import type { ModelSizes } from '../client/local/limits.ts'
import { refreshBytes } from '../client/local/limits.ts'
import { isLost, MAX_RESTARTS, secondsBefore } from '../client/lost-inference.ts'
import type { ClientProgress } from '../client/progress.ts'
import { pause } from '../client/transport/retry.ts'
import { PolyVeilError } from '../errors/index.ts'
import type { PreprocessedImage } from '../preprocessing/index.ts'
import { bytesText, secondsText } from '../text/units.ts'
import { layerAt, type PublishedPlan } from './layers.ts'
import type { Exchanged } from './seen.ts'
import { isEnded, type PrivateClient } from './service.ts'
import type { StageName, StageState } from './stages.ts'

/** What a run needs. */
export interface RunOptions {
  readonly client: PrivateClient
  readonly manifest: Manifest
  readonly sizes: ModelSizes
  readonly plan: PublishedPlan | undefined
  readonly signal: AbortSignal
  readonly onStage: (name: StageName, state: StageState) => void
  /** Called with the encrypted picture before it is sent. */
  readonly onEncrypted: (frame: Uint8Array) => void
}

export interface RunResult {
  readonly best: readonly Classification[]
  readonly exchanged: readonly Exchanged[]
}

/**
 * Makes keys if there are none, encrypts a picture, has it classified, and decrypts the answer. An inference
 * that is lost begins again.
 *
 * @throws PARAMETERS_MISMATCH when the model was replaced since it was chosen; errors of the client
 */
export async function run(image: PreprocessedImage, options: RunOptions): Promise<RunResult> {
  await requireSame(options)
  const keyBytes = await provideKeys(options)
  for (let restart = 1; ; restart++) {
    try {
      return await runOnce(image, options, keyBytes)
    } catch (error) {
      if (isEnded(error) || !isLost(error) || restart > MAX_RESTARTS || options.signal.aborted) throw error
      await waitAfterLoss(error, restart, options)
    }
  }
}

/** A server that restarts needs a moment. */
async function waitAfterLoss(
  error: PolyVeilError,
  restart: number,
  { signal, onStage }: RunOptions,
): Promise<void> {
  const seconds = secondsBefore(error, restart)
  const detail = `The server lost the picture; beginning again in ${Math.ceil(seconds)} s.`
  onStage('send', { state: 'running', detail })
  await pause(1000 * seconds, signal)
}

/** @returns bytes that were uploaded */
async function provideKeys({ client, manifest, signal, onStage }: RunOptions): Promise<number> {
  const seconds = stopwatch()
  let uploaded = 0
  onStage('keys', { state: 'running', detail: 'A secret key is made here, and stays here.' })
  await client.keys(manifest.model, {
    signal,
    onProgress: ({ bytesDone, bytesTotal, stage }) => {
      if (stage !== 'keys') return
      uploaded = bytesDone
      onStage('keys', {
        state: 'running',
        share: bytesDone / bytesTotal,
        figures: `${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`,
      })
    },
  })
  const figures = uploaded > 0 ? `${bytesText(uploaded)}, ${secondsText(seconds())}` : 'there already'
  onStage('keys', { state: 'done', figures, detail: 'The secret key stays in this browser.' })
  return uploaded
}

async function runOnce(image: PreprocessedImage, options: RunOptions, keyBytes: number): Promise<RunResult> {
  const { client, manifest, sizes, signal, onStage, onEncrypted } = options
  const { model, labels } = manifest

  let seconds = stopwatch()
  onStage('encrypt', { state: 'running' })
  const query = await client.encrypt(model, image, { signal })
  onStage('encrypt', { state: 'done', figures: `${bytesText(query.length)}, ${secondsText(seconds())}` })
  onEncrypted(query)

  const follow = new Following(options)
  const answer = await client.infer(model, query, { signal, watch: true, onProgress: follow.onProgress })
  follow.end()

  seconds = stopwatch()
  onStage('decrypt', { state: 'running' })
  const best = rank(await client.decrypt(model, answer, { signal }), labels, manifest.output.classes)
  onStage('decrypt', { state: 'done', figures: `${bytesText(answer.length)}, ${secondsText(seconds())}` })
  return { best, exchanged: exchanged(sizes, keyBytes) }
}

/**
 * Checks that the client computes with the manifest that the page shows. After a refused query it has the
 * manifest of the model that is there now, whose labels and pictures may be others.
 */
async function requireSame({ client, manifest, signal }: RunOptions): Promise<void> {
  const { digest } = await client.manifest(manifest.model, { signal })
  if (digest === manifest.digest) return
  throw new PolyVeilError('PARAMETERS_MISMATCH', 'The model was replaced after it was chosen on this page', {
    model: manifest.model,
  })
}

/** Shows what the client reports of an inference as steps. */
class Following {
  readonly #options: RunOptions
  #seconds = stopwatch()
  #hasBegun = false

  constructor(options: RunOptions) {
    this.#options = options
    options.onStage('send', { state: 'running', figures: bytesText(options.sizes.query) })
  }

  readonly onProgress = (progress: ClientProgress): void => {
    const { onStage } = this.#options
    const { stage, operations, round, rounds, bytesDone, bytesTotal, secondsLeft } = progress
    if (stage === 'wait') {
      const detail = `The server is busy; trying again in ${Math.ceil(secondsLeft ?? 0)} s.`
      onStage('send', { state: 'running', detail })
    } else if (stage === 'refresh') {
      this.#begin()
      const figures = `round ${round} of ${rounds}, ${bytesText(bytesDone)} of ${bytesText(bytesTotal)}`
      onStage('refresh', { state: 'running', share: bytesDone / bytesTotal, figures })
    } else if (operations !== undefined) this.#operations(operations)
  }

  /** Marks the steps of the inference as done. */
  end(): void {
    const { onStage, manifest, sizes, plan } = this.#options
    this.#begin()
    const detail = plan && `${plan.layers.length} layers`
    onStage('compute', { state: 'done', figures: secondsText(this.#seconds()), detail })
    if (manifest.rounds === 0) return
    const { up, down } = refreshBytes(sizes)
    onStage('refresh', { state: 'done', figures: `${manifest.rounds} rounds, ${bytesText(up + down)}` })
  }

  #operations({ done, total }: { done: number; total: number }): void {
    const { onStage, plan } = this.#options
    this.#begin()
    const share = done / total
    const detail = plan && layerAt(plan, share)
    const figures = `${done} of ${total} operations`
    onStage('compute', { state: 'running', share, figures, ...(detail && { detail }) })
  }

  /** The query has arrived as soon as anything is heard of the inference. */
  #begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    const figures = `${bytesText(this.#options.sizes.query)}, ${secondsText(this.#seconds())}`
    this.#options.onStage('send', { state: 'done', figures, detail: 'until the server began to compute' })
    this.#seconds = stopwatch()
    this.#options.onStage('compute', { state: 'running' })
  }
}

/** What went over the line in a run. */
function exchanged(sizes: ModelSizes, keyBytes: number): Exchanged[] {
  const { up, down } = refreshBytes(sizes)
  const none = 'nothing: without the secret key it is noise'
  const lines: readonly Exchanged[] = [
    {
      what: 'Working keys',
      direction: 'to the server',
      bytes: keyBytes,
      meaning: 'that it may compute with what you encrypt; they decrypt nothing',
    },
    { what: 'Encrypted picture', direction: 'to the server', bytes: sizes.query, meaning: none },
    { what: 'Masked inter\u00admediate values', direction: 'from the server', bytes: down, meaning: none },
    { what: 'The same, encrypted anew', direction: 'to the server', bytes: up, meaning: none },
    { what: 'Encrypted answer', direction: 'from the server', bytes: sizes.response, meaning: none },
  ]
  return lines.filter(({ bytes }) => bytes > 0)
}

/** Seconds since the call. */
function stopwatch(): () => number {
  const begun = performance.now()
  return () => (performance.now() - begun) / 1000
}
