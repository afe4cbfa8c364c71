import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type {
  CheckedKeySet,
  EngineLoad,
  InferenceEngine,
  InferenceJob,
  WorkerState,
} from '../inference/engine.ts'
import type { LocatedKeySet } from '../stores/key-set-bytes.ts'
import type { LaneEvents, LaneExecutor } from './lane-executor.ts'
import { PlannedWork } from './planned-work.ts'
import { Scheduler, type SchedulerOptions } from './scheduler.ts'
import { SecondAttempt } from './second-attempt.ts'

export type ScheduledEngineOptions = Omit<SchedulerOptions, 'lanes'>

/**
 * Runs inferences on the workers of this process, each when its turn has come, and once more when its worker
 * is lost before the client has an output.
 */
export class ScheduledEngine implements InferenceEngine {
  readonly #executor: LaneExecutor
  readonly #scheduler: Scheduler
  readonly #planned: PlannedWork
  readonly engineBytes: number
  #isClosed = false

  /** @param executor closed with this engine */
  constructor(executor: LaneExecutor, options: ScheduledEngineOptions) {
    this.#executor = executor
    this.engineBytes = options.laneBytes
    this.#scheduler = new Scheduler({ ...options, lanes: executor.lanes })
    this.#planned = new PlannedWork(executor.threads)
    const { lanes } = this.#scheduler
    executor.watch({
      onOpened: (_lane, { digest, memory }) => this.#planned.opened(digest, memory),
      onUnloaded: (lane, keySet) => lanes.unloaded(lane, keySet),
      onReplaced: (lane) => lanes.replaced(lane),
    } satisfies LaneEvents)
  }

  get ready(): boolean {
    return this.#executor.ready
  }

  get load(): EngineLoad {
    const { waiting, computing, paused, waitSeconds, lanes } = this.#scheduler
    const { loaded: loadedKeySets, held: heldBytes } = lanes
    return { waiting, computing, paused, waitSeconds, loadedKeySets, heldBytes }
  }

  get workers(): readonly WorkerState[] {
    return this.#scheduler.lanes.states.map((state, lane) => ({
      ready: this.#executor.isReady(lane),
      ...state,
    }))
  }

  async checkKeys(parameters: CkksParameters, keys: LocatedKeySet): Promise<CheckedKeySet> {
    using stored = await keys.locate()
    return await this.#executor.checkKeys(parameters, stored.location)
  }

  announce(owner: string): () => void {
    return this.#scheduler.announce(owner)
  }

  async infer(job: InferenceJob): Promise<Uint8Array> {
    const attempts = new SecondAttempt(job)
    try {
      return await this.#execute(attempts.first, () => attempts.keepQuery())
    } catch (error) {
      const second = attempts.after(error)
      // An engine that closes has no other worker.
      if (second === undefined || this.#isClosed) throw error
      job.onRestart?.(error)
      job.onStage?.('queue')
      return await this.#execute(second)
    }
  }

  /** @param onTurn called before the query's buffer is transferred */
  async #execute(job: InferenceJob, onTurn = () => {}): Promise<Uint8Array> {
    const { model, keys } = job
    const seconds = this.#planned.secondsOf(model)
    const session = this.#planned.roomOf(model, keys.name)
    const turn = await this.#scheduler.take({ ...job.whose, seconds, session }, job.signal)
    job.onStage?.('load')
    onTurn()
    const onPaused = (isPaused: boolean): void => {
      job.onStage?.(isPaused ? 'client' : 'compute')
      if (isPaused) turn.pause()
      else turn.resume()
    }
    const ended = Promise.withResolvers<number>()
    const onEnd = (): void => ended.resolve(turn.end())
    const answer = await this.#executor.infer(job, turn.lane, { onPaused, onEnd })
    this.#planned.measured(model, await ended.promise)
    return answer
  }

  forgetKeys(name: string): void {
    this.#executor.forgetKeys(name)
  }

  close(): Promise<void> {
    this.#isClosed = true
    return this.#executor.close()
  }
}
