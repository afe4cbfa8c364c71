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
  #frame: Uint8Array<ArrayBuffer> | undefined

  constructor(job: InferenceJob) {
    this.#job = job
    this.first = {
      ...job,
      client: (...round) => {
        this.#frame = undefined
        return job.client(...round)
      },
    }
  }

  /**
   * Keeps a copy of the query, whose buffer the first execution transfers. Called when its turn has come:
   * inferences that wait take no second copy.
   */
  keepQuery(): void {
    this.#frame = this.#job.frame.slice()
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
