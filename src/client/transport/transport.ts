import { PolyVeilError } from '../../errors/index.ts'
import { KEY_SET_HEADER, ROUTES } from '../../wire/protocol/index.ts'
import { serverAddress } from './address.ts'
import { readBounded } from './body.ts'
import { ForeignAnswer } from './foreign-answer.ts'
import type { HeaderValues } from './headers.ts'
import { NetworkError } from './network-error.ts'
import { PLAIN_BODY, requirePlain } from './plain-body.ts'
import { problemError } from './problem.ts'
import { pause, retryDelay } from './retry.ts'
import { sentBody } from './sent-body.ts'
import { SilenceLimit } from './silence.ts'

/**
 * Limit on a JSON answer in bytes, where the request has no other. The Galois elements of a key set fit it.
 */
const MAX_JSON_BYTES = 64 * 2 ** 10
const MAX_PROBLEM_BYTES = 64 * 2 ** 10
/**
 * How often a request is sent again after less than `LEAST_WAIT_MILLISECONDS` when the server has no room.
 * `MAX_WAIT_SECONDS` limits longer waits.
 */
const MAX_HASTY_RETRIES = 5
const LEAST_WAIT_MILLISECONDS = 1000
/** Limit on all waits for room of one request together, in seconds. */
const MAX_WAIT_SECONDS = 120
/**
 * How often a repeatable request is sent again when the network fails. The pause doubles each time, from
 * twice `REPEAT_MILLISECONDS` on.
 */
const MAX_REPEATS = 4
const REPEAT_MILLISECONDS = 250
const TELL_MILLISECONDS = 3000
/** How long a server may be silent. */
const SILENCE_MILLISECONDS = 30_000
/** How long a server may be silent while it computes an answer: as long as Node's own fetch waits. */
export const COMPUTING_MILLISECONDS = 300_000
/**
 * Least rate at which a body is expected to get through, in bytes a millisecond: 16 MiB in the two minutes
 * that servers allow.
 */
const LEAST_RATE = 128
/**
 * Statuses of a proxy after which a repeated request may succeed.
 */
const PASSING = [429, 502, 503]
/** What paths that name an inference begin with. */
const INFERENCES = ROUTES.inference.slice(0, ROUTES.inference.indexOf(':'))

export interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below the server's address, without a leading slash. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** Whether the body names a key set; a header that names one is seen. */
  readonly bodyNamesKeySet?: boolean
  /** Limit on the answer's body; a longer answer is refused while it arrives. */
  readonly maxBytes?: number
  /** How long the server may be silent before its answer begins, not counting the time to send the body. */
  readonly silenceMilliseconds?: number
  readonly signal?: AbortSignal
  /**
   * Time for the answer after an abort, for requests that create something which only the answer names.
   * Default 0.
   */
  readonly graceMilliseconds?: number
  /** Called before each wait for room, with the seconds until the next try. */
  readonly onWait?: (seconds: number) => void
}

export interface Answer {
  readonly headers: Headers
  readonly body: Uint8Array
}

export interface TransportOptions {
  readonly fetch?: typeof fetch
  /** Sent with every request. */
  readonly headers?: HeaderValues | Headers
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string
  /** Ends every request. */
  readonly signal?: AbortSignal
  /** How long the server may be silent, for all requests. */
  readonly silenceSeconds?: number
}

/** HTTP client for one server. It throws errors by code, bounds answers, and retries a busy server. */
export class Transport {
  /** The server's address, ending in a slash; without credentials. */
  readonly base: URL
  readonly #headers: HeaderValues
  readonly #fetch: typeof fetch
  readonly #signal: AbortSignal | undefined
  readonly #silence: number | undefined

  /**
   * @param url http or https; a path is kept, for servers behind a prefix, and credentials are sent as
   *   `Authorization`
   * @throws CONFIG_INVALID when the address or a header is none
   */
  constructor(url: string | URL, options: TransportOptions = {}) {
    const { base, headers } = serverAddress(url, options)
    this.base = base
    this.#headers = headers
    this.#fetch = options.fetch ?? globalThis.fetch
    this.#signal = options.signal
    this.#silence = options.silenceSeconds && options.silenceSeconds * 1000
  }

  /**
   * Sends a request. After TOO_BUSY it is sent again when `Retry-After` is over, until all waits together
   * would be longer than two minutes.
   *
   * @throws the server's error by its code; ForeignAnswer when another program answers in its place;
   *   TOO_LARGE when the answer is longer than `maxBytes`; NetworkError; the signal's reason
   */
  async send(request: Request): Promise<Answer> {
    let waited = 0
    for (let attempt = 1; ; attempt++) {
      const { response, body } = await this.#exchange(request)
      if (response.ok && !isPage(response)) return { headers: response.headers, body }
      const error = problemError(body, response.headers) ?? this.#foreign(response, request)
      if (!mayPass(error)) throw error
      const delay = retryDelay(response.headers, attempt)
      const isHasty = attempt > MAX_HASTY_RETRIES && delay < LEAST_WAIT_MILLISECONDS
      if (isHasty || waited + delay > MAX_WAIT_SECONDS * 1000) throw stillBusy(error, waited)
      request.onWait?.(delay / 1000)
      await this.pause(delay, request)
      waited += delay
    }
  }

