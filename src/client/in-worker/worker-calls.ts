import { PolyVeilError } from '../../errors/index.ts'
import { optionArgument } from '../arguments.ts'
import type { ManifestChange } from '../pins/change.ts'
import type { CallOptions, ClientProgress } from '../progress.ts'
import { until } from '../until.ts'
import { copying } from './copying.ts'
import { type CrossedError, crossed } from './crossed-error.ts'
import {
  CONNECT_ID,
  type Method,
  PAGE_OPTIONS,
  type PageMessage,
  type PageOption,
  type WorkerMessage,
} from './protocol.ts'
import type { Port } from './web-worker.ts'

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly onProgress?: CallOptions['onProgress']
}

/** Functions of the page that concern the whole connection. */
export interface PageHooks {
  /** The connection's signal. */
  readonly signal?: AbortSignal
  readonly onManifestChange?: (change: ManifestChange) => void
  /** Called when the store of the Worker has its first entry. */
  readonly onStored?: () => void
  /** Called when the Worker runs. */
  readonly onAlive?: () => void
}

/** The page's side of a connection in a Worker: calls that wait for the Worker's answers. */
export class WorkerCalls {
  readonly #port: Port
  readonly #hooks: PageHooks
  readonly #pending = new Map<number, Pending>()
  /** Settles when the Worker has connected. */
  readonly connected: Promise<unknown>
  #lastId = CONNECT_ID
  #ended: PolyVeilError | undefined

  constructor(port: Port, hooks: PageHooks) {
    this.#port = port
    this.#hooks = hooks
    this.connected = this.#waitFor(CONNECT_ID)
    // Whoever connects awaits it. It may end before.
    this.connected.catch(() => {})
    hooks.signal?.addEventListener('abort', this.#abortAll)
    port.onmessage = ({ data }) => this.#take(data)
  }

  /**
   * Calls a method in the Worker.
   *
   * @throws what the method throws; the reason of an aborted signal; CONFIG_INVALID when an argument cannot
   *   be copied to the Worker; the error that ended the connection
   */
  async call(method: Method, args: readonly unknown[]): Promise<unknown> {
    if (this.#ended) throw this.#ended.restated(this.#ended.message)
    const { sent, pageOptions, onProgress, signal } = splitOptions(args)
    signal?.throwIfAborted()
    const id = ++this.#lastId
    const answer = this.#waitFor(id, onProgress)
    const abort = (): void => this.#post({ kind: 'abort', id })
    signal?.addEventListener('abort', abort, { once: true })
    try {
      this.#post({ kind: 'call', id, method, args: sent, pageOptions })
      return await until(answer, signal)
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#pending.delete(id)
    }
  }

  /** Rejects all calls, those of the future too, and ends the channel. The first error counts. */
  end(error: PolyVeilError): void {
    if (this.#ended) return
    this.#ended = error
    this.#hooks.signal?.removeEventListener('abort', this.#abortAll)
    this.#post({ kind: 'end' })
    this.#port.close()
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }

  #waitFor(id: number, onProgress?: CallOptions['onProgress']): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers()
    this.#pending.set(id, { resolve, reject, onProgress })
    return promise
  }

  #take(message: WorkerMessage): void {
    if (message.kind === 'alive') this.#hooks.onAlive?.()
    else if (message.kind === 'stored') this.#hooks.onStored?.()
    else if (message.kind === 'manifestChange') this.#hooks.onManifestChange?.(message.change)
    else this.#answer(message)
  }

  #answer(message: Exclude<WorkerMessage, { kind: 'alive' | 'stored' | 'manifestChange' }>): void {
    const pending = this.#pending.get(message.id)
    // A call that was aborted here may still have answers on their way.
    if (pending === undefined) return
    if (message.kind === 'result') pending.resolve(message.value)
    else if (message.kind === 'error') pending.reject(crossed(message.error, this.#hooks.signal?.reason))
    else this.#report(message.id, pending, message.progress)
  }

  /** An error that a caller's function throws ends its call, as it does without a Worker. */
  #report(id: number, { onProgress, reject }: Pending, progress: ClientProgress): void {
    try {
      onProgress?.(progress)
    } catch (error) {
      reject(error)
      this.#post({ kind: 'abort', id })
    }
  }

  readonly #abortAll = (): void => this.#post({ kind: 'abort' })

  /** @throws CONFIG_INVALID when the message cannot be copied */
  #post(message: PageMessage): void {
    copying(() => this.#port.postMessage(message))
  }
}

/** The arguments without the options that stay on the page, and these options. */
interface SplitOptions extends CallOptions {
  readonly sent: readonly unknown[]
  readonly pageOptions: readonly PageOption[]
}

/** @throws CONFIG_INVALID when one of the options that stay has another type */
function splitOptions(args: readonly unknown[]): SplitOptions {
  const last = args.at(-1)
  const options = (typeof last === 'object' && last !== null ? last : {}) as Readonly<Record<string, unknown>>
  const pageOptions = PAGE_OPTIONS.filter((name) => options[name] !== undefined)
  if (pageOptions.length === 0) return { sent: args, pageOptions }
  for (const name of pageOptions) optionArgument(name, options[name])
  const { onProgress, signal, ...others } = options
  return { sent: [...args.slice(0, -1), others], pageOptions, ...({ onProgress, signal } as CallOptions) }
}

/** Outcomes of `classifySettled` whose reasons came from the Worker. */
export const crossedOutcomes = <T>(outcomes: readonly PromiseSettledResult<T>[]): PromiseSettledResult<T>[] =>
  outcomes.map((outcome) =>
    outcome.status === 'rejected' ? { ...outcome, reason: crossed(outcome.reason as CrossedError) } : outcome,
  )

/** The error of calls after a connection was closed. */
export const closedConnection = (): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    'The connection in a Web Worker is closed',
    {},
    { remedy: 'Connect again with connectInWorker.' },
  )
