import { PolyVeilError } from '../../errors/index.ts'
import { connect } from '../connect.ts'
import { DEFAULT_NAME, databaseKeyStore } from '../keys/indexed-db-key-store.ts'
import { type KeyStore, memoryKeyStore } from '../keys/key-store.ts'
import type { ManifestChange } from '../pins/change.ts'
import type { PolyVeil } from '../polyveil.ts'
import type { CallOptions, ClientProgress } from '../progress.ts'
import { crossing } from './crossed-error.ts'
import {
  CONNECT_ID,
  KEY_SET_METHODS,
  type KeySetMethod,
  type Method,
  type OpenMessage,
  type PageMessage,
  type WorkerMessage,
  type WorkerStore,
} from './protocol.ts'
import type { Port } from './web-worker.ts'

type CallMessage = Extract<PageMessage, { kind: 'call' }>

/** Connects as a page has asked, and serves the page's calls until the Worker ends. */
export function serveConnection(open: OpenMessage): void {
  const served = new ServedConnection(open)
  if (open.lock === undefined) served.start()
  // The lock is held until the Worker ends, however it ends. Its page then gets the lock.
  else void navigator.locks.request(open.lock, () => served.start())
}

/** The Worker's side of a connection. */
class ServedConnection {
  readonly #open: OpenMessage
  readonly #port: Port
  /** Ends the connection's requests, with a reason that stands for the page's. */
  readonly #aborted = new AbortController()
  /** By the ids of calls that the page may abort. */
  readonly #calls = new Map<number, AbortController>()
  readonly #ended = Promise.withResolvers<void>()
  #client: Promise<PolyVeil> | undefined
  /** Deletes a store that outlives the connection. */
  #forget: () => Promise<void> = async () => {}

  constructor(open: OpenMessage) {
    this.#open = open
    this.#port = open.port
  }

  /** Connects, and serves calls. Resolves when the page has ended the connection. */
  start(): Promise<void> {
    this.#port.onmessage = ({ data }) => this.#take(data)
    this.#post({ kind: 'alive' })
    this.#client = this.#connect()
    void this.#answer(CONNECT_ID, async () => {
      await this.#client
    })
    return this.#ended.promise
  }

  async #connect(): Promise<PolyVeil> {
    const { url, store, options, reportsManifests } = this.#open
    const onManifestChange = reportsManifests
      ? { onManifestChange: (change: ManifestChange) => this.#post({ kind: 'manifestChange', change }) }
      : {}
    const { signal } = this.#aborted
    return connect(url as string, { ...options, ...onManifestChange, keys: this.#keys(store), signal })
  }

  #keys(store: WorkerStore): KeyStore {
    if (store.store === 'memory') return memoryStore(store)
    const { name = DEFAULT_NAME, passphrase } = store
    const keys = databaseKeyStore(name, passphrase, () => this.#post({ kind: 'stored' }))
    this.#forget = keys.forget
    return keys
  }

  #take(message: PageMessage): void {
    if (message.kind === 'call') void this.#serve(message)
    else if (message.kind === 'end') this.#end()
    else if (message.id === undefined) this.#aborted.abort()
    else this.#calls.get(message.id)?.abort()
  }

  #end(): void {
    this.#aborted.abort()
    this.#port.close()
    this.#ended.resolve()
  }

  async #serve({ id, method, args, pageOptions }: CallMessage): Promise<void> {
    const controller = new AbortController()
    this.#calls.set(id, controller)
    const { signal } = controller
    const onProgress = (progress: ClientProgress): void => this.#post({ kind: 'progress', id, progress })
    // A function of the page that fails ends the call, so that a call with any of these options has a signal.
    const own = pageOptions.includes('onProgress') ? { signal, onProgress } : { signal }
    const given = pageOptions.length === 0 ? args : withOptions(args, own)
    await this.#answer(id, async () => {
      const client = (await this.#client)!
      if (method !== 'forget') return called(client, method, given)
      await client.close()
      return this.#forget()
    })
    this.#calls.delete(id)
  }

  async #answer(id: number, work: () => Promise<unknown>): Promise<void> {
    const answer = await work().then(
      (value): WorkerMessage => ({ kind: 'result', id, value }),
      (error): WorkerMessage => this.#error(id, error),
    )
    try {
      this.#post(answer)
    } catch (cause) {
      const error = new PolyVeilError('INTERNAL', 'The result cannot leave the Worker', {}, { cause })
      this.#post(this.#error(id, error))
    }
  }

  #error(id: number, error: unknown): WorkerMessage {
    return { kind: 'error', id, error: crossing(error, this.#aborted.signal.reason) }
  }

  #post(message: WorkerMessage): void {
    this.#port.postMessage(message)
  }
}

function memoryStore({ name, passphrase }: WorkerStore): KeyStore {
  if (name === undefined && passphrase === undefined) return memoryKeyStore()
  throw new PolyVeilError(
    'CONFIG_INVALID',
    'A store in memory has no name and no passphrase',
    {},
    { remedy: "Leave them out, or give store: 'indexeddb'." },
  )
}

/** The arguments of a call, with options added to the last. */
const withOptions = (args: readonly unknown[], own: CallOptions): unknown[] => [
  ...args.slice(0, -1),
  { ...(args.at(-1) as object), ...own },
]

async function called(
  client: PolyVeil,
  method: Exclude<Method, 'forget'>,
  args: readonly unknown[],
): Promise<unknown> {
  const target = isKeySetMethod(method) ? client.keySets : client
  const value = await (target as unknown as Callable)[method](...args)
  return method === 'classifySettled' ? crossingOutcomes(value) : value
}

type Callable = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>

const isKeySetMethod = (method: Method): method is KeySetMethod =>
  KEY_SET_METHODS.some((name) => name === method)

/** Outcomes whose reasons can cross to the page. */
const crossingOutcomes = (outcomes: unknown): unknown[] =>
  (outcomes as PromiseSettledResult<unknown>[]).map((outcome) =>
    outcome.status === 'rejected' ? { ...outcome, reason: crossing(outcome.reason) } : outcome,
  )
