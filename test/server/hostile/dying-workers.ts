/**
 * The channel on which `dying-worker.ts` says which thread takes an inference, and is told which one begins
 * or ends.
 */
export const DYING_WORKERS = 'polyveil test: dying workers'

/** The test's end of the channel. */
export class DyingWorkers {
  readonly #channel = new BroadcastChannel(DYING_WORKERS)
  /** The threads that took inferences, in order. */
  readonly took: number[] = []
  /** Threads that end as they take an inference, from now on. */
  endingNext = 0

  constructor() {
    this.#channel.onmessage = ({ data }: MessageEvent) => {
      const { took } = data as { took?: number }
      if (took === undefined) return
      this.took.push(took)
      if (this.endingNext > 0) {
        this.endingNext--
        this.end(took)
      } else this.#channel.postMessage({ begin: took })
    }
  }

  /** Ends a thread, whatever it does. */
  end(thread: number): void {
    this.#channel.postMessage({ end: thread })
  }

  close(): void {
    this.#channel.close()
  }
}
