/// <reference lib="esnext.disposable" preserve="true" />

import type { PolyVeil } from '../polyveil.ts'
import type { Connection, KeySetCalls } from './connection.ts'
import type { KeySetMethod, Method } from './protocol.ts'
import type { WatchedWorker } from './watched-worker.ts'
import { closedConnection, crossedOutcomes, type WorkerCalls } from './worker-calls.ts'

/**
 * A connection to one server that works in a Web Worker: reading of pictures, keys, encryption, requests and
 * decryption. The page's thread only sends arguments and receives results, which are copied.
 *
 * Methods, arguments, results and errors are those of `PolyVeil`. Every method also rejects with WORKER_LOST
 * when the Worker ends, after which the page has to connect again, and with CONFIG_INVALID after `close` or
 * when an argument cannot be copied.
 */
export class WorkerPolyVeil implements Connection {
  /** Lists, rotates and deletes the keys that this client has on the server. */
  readonly keySets: KeySetCalls = {
    list: this.#keySetMethod('list'),
    rotate: this.#keySetMethod('rotate'),
    delete: this.#keySetMethod('delete'),
  }
  readonly models = this.#method('models')
  readonly manifest = this.#method('manifest')
  readonly keys = this.#method('keys')
  readonly encrypt = this.#method('encrypt')
  readonly infer = this.#method('infer')
  readonly refresh = this.#method('refresh')
  readonly decrypt = this.#method('decrypt')
  readonly decryptBatch = this.#method('decryptBatch')
  readonly classify = this.#method('classify')
  readonly #calls: WorkerCalls
  readonly #worker: Pick<WatchedWorker, 'end'>

  /** `connectInWorker` makes connections. */
  constructor(calls: WorkerCalls, worker: Pick<WatchedWorker, 'end'>) {
    this.#calls = calls
    this.#worker = worker
  }

  /** As `classifySettled` of `PolyVeil`. An image that cannot be copied to the Worker rejects the call. */
  async classifySettled(
    ...args: Parameters<PolyVeil['classifySettled']>
  ): ReturnType<PolyVeil['classifySettled']> {
    const outcomes = await this.#calls.call('classifySettled', args)
    return crossedOutcomes(outcomes as Awaited<ReturnType<PolyVeil['classifySettled']>>)
  }

  /**
   * Frees keys, and deletes all keys of the store; no server is told. `keySets.delete` also deletes the key
   * sets on this server. The next call that needs a key makes a new one. Key sets that a store in memory has
   * on the server are deleted.
   */
  async forget(): Promise<void> {
    await this.#calls.call('forget', [])
  }

  /**
   * As `close` of `PolyVeil`, and then ends the Worker, unless it was given to `connectInWorker`. The
   * connection cannot be used again.
   */
  async close(): Promise<void> {
    // A Worker that is lost has no keys to free, and the server's copies expire.
    await this.#calls.call('close', []).catch(() => {})
    this.#calls.end(closedConnection())
    this.#worker.end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Calls `close` and does not wait for it. */
  [Symbol.dispose](): void {
    void this.close()
  }

  #method<M extends Exclude<Method, KeySetMethod | 'forget'>>(method: M): PolyVeil[M] {
    return ((...args: unknown[]) => this.#calls.call(method, args)) as PolyVeil[M]
  }

  #keySetMethod<M extends KeySetMethod>(method: M): KeySetCalls[M] {
    return ((...args: unknown[]) => this.#calls.call(method, args)) as KeySetCalls[M]
  }
}
