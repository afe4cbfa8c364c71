import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, type Transferable } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { type CkksParameters, parametersLiteral } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import type { RefreshClient } from '../../he-ops/engine.ts'
import {
  type CheckedKeySet,
  InferenceCancelled,
  type InferenceEngine,
  type InferenceJob,
  type OnProgress,
} from '../inference/engine.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'
import {
  type CheckTask,
  type InferTask,
  type Outcome,
  type RefreshReply,
  type SessionOpened,
  unwrap,
  type WorkerMessage,
  type WorkerSettings,
} from './messages.ts'

export interface WorkerPoolOptions {
  readonly workers: number
  /** Jobs that a worker runs at once: it computes for one while others wait for their clients. */
  readonly jobsPerWorker: number
  /**
   * Checks of key sets that may wait for their thread; further ones are refused. Inferences wait in `Places`.
   */
  readonly queue: number
  readonly settings: WorkerSettings
  /**
   * Digests of the circuits that are served now; workers free what they have of others. By default they keep
   * all.
   */
  readonly served?: () => readonly string[] | undefined
  /** Called when a worker ends unexpectedly. */
  readonly onFault?: (error: unknown) => void
  /** Called when a worker has opened a session. */
  readonly onSession?: (opened: SessionOpened) => void
  /** The module that workers run; a test replaces it by one that fails. */
  readonly filename?: string
}

/** The tasks of `worker.ts`. */
interface Tasks {
  checkKeys: { task: CheckTask; result: CheckedKeySet }
  infer: { task: InferTask; result: Uint8Array }
}

/** After this time without a check its thread ends. */
const CHECKS_IDLE_MILLISECONDS = 60_000

/** Executes circuits in worker threads. */
export class WorkerPool implements InferenceEngine {
  readonly #pool: Piscina
  /** One thread for checks of keys, so that they never wait for inferences. It starts when it is needed. */
  readonly #checks: Piscina
  readonly #queue: number
  readonly #served: () => readonly string[] | undefined
  readonly #onFault: (error: unknown) => void
  #closed = false

  constructor({
    workers,
    jobsPerWorker,
    queue,
    settings,
    served = () => undefined,
    onFault = () => {},
    onSession = () => {},
    filename = workerFile(),
  }: WorkerPoolOptions) {
    this.#queue = queue
    this.#served = served
    this.#onFault = onFault
    this.#checks = new Piscina({
      filename,
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: CHECKS_IDLE_MILLISECONDS,
      workerData: settings,
    })
    this.#checks.on('error', onFault)
    this.#pool = new Piscina({
      filename,
      minThreads: workers,
      maxThreads: workers,
      concurrentTasksPerWorker: jobsPerWorker,
      workerData: settings,
    })
    // A worker that ends without a job emits an error event, which must have a listener.
    this.#pool.on('error', onFault)
    this.#pool.on('message', onSession)
  }

  get ready(): boolean {
    return !this.#closed && this.#pool.threads.length > 0
  }

  checkKeys(parameters: CkksParameters, location: KeySetLocation): Promise<CheckedKeySet> {
    return this.#check({ parameters: parametersLiteral(parameters), location })
  }

  async infer({ model, keys, frame, signal, onEnd, onProgress, client }: InferenceJob): Promise<Uint8Array> {
    const { port1, port2 } = new MessageChannel()
    const broken = converse(port1, onProgress, client)
    const stop = new SharedArrayBuffer(4)
    const cancelled = whenAborted(signal, () => Atomics.store(new Int32Array(stop), 0, 1))
    // A cancelled inference ends here before its worker does, which may still be reading the file.
    const letGo = model.file?.hold()
    const circuit = { path: model.path, descriptor: model.file?.descriptor, digest: model.digest }
    const task = { circuit, served: this.#served(), keys, frame, port: port2, stop }
    const job = this.#run(this.#pool, 'infer', task, [port2, frame.buffer])
    const end = (): void => {
      letGo?.()
      onEnd()
    }
    job.then(end, end)
    try {
      // A cancelled inference ends at once here, although the worker reads the flag later.
      return await Promise.race([job, cancelled.promise, broken])
    } finally {
      cancelled.forget()
      port1.close()
    }
  }

  /** Waits for running jobs. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([this.#pool.close(), this.#checks.close()])
  }

  async #check(task: CheckTask): Promise<CheckedKeySet> {
    const { queueSize } = this.#checks
    if (queueSize > this.#queue) {
      throw new PolyVeilError('TOO_BUSY', `${queueSize} key sets wait to be checked`, { waiting: queueSize })
    }
    return this.#run(this.#checks, 'checkKeys', task)
  }

  async #run<Name extends keyof Tasks>(
    pool: Piscina,
    name: Name,
    task: Tasks[Name]['task'],
    transferList: Transferable[] = [],
  ): Promise<Tasks[Name]['result']> {
    this.#requireReady()
    const outcome = await pool.run(task, { name, transferList }).catch(this.#lost)
    return unwrap(outcome as Outcome<Tasks[Name]['result']>)
  }

  #requireReady(): void {
    if (!this.ready) throw new PolyVeilError('WORKER_LOST', 'The server has no worker now')
  }

  /** Tasks return even faults as values, so a rejection means that the thread has ended. */
  readonly #lost = (cause: unknown): never => {
    this.#onFault(cause)
    throw new PolyVeilError('WORKER_LOST', 'The worker ended before it had an answer', {}, { cause })
  }
}

/** The worker module beside this one: TypeScript in the source tree, JavaScript in the build. */
function workerFile(): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./worker.${ending}`, import.meta.url))
}

/**
 * Forwards the messages of a worker to the client of an inference, and the client's replies to the worker.
 *
 * @returns a promise that never resolves, and rejects with an error of the client
 */
function converse(port: MessagePort, onProgress: OnProgress, client: RefreshClient): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  // The job may end first.
  promise.catch(() => {})
  const replies = new Map<number, PromiseWithResolvers<void>>()
  const reply = (round: number, refreshed: Uint8Array): Promise<void> => {
    const checked = Promise.withResolvers<void>()
    replies.set(round, checked)
    const copy = new Uint8Array(refreshed)
    port.postMessage({ round, refreshed: copy } satisfies RefreshReply, [copy.buffer])
    return checked.promise
  }
  port.on('message', (message: WorkerMessage) => {
    switch (message.kind) {
      case 'progress':
        return onProgress(message.done, message.total)
      case 'refresh': {
        const { round, masked } = message
        return void client(round, masked, (refreshed) => reply(round, refreshed)).catch(reject)
      }
      case 'reply checked':
        return void settleReply(replies.get(message.round), message.outcome)
    }
  })
  return promise
}

/** Settles the promise of a reply with the result of its check. */
function settleReply(checked: PromiseWithResolvers<void> | undefined, outcome: Outcome<undefined>): void {
  try {
    checked?.resolve(unwrap(outcome))
  } catch (error) {
    checked?.reject(error)
  }
}

/** A promise that rejects when the signal is aborted; `onAbort` runs then, at once if it already is. */
function whenAborted(
  signal: AbortSignal,
  onAbort: () => void,
): { promise: Promise<never>; forget: () => void } {
  const { promise, reject } = Promise.withResolvers<never>()
  // The job may end first; a rejection without a listener must not end the process.
  promise.catch(() => {})
  const abort = (): void => {
    onAbort()
    reject(new InferenceCancelled())
  }
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return { promise, forget: () => signal.removeEventListener('abort', abort) }
}
