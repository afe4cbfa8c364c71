import { PolyVeilError } from '../../errors/index.ts'
import type { InferenceJob } from '../inference/engine.ts'

/**
 * An inference whose worker may be lost. It begins again once, on another worker, as long as its client has
 * no output of it: masks and noise of a second execution do not fit replies to the first.
 */
export class SecondAttempt {
  /** The job as it is executed first. */
  readonly first: InferenceJob
  readonly #job: InferenceJob
  /** The query, whose buffer the first execution transfers. */
  #frame: Uint8Array<ArrayBuffer> | undefined

  constructor(job: InferenceJob) {
    this.#job = job
    this.#frame = job.frame.slice()
    this.first = {
      ...job,
      client: (...round) => {
        this.#frame = undefined
        return job.client(...round)
      },
    }
  }

  /** The job to execute after this error; undefined when the error is what the client gets. */
  after(error: unknown): InferenceJob | undefined {
    const frame = this.#frame
    const isLost = error instanceof PolyVeilError && error.code === 'WORKER_LOST'
    if (!isLost || frame === undefined || this.#job.signal.aborted) return undefined
    this.#frame = undefined
    return { ...this.#job, frame }
  }
}
