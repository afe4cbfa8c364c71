import { PolyVeilError } from '../../errors/index.ts'
import { optionsArgument } from '../arguments.ts'
import { type ConnectOptions, SHARED_OPTIONS } from '../connect.ts'
import { type IndexedDbKeyStoreOptions, reportPersistence } from '../keys/indexed-db-key-store.ts'
import { until } from '../until.ts'
import type { OpenMessage, WorkerStore } from './protocol.ts'
import { WatchedWorker } from './watched-worker.ts'
import type { Port, WebWorker } from './web-worker.ts'
import { closedConnection, WorkerCalls } from './worker-calls.ts'
import { WorkerPolyVeil } from './worker-polyveil.ts'

export interface ConnectInWorkerOptions
  extends Omit<ConnectOptions, 'keys' | 'fetch'>,
    WorkerStore,
    Pick<IndexedDbKeyStoreOptions, 'onPersisted'> {
  /**
   * A Worker of one's own whose script imports `polyveil/client/worker`, for bundlers that do not follow `new
   * Worker(new URL(...))`. It may have other messages. `close` does not end it.
   */
  readonly worker?: WebWorker
}

const OPTIONS = [
  'worker',
  'store',
  'name',
  'passphrase',
  'onPersisted',
  ...SHARED_OPTIONS,
] as const satisfies readonly (keyof ConnectInWorkerOptions)[]

/**
 * Connects to a PolyVeil server in a Web Worker, so that the page responds while the client computes. For
 * browsers only.
 *
 * @param url as for `connect`
 * @param options those of `connect` but `fetch`; instead of `keys` the kind of store, which the Worker opens
 * @throws CONFIG_INVALID in Node, and as `connect`; WORKER_LOST when the Worker does not start
 */
export async function connectInWorker(
  url: string | URL,
  options: ConnectInWorkerOptions = {},
): Promise<WorkerPolyVeil> {
  const given = optionsArgument(options, OPTIONS)
  if (globalThis.process?.versions?.node !== undefined) throw noBrowser()
  given.signal?.throwIfAborted()
  const { worker, signal, onManifestChange, onPersisted } = given
  const watched = new WatchedWorker(worker)
  const { port1, port2 } = new MessageChannel()
  const calls = new WorkerCalls(port1, {
    signal,
    onManifestChange,
    onStored: () => void reportPersistence(onPersisted),
    onAlive: () => watched.begun(),
  })
  watched.onLost = (error) => calls.end(error)
  try {
    watched.open(openMessage(url, given, port2, watched.lock))
    await until(calls.connected, signal)
    return new WorkerPolyVeil(calls, watched)
  } catch (error) {
    calls.end(closedConnection())
    watched.end()
    throw error
  }
}

/** The options without those that stay on the page. */
const openMessage = (
  url: string | URL,
  {
    worker,
    signal,
    onManifestChange,
    onPersisted,
    store,
    name,
    passphrase,
    headers,
    ...others
  }: ConnectInWorkerOptions,
  port: Port,
  lock: string | undefined,
): OpenMessage => ({
  kind: 'polyveil-connect',
  port,
  url: url instanceof URL ? url.href : url,
  store: { store, name, passphrase },
  options: { ...others, headers: headers instanceof Headers ? Object.fromEntries(headers) : headers },
  reportsManifests: onManifestChange !== undefined,
  lock,
})

const noBrowser = (): PolyVeilError =>
  new PolyVeilError(
    'CONFIG_INVALID',
    'connectInWorker is for browsers; Node has no Web Workers',
    {},
    { remedy: 'Use connect in Node: its requests and threads do not block the program.' },
  )
