import { PolyVeilError } from '../../../errors/index.ts'
import type { Crew, CrewMember, Share } from './crew.ts'
import type { ThreadMessage } from './web-thread.ts'

/** Web Workers of a Web Worker, in pages that are cross-origin isolated. */
export function webCrew(member: CrewMember, threads: number): Crew {
  const workers = Array.from({ length: threads }, () => new WebThread(member))
  return {
    run: (share, signal) => workers[share.thread - 1].run(share, signal),
    close: async () => {
      for (const worker of workers) worker.end()
    },
  }
}

/**
 * The threads that run a share. A share is awaited by functions that only the listeners of its Worker refer
 * to, at times. Firefox counts such a Worker as garbage and ends it, even while it runs: its share is never
 * answered then. Thus the module itself refers to it.
 */
const running = new Set<WebThread>()

/** A Web Worker that runs one share at a time. */
class WebThread {
  readonly #worker: Worker
  #share = Promise.withResolvers<void>()

  constructor(member: CrewMember) {
    // Bundlers follow a call of this form.
    this.#worker = new Worker(new URL('./web-thread.js', import.meta.url), { type: 'module' })
    this.#worker.onmessage = ({ data }: MessageEvent<string | undefined>) => {
      const share = this.#share
      this.#share = Promise.withResolvers<void>()
      if (data === undefined) share.resolve()
      else share.reject(lost(data))
    }
    // A Worker whose script cannot be loaded may have no share yet; its next one fails then.
    this.#worker.onerror = (event) => this.#fail(event)
    this.#post(member)
  }

  async run(share: Share, signal: AbortSignal): Promise<void> {
    const { promise } = this.#share
    const abort = (): void => this.#fail(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    running.add(this)
    try {
      this.#post(share)
      await promise
    } finally {
      running.delete(this)
      signal.removeEventListener('abort', abort)
    }
  }

  end(): void {
    this.#worker.terminate()
  }

  #post(message: ThreadMessage): void {
    this.#worker.postMessage(message)
  }

  #fail(cause: unknown): void {
    this.#share.promise.catch(() => {})
    this.#share.reject(lost(cause))
    this.end()
  }
}

const lost = (cause: unknown): PolyVeilError =>
  new PolyVeilError('WORKER_LOST', 'A thread of the client failed, or did not start', {}, { cause })
