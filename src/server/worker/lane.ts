import type { Transferable } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { PolyVeilError } from '../../errors/index.ts'
import { type Outcome, type Tasks, unwrap, type WorkerNotice, type WorkerSettings } from './messages.ts'

export interface WorkerLaneOptions {
  readonly filename: string
  readonly settings: WorkerSettings
  /** Called when the thread ends unexpectedly. Another takes its place. */
  readonly onFault: (error: unknown) => void
  readonly onNotice?: (notice: WorkerNotice) => void
  /** Jobs that the thread has at once; further ones wait. By default no limit. */
  readonly jobs?: number
  /** After this time without a job the thread ends, and begins again with the next one; by default never. */
  readonly idleMilliseconds?: number
}

/** Piscina takes no infinity. */
const NO_LIMIT = 1_000_000

/** One worker thread with engines, keys and circuits of its own. */
export class WorkerLane {
  readonly #pool: Piscina
  readonly #onFault: (error: unknown) => void
  #isClosed = false
  #isReported = false

  constructor({
    filename,
    settings,
    onFault,
    onNotice = () => {},
    jobs = NO_LIMIT,
    idleMilliseconds,
  }: WorkerLaneOptions) {
    this.#onFault = onFault
    this.#pool = new Piscina({
      filename,
      minThreads: idleMilliseconds === undefined ? 1 : 0,
      maxThreads: 1,
      concurrentTasksPerWorker: jobs,
      ...(idleMilliseconds !== undefined && { idleTimeout: idleMilliseconds }),
      workerData: settings,
    })
    // A thread that ends without a job emits an error event, which must have a listener.
    this.#pool.on('error', onFault)
    this.#pool.on('message', onNotice)
  }

  /** Whether it accepts jobs, and its thread runs. */
  get ready(): boolean {
    return !this.#isClosed && this.#pool.threads.length > 0
  }

  /** @throws WORKER_LOST when the thread ends first; errors of the task */
  async run<Name extends keyof Tasks>(
    name: Name,
    task: Tasks[Name]['task'],
    transferList: Transferable[] = [],
  ): Promise<Tasks[Name]['result']> {
    if (this.#isClosed) throw new PolyVeilError('WORKER_LOST', 'The server has no worker now')
    const outcome = await this.#pool.run(task, { name, transferList }).catch(this.#lost)
    return unwrap(outcome as Outcome<Tasks[Name]['result']>)
  }

  /** Waits for running jobs. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#pool.close()
  }

  /** Tasks return even faults as values, so a rejection means that the thread has ended. */
  readonly #lost = (cause: unknown): never => {
    this.#report(cause)
    throw new PolyVeilError('WORKER_LOST', 'The worker ended before it had an answer', {}, { cause })
  }

  /** The jobs of a thread that ends are rejected all at once; it is reported once. */
  #report(cause: unknown): void {
    if (this.#isReported) return
    this.#isReported = true
    setImmediate(() => {
      this.#isReported = false
    })
    this.#onFault(cause)
  }
}
