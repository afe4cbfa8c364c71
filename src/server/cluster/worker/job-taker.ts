import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { EngineLoad } from '../../inference/engine.ts'
import type { Intake } from '../../inference/intake.ts'
import type { Calls } from '../exchange/calls.ts'
import { type JobQueue, type TakenJob, UnreadableJob } from '../queue/job-queue.ts'
import type { HeldInferences } from './held-inferences.ts'

export interface JobTakerOptions {
  readonly calls: Pick<Calls, 'self' | 'refuse'>
  readonly queue: JobQueue
  readonly inferences: HeldInferences
  /** What the engine of this process has to do. */
  readonly load: () => EngineLoad
  /** Inferences that the engine computes for at once. */
  readonly places: number
  /** Looks for work elsewhere, when there are places and nothing in the queue. @returns what it found */
  readonly findWork: () => Promise<number>
  /** Called when an inference has begun or ended. */
  readonly onChange: () => void
  readonly log: Logger
}

/** Between two looks for jobs, where nobody has told of one. */
const LOOK_MILLISECONDS = 250
/** Between two looks whether jobs that were taken have begun. */
const SETTLE_MILLISECONDS = 20

/** Takes inferences from the queue of a cluster, whenever the engine of this process has a place. */
export class JobTaker {
  readonly #options: JobTakerOptions
  /** Jobs that are taken, and have not come to the engine. */
  #starting = 0
  #intake: Pick<Intake, 'isOpen'> | undefined
  #looking = false
  /** Whether a job may have come since the last look began. */
  #isWoken = false
  #timer: NodeJS.Timeout | undefined

  constructor(options: JobTakerOptions) {
    this.#options = options
  }

  /** Whether jobs are taken. */
  get isOpen(): boolean {
    return this.#intake?.isOpen ?? false
  }

  /** Inferences that could begin at once. */
  get freePlaces(): number {
    const { computing, waiting } = this.#options.load()
    return Math.max(0, this.#options.places - computing - waiting - this.#starting)
  }

  /** Takes jobs while the intake is open. */
  open(intake: Pick<Intake, 'isOpen'>): void {
    this.#intake = intake
    this.#timer ??= setInterval(() => this.wake(), LOOK_MILLISECONDS).unref()
    this.wake()
  }

  /** Takes no more jobs, and waits until those that are taken have begun. */
  async close(): Promise<void> {
    this.#intake = undefined
    clearInterval(this.#timer)
    this.#timer = undefined
    while (this.#starting > 0) await sleep(SETTLE_MILLISECONDS)
  }

  /** Looks for jobs at once. */
  readonly wake = (): void => {
    this.#isWoken = true
    if (this.#looking) return
    this.#looking = true
    this.#takeAll()
      .catch((err) => this.#options.log.warn({ err }, 'The queue cannot be read'))
      .finally(() => {
        this.#looking = false
      })
  }

  async #takeAll(): Promise<void> {
    const { queue, calls } = this.#options
    while (this.isOpen && this.#isWoken && this.freePlaces > 0) {
      this.#isWoken = false
      const taken = await queue.take(calls.self).catch((error) => this.#refuseUnreadable(error))
      if (taken === undefined) {
        this.#isWoken ||= (await this.#options.findWork()) > 0
        continue
      }
      this.#isWoken = true
      this.#run(taken)
    }
  }

  /** Tells the asker of a job that this version cannot read. @throws other errors */
  async #refuseUnreadable(error: unknown): Promise<undefined> {
    if (!(error instanceof UnreadableJob)) throw error
    const { calls, log } = this.#options
    log.error({ err: error }, 'A job cannot be read')
    this.#isWoken = true
    if (error.asker) await calls.refuse(error.asker.process, error.asker.call, error)
    return undefined
  }

  #run(taken: TakenJob): void {
    const { inferences, onChange } = this.#options
    this.#starting++
    let isStarting = true
    const onStarted = (): void => {
      if (isStarting) this.#starting--
      isStarting = false
    }
    void inferences.run(taken, { onStarted, onBegun: onChange, onMoment: this.wake }).finally(() => {
      onChange()
      this.wake()
    })
  }
}
