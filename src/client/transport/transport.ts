import { PolyVeilError } from '../../errors/index.ts'
import { readBounded } from './body.ts'
import { problemError } from './problem.ts'
import { pause, retryDelay } from './retry.ts'

/** Bytes of any answer that is JSON; a manifest with many labels is the largest. */
const MAX_JSON_BYTES = 8 * 2 ** 20
const MAX_PROBLEM_BYTES = 64 * 2 ** 10
/** How often a request is sent again when the server has no room. */
const MAX_RETRIES = 5
/** How long all waits for room take together, in seconds; then the caller is told. */
const MAX_WAIT_SECONDS = 120
/** How often a repeatable request is sent again when the network fails, and the time before the first is half of this. */
const MAX_REPEATS = 4
const REPEAT_MILLISECONDS = 250
const TELL_MILLISECONDS = 3000

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below the server's address, without a leading slash. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** Answers that are longer are refused while they arrive. */
  readonly maxBytes?: number
  readonly signal?: AbortSignal
  /**
   * Time that the server still gets to answer when the request is aborted; for requests after which the server holds something
   * that only its answer names. By default none.
   */
  readonly graceMilliseconds?: number
  /** Told, before each wait, that the server has no room now, and of the seconds until the next try. */
  readonly onWait?: (seconds: number) => void
}

export interface Answer {
  readonly headers: Headers
  readonly body: Uint8Array
}

/** A part of the network failed, not the server: the request may or may not have arrived. */
export class NetworkError extends PolyVeilError {
  constructor(origin: string, cause: unknown) {
    super(
      'SERVER_UNREACHABLE',
      `The server at ${origin} cannot be reached, or the connection broke off`,
      { origin },
      { cause },
    )
  }
}

/** HTTP to one server: errors by code, bounded answers, patience where the server asks for it. */
export class Transport {
  /** The server's address, ending in a slash. */
  readonly base: URL
  readonly #fetch: typeof fetch
  readonly #signal: AbortSignal | undefined

  /**
   * @param url http or https; a path is kept, for servers behind a prefix
   * @param options `signal` ends every request
   * @throws CONFIG_INVALID when the address is none
   */
  constructor(
    url: string | URL,
    options: { readonly fetch?: typeof fetch; readonly signal?: AbortSignal } = {},
  ) {
    this.base = baseOf(url)
    this.#fetch = options.fetch ?? globalThis.fetch
    this.#signal = options.signal
  }

  /**
   * Sends a request; again after `Retry-After` when the answer is TOO_BUSY, a few times and for two minutes at most.
   *
   * @throws the server's error by its code; TOO_LARGE when the answer is longer than `maxBytes`; NetworkError; the
   *   signal's reason
   */
  async send(request: Request): Promise<Answer> {
    let waited = 0
    for (let attempt = 1; ; attempt++) {
      const response = await this.#once(request)
      if (response.ok) {
        return { headers: response.headers, body: await this.#read(response, request) }
      }
      const body = await this.#read(response, { ...request, maxBytes: MAX_PROBLEM_BYTES })
      const error = problemError(response.status, body)
      if (error.code !== 'TOO_BUSY') throw error
      const delay = retryDelay(response.headers, attempt)
      if (attempt > MAX_RETRIES || waited + delay > MAX_WAIT_SECONDS * 1000) throw stillBusy(error, waited)
      request.onWait?.(delay / 1000)
      await pause(delay, this.#signals(request))
      waited += delay
    }
  }

  /**
   * Sends a request that the server answers the same way however often it comes: again, too, when the network fails.
   *
   * @throws as `send`
   */
  async sendRepeatable(request: Request): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send(request)
      } catch (error) {
        if (!(error instanceof NetworkError) || attempt > MAX_REPEATS) throw error
        await pause(REPEAT_MILLISECONDS * 2 ** attempt, this.#signals(request))
      }
    }
  }

  /** Tells the server something that no one waits for: once, briefly, whatever signal ended all else, and no matter how it goes. */
  async tell(request: Request): Promise<void> {
    const send = this.#fetch
    const { method, path, headers } = request
    const signal = AbortSignal.timeout(TELL_MILLISECONDS)
    await send(new URL(path, this.base), { method, headers, signal, redirect: 'error' })
      .then((response) => response.body?.cancel())
      .catch(() => {})
  }

  /** The server's address to show and to remember: without credentials. */
  get address(): string {
    return this.base.origin + this.base.pathname
  }

  /** Sends a request and parses the JSON that answers it. */
  async json(request: Request): Promise<unknown> {
    const { body } = await this.send({ maxBytes: MAX_JSON_BYTES, ...request })
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
    } catch {
      throw unintelligible(this.base.origin)
    }
  }

  /** @throws the reason of the caller's signal, or of the connection's, when it is aborted */
  throwIfAborted(request: Pick<Request, 'signal'>): void {
    this.#signals(request)?.throwIfAborted()
  }

  async #once({ method, path, headers, body, signal, graceMilliseconds }: Request): Promise<Response> {
    this.throwIfAborted({ signal })
    const init = {
      method,
      headers: { ...(typeof body === 'string' && { 'content-type': 'application/json' }), ...headers },
      body: body as BodyInit | undefined,
      signal: later(this.#signals({ signal }), graceMilliseconds),
      // Keys and queries go to the server that the caller named, and to no other.
      redirect: 'error' as const,
    }
    // Called as a plain function: browsers refuse a fetch with another receiver.
    const send = this.#fetch
    return send(new URL(path, this.base), init).catch((cause) => this.#failed(cause, signal))
  }

  async #read(response: Response, { maxBytes, signal }: Request): Promise<Uint8Array> {
    return readBounded(response, maxBytes ?? MAX_JSON_BYTES).catch((cause) => this.#failed(cause, signal))
  }

  #failed(cause: unknown, signal: AbortSignal | undefined): never {
    this.throwIfAborted({ signal })
    if (cause instanceof PolyVeilError) throw cause
    throw new NetworkError(this.base.origin, cause)
  }

  #signals({ signal }: Pick<Request, 'signal'>): AbortSignal | undefined {
    const signals = [this.#signal, signal].filter((s) => s !== undefined)
    return signals.length > 1 ? AbortSignal.any(signals) : signals[0]
  }
}

/** A signal that is aborted some time after another. */
function later(signal: AbortSignal | undefined, milliseconds = 0): AbortSignal | undefined {
  if (signal === undefined || milliseconds === 0) return signal
  const controller = new AbortController()
  const abort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', () => setTimeout(abort, milliseconds), { once: true })
  return controller.signal
}

/** The server's error, with the time that the client has waited for it to pass. */
function stillBusy({ message, facts }: PolyVeilError, waited: number): PolyVeilError {
  const waitedSeconds = Math.round(waited / 1000)
  const tried = waitedSeconds > 0 ? `; gave up after ${waitedSeconds} s` : ''
  return new PolyVeilError('TOO_BUSY', message + tried, { ...facts, waitedSeconds })
}

/** The error for an answer that no PolyVeil server gives. */
export const unintelligible = (origin: string): PolyVeilError =>
  new PolyVeilError('CONFIG_INVALID', `The answer of ${origin} is not what a PolyVeil server gives`, {
    origin,
  })

function baseOf(url: string | URL): URL {
  const base = URL.canParse(String(url)) ? new URL(url) : undefined
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new PolyVeilError('CONFIG_INVALID', 'The server address must be an http or https URL')
  }
  if (!base.pathname.endsWith('/')) base.pathname += '/'
  base.search = ''
  base.hash = ''
  return base
}
