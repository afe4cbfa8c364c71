import { fileURLToPath } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import { type CkksParameters, parametersLiteral } from '../../circuit/parameters/parameters.ts'
import { PolyVeilError } from '../../errors/index.ts'
import { type CheckedKeySet, InferenceCancelled, type InferenceJob } from '../inference/engine.ts'
import type { JobEvents, LaneEvents, LaneExecutor } from '../scheduling/lane-executor.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'
import { converse } from './conversation.ts'
import { WorkerLane } from './lane.ts'
import type { SessionOpened, WorkerNotice, WorkerSettings } from './messages.ts'

/** What a pool tells of its workers, for metrics. Workers go by numbers from 0 on. */
export interface WorkerObserver {
  onNotice(lane: number, notice: WorkerNotice): void
  /** A thread has ended unexpectedly. @param lane absent for the thread that checks key sets */
  onLost(lane?: number): void
}

export interface WorkerPoolOptions {
  readonly workers: number
  /** Checks of key sets that may wait for their thread; further ones are refused. */
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
  readonly observer?: WorkerObserver
  /** The module that workers run; a test replaces it by one that fails. */
  readonly filename?: string
}

/** After this time without a check its thread ends. */
const CHECKS_IDLE_MILLISECONDS = 60_000

const NO_EVENTS: LaneEvents = { onOpened: () => {}, onUnloaded: () => {}, onReplaced: () => {} }
const NO_OBSERVER: WorkerObserver = { onNotice: () => {}, onLost: () => {} }

/** Executes circuits in worker threads. */
export class WorkerPool implements LaneExecutor {
  readonly threads: number
  readonly #lanes: readonly WorkerLane[]
  /** One thread for checks of keys, so that they never wait for inferences. It starts when it is needed. */
  readonly #checks: WorkerLane
  readonly #queue: number
  readonly #served: () => readonly string[] | undefined
  readonly #onSession: (opened: SessionOpened) => void
  readonly #observer: WorkerObserver
  #events = NO_EVENTS
  #checking = 0

  constructor({
    workers,
    queue,
    settings,
    served = () => undefined,
    onFault = () => {},
    onSession = () => {},
    observer = NO_OBSERVER,
    filename = workerFile(),
  }: WorkerPoolOptions) {
    this.threads = settings.threads
    this.#queue = queue
    this.#served = served
    this.#onSession = onSession
    this.#observer = observer
    this.#checks = new WorkerLane({
      filename,
      settings,
      onFault: (error) => {
        observer.onLost()
        onFault(error)
      },
      idleMilliseconds: CHECKS_IDLE_MILLISECONDS,
      jobs: 1,
    })
    this.#lanes = Array.from(
      { length: workers },
      (_, lane) =>
        new WorkerLane({
          filename,
          settings,
          onFault: (error) => {
            this.#events.onReplaced(lane)
            observer.onLost(lane)
            onFault(error)
          },
          onNotice: (notice) => this.#note(lane, notice),
        }),
    )
  }

  get lanes(): number {
    return this.#lanes.length
  }

  get ready(): boolean {
    return this.#lanes.some(({ ready }) => ready)
  }

  isReady(lane: number): boolean {
    return this.#lanes[lane].ready
  }

  watch(events: LaneEvents): void {
    this.#events = events
  }

  async checkKeys(parameters: CkksParameters, location: KeySetLocation): Promise<CheckedKeySet> {
    const waiting = this.#checking - 1
    if (waiting >= this.#queue) {
      throw new PolyVeilError('TOO_BUSY', `${waiting} key sets wait to be checked`, { waiting })
    }
    this.#checking++
    try {
      return await this.#checks.run('checkKeys', { parameters: parametersLiteral(parameters), location })
    } finally {
      this.#checking--
    }
  }

  async infer(job: InferenceJob, lane: number, { onPaused, onEnd }: JobEvents): Promise<Uint8Array> {
    const { model, keys, frame, signal, onProgress, onStage, client } = job
    const { port1, port2 } = new MessageChannel()
    const onReady = (): void => onStage?.('compute')
    const broken = converse(port1, { onProgress, onReady, onPaused, client })
    const stop = new SharedArrayBuffer(4)
    const cancelled = whenAborted(signal, () => Atomics.store(new Int32Array(stop), 0, 1))
    // A cancelled inference ends here before its worker does, which may still be reading the file.
    const letGo = model.file?.hold()
    const circuit = { path: model.path, descriptor: model.file?.descriptor, digest: model.digest }
    const task = { circuit, served: this.#served(), keys, frame, port: port2, stop }
    const result = this.#lanes[lane].run('infer', task, [port2, frame.buffer])
    const end = (): void => {
      letGo?.()
      onEnd()
    }
    result.then(end, end)
    try {
      // A cancelled inference ends at once here, although the worker reads the flag later.
      return await Promise.race([result, cancelled.promise, broken])
    } finally {
      cancelled.forget()
      port1.close()
    }
  }

  forgetKeys(name: string): void {
    // A worker that has ended has freed them.
    for (const lane of this.#lanes) lane.run('forgetKeys', name).catch(() => {})
  }

  /** Waits for running jobs. */
  async close(): Promise<void> {
    await Promise.all([...this.#lanes, this.#checks].map((lane) => lane.close()))
  }

  #note(lane: number, notice: WorkerNotice): void {
    this.#observer.onNotice(lane, notice)
    if (notice.kind === 'keys freed') this.#events.onUnloaded(lane, notice.keySet)
    if (notice.kind === 'session opened') {
      this.#events.onOpened(lane, notice)
      this.#onSession(notice)
    }
  }
}

/** The worker module beside this one: TypeScript in the source tree, JavaScript in the build. */
function workerFile(): string {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./worker.${ending}`, import.meta.url))
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
