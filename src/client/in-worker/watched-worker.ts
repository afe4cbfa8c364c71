import { PolyVeilError } from '../../errors/index.ts'
import { copying } from './copying.ts'
import type { OpenMessage } from './protocol.ts'
import type { WebWorker } from './web-worker.ts'

/** A Worker that has not begun within this time does not have the SDK's script. */
const START_MILLISECONDS = 60_000

/**
 * The Worker of a connection. A Worker that dies, for example for lack of memory, may send no event. So it
 * holds a lock as long as it lives, for which its page waits. Pages without a secure context have no locks.
 */
export class WatchedWorker {
  /** Name of the Worker's lock. */
  readonly lock: string | undefined
  /** Called once when the Worker does not start, fails or ends. */
  onLost: (error: PolyVeilError) => void = () => {}
  readonly #worker: WebWorker
  readonly #isOwn: boolean
  /** Ends the watch. */
  readonly #ended = new AbortController()
  #begins: ReturnType<typeof setTimeout> | undefined
  #hasBegun = false

  /**
   * @param own the caller's Worker; by default a new one
   * @throws WORKER_LOST when a new one cannot be started
   */
  constructor(own: WebWorker | undefined) {
    this.#isOwn = own !== undefined
    this.#worker = own ?? startWorker()
    this.lock = navigator.locks && `polyveil-worker-${crypto.randomUUID()}`
  }

  /** @throws CONFIG_INVALID when an option cannot be copied */
  open(message: OpenMessage): void {
    const { signal } = this.#ended
    const onError = (event: object): void => this.#lose(this.#hasBegun ? ended(event) : notStarted(event))
    this.#worker.addEventListener('error', onError, { signal })
    this.#begins = setTimeout(() => this.#lose(notStarted()), START_MILLISECONDS)
    copying(() => this.#worker.postMessage(message, [message.port]))
  }

  /** The Worker runs, and holds its lock. */
  begun(): void {
    clearTimeout(this.#begins)
    this.#hasBegun = true
    if (this.lock === undefined) return
    const { signal } = this.#ended
    // The end of the watch rejects the request.
    navigator.locks.request(this.lock, { signal }, () => this.#lose(ended())).catch(() => {})
  }

  /** Ends the watch, and the Worker unless it is the caller's. */
  end(): void {
    clearTimeout(this.#begins)
    this.#ended.abort()
    if (!this.#isOwn) this.#worker.terminate()
  }

  #lose(error: PolyVeilError): void {
    if (this.#ended.signal.aborted) return
    this.end()
    this.onLost(error)
  }
}

/** The call has the form that bundlers follow: they bundle the Worker's script. */
function startWorker(): WebWorker {
  try {
    return new Worker(new URL('./worker.js', import.meta.url), { type: 'module', name: 'polyveil' })
  } catch (cause) {
    throw notStarted(cause)
  }
}

const notStarted = (cause?: unknown): PolyVeilError =>
  new PolyVeilError(
    'WORKER_LOST',
    'The Web Worker of the connection did not start: its script cannot be loaded or run',
    { webWorker: true },
    {
      cause,
      remedy:
        'Check that the bundler has made the script of the Worker, that its server has it, and that the ' +
        'Content-Security-Policy allows it (worker-src, script-src). Give the option worker where the bundler does not ' +
        'follow new Worker(new URL(...)).',
    },
  )

const ended = (cause?: unknown): PolyVeilError =>
  new PolyVeilError(
    'WORKER_LOST',
    'The Web Worker of the connection has ended unexpectedly',
    { webWorker: true },
    {
      cause,
      remedy:
        'Connect again with connectInWorker. If it persists, the browser may lack memory for the model.',
    },
  )