  /**
   * Sends an idempotent request, and repeats it also when the network fails.
   *
   * @throws as `send`
   */
  async sendRepeatable(request: Request): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.send(request)
      } catch (error) {
        if (!isInBetween(error) || attempt > MAX_REPEATS) throw error
        await this.pause(REPEAT_MILLISECONDS * 2 ** attempt, request)
      }
    }
  }

  /**
   * Best-effort request: one short try, which ignores the caller's signal and any error.
   */
  async tell(request: Request): Promise<void> {
    const send = this.#fetch
    const { method, path, headers } = request
    const signal = AbortSignal.timeout(TELL_MILLISECONDS)
    const init = {
      method,
      headers: { ...this.#headers, ...PLAIN_BODY, ...headers },
      signal,
      redirect: 'error' as const,
    }
    await send(new URL(path, this.base), init)
      .then((response) => response.body?.cancel())
      .catch(() => {})
  }

  /** The server's address without credentials, for messages and entries of the key store. */
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

  /** Resolves after a time; rejects with the reason of the caller's signal, or of the connection's. */
  pause(milliseconds: number, request: Pick<Request, 'signal'>): Promise<void> {
    return pause(milliseconds, this.#signals(request))
  }

  /** One request and the whole answer to it, in bounded time. */
  async #exchange(request: Request): Promise<{ response: Response; body: Uint8Array }> {
    this.throwIfAborted(request)
    const { silenceMilliseconds = SILENCE_MILLISECONDS } = request
    const limit = new SilenceLimit((this.#silence ?? silenceMilliseconds) + bodyBytes(request) / LEAST_RATE)
    try {
      const response = await this.#begin(request, limit)
      requirePlain(response, this.base.origin)
      const heard = (bytes: number): void => limit.heard(bytes, this.#silence ?? SILENCE_MILLISECONDS)
      heard(0)
      if (!response.ok) return { response, body: await readProblem(response, heard) }
      return { response, body: await readBounded(response, request.maxBytes ?? MAX_JSON_BYTES, heard) }
    } catch (cause) {
      this.throwIfAborted(request)
      if (cause instanceof PolyVeilError) throw cause
      throw new NetworkError({ base: this.base, sentBytes: bodyBytes(request) }, limit.signal.reason ?? cause)
    } finally {
      limit.end()
    }
  }

  #begin(
    { method, path, headers, body, signal, graceMilliseconds }: Request,
    limit: SilenceLimit,
  ): Promise<Response> {
    const ends = later(this.#signals({ signal }), graceMilliseconds)
    const sent = sentBody(body, this.#fetch === globalThis.fetch)
    const init = {
      method,
      ...sent,
      headers: { ...this.#headers, ...PLAIN_BODY, ...sent.headers, ...headers },
      signal: AbortSignal.any([limit.signal, ends ?? []].flat()),
      // Redirects are not followed: keys and queries go only to the server that the caller named.
      redirect: 'manual' as const,
    }
    // Called as a plain function: browsers refuse a fetch with another receiver.
    const send = this.#fetch
    return send(new URL(path, this.base), init)
  }

  #foreign({ status, headers }: Response, request: Request): ForeignAnswer {
    return new ForeignAnswer({
      origin: this.base.origin,
      method: request.method,
      // Browsers show nothing of a redirect.
      status: status === 0 ? 302 : status,
      server: headers.get('server'),
      contentType: headers.get('content-type'),
      location: headers.get('location'),
      sentBytes: bodyBytes(request),
      namesInference: request.path.startsWith(INFERENCES),
      namesKeySet: request.bodyNamesKeySet === true || KEY_SET_HEADER in (request.headers ?? {}),
    })
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

/**
 * The error of a busy server or proxy, with the time that the client has waited.
 */
function stillBusy({ code, message, facts, remedy }: PolyVeilError, waited: number): PolyVeilError {
  const waitedSeconds = Math.round(waited / 1000)
  const tried = waitedSeconds > 0 ? `; gave up after ${waitedSeconds} s` : ''
  return new PolyVeilError(code, message + tried, { ...facts, waitedSeconds }, { remedy })
}

/**
 * The body of an error; empty when it is longer than any problem document, such as a proxy's page.
 */
async function readProblem(response: Response, onChunk: (bytes: number) => void): Promise<Uint8Array> {
  try {
    return await readBounded(response, MAX_PROBLEM_BYTES, onChunk)
  } catch (error) {
    if (error instanceof PolyVeilError && error.code === 'TOO_LARGE') return new Uint8Array()
    throw error
  }
}

/** Whether a later try may succeed. */
const mayPass = (error: PolyVeilError): boolean =>
  error instanceof ForeignAnswer ? PASSING.includes(error.status) : error.code === 'TOO_BUSY'

/** Whether the failure is between client and server. */
export const isInBetween = (error: unknown): boolean =>
  error instanceof NetworkError || (error instanceof ForeignAnswer && error.status >= 500)

/** Whether the answer is an HTML page, such as a proxy's login page; no route of the API has one. */
const isPage = ({ headers }: Response): boolean => /^text\/html\b/.test(headers.get('content-type') ?? '')

const bodyBytes = ({ body }: Request): number => body?.length ?? 0

/** The error for an answer that does not fit the protocol. */
export const unintelligible = (origin: string): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    `The answer of ${origin} is not what a PolyVeil server gives`,
    { origin },
    { remedy: 'Check the address: scheme, port, and the path where the server lies behind a prefix.' },
  )
