import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { EngineMemory } from '../../he-ops/engine.ts'
import type { CheckedKeySet, InferenceJob } from '../inference/engine.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'

/** What an executor tells of its workers, which go by numbers from 0 on. */
export interface LaneEvents {
  /** A worker has loaded a circuit and a client's keys. @param opened digest of the circuit's file in hex */
  onOpened(lane: number, opened: { readonly digest: string; readonly memory: EngineMemory }): void
  /** A worker has freed the keys of a set. */
  onUnloaded(lane: number, keySet: string): void
  /** A worker has ended unexpectedly, and another takes its place. */
  onReplaced(lane: number): void
}

/** What an executor tells of one inference. */
export interface JobEvents {
  /** The inference waits for its client and computes nothing meanwhile, or goes on. */
  onPaused(isPaused: boolean): void
  /**
   * Called once when the job takes no more of its worker, which for a cancelled inference is later than its
   * rejection.
   */
  onEnd(): void
}

/** Executes inferences on workers that its caller chooses. */
export interface LaneExecutor {
  /** Workers. */
  readonly lanes: number
  /** Threads of each that compute an inference together. */
  readonly threads: number
  /** Whether jobs are accepted. */
  readonly ready: boolean
  /** Whether the thread of a worker runs. */
  isReady(lane: number): boolean
  /** Called once, before the first job. */
  watch(events: LaneEvents): void
  /** As `InferenceEngine` has it. */
  checkKeys(parameters: CkksParameters, location: KeySetLocation): Promise<CheckedKeySet>
  /** As `InferenceEngine` has it, on a worker of the caller's choice. */
  infer(job: InferenceJob, lane: number, events: JobEvents): Promise<Uint8Array>
  /** Frees the keys of a set in all workers, once they are not in use. */
  forgetKeys(name: string): void
  close(): Promise<void>
}
