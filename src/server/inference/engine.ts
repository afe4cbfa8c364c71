import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { RefreshClient } from '../../he-ops/engine.ts'
import type { ServedModel } from '../models/catalogue.ts'
import type { LocatedKeySet } from '../stores/key-set-bytes.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'

/** A stored key set that is complete, has passed `checkKeys`, and does not change any more. */
export interface StoredKeySet {
  /** Identifies the bytes: loaded keys may be cached by this name. */
  readonly name: string
  readonly location: KeySetLocation
}

export interface CheckedKeySet {
  /** Ascending. */
  readonly galoisElements: readonly number[]
  /** Digest in hex at the end of the frame. */
  readonly digest: string
}

/** Reports operations done and their total. Before the first report the worker loads circuit and keys. */
export type OnProgress = (done: number, total: number) => void

/**
 * Stages of an inference: it waits for its turn, keys and circuit are loaded, and then it is computed for or
 * waits for its client.
 */
export type EngineStage = 'queue' | 'load' | 'compute' | 'client'

/** The client of a job, as a scheduler sees it. */
export interface JobOwner {
  /** Owners get equal shares of the engine. */
  readonly owner: string
  /** Inferences that the owner may have under way at once; by default the engine's own limit. */
  readonly mostOfOwner?: number
  /** Milliseconds since a client that has to act had its last request open; 0 for any other. */
  readonly silence: () => number
  /** Ends the inference, because others wait for the memory that it holds. */
  readonly evict: () => void
}

export interface InferenceJob {
  readonly model: ServedModel
  readonly keys: StoredKeySet
  /**
   * The encrypted image as it arrived. Only its length has been checked. Its buffer is transferred.
   */
  readonly frame: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal
  readonly whose: JobOwner
  readonly onProgress: OnProgress
  /** Called when a stage begins that follows the queue. */
  readonly onStage?: (stage: EngineStage) => void
  /** Called when the inference begins again, because its worker was lost. */
  readonly onRestart?: (error: unknown) => void
  /** Refreshes masked tensors. An error that it throws ends the inference. */
  readonly client: RefreshClient
}

/** What the engine has to do. */
export interface EngineLoad {
  /** Inferences that wait for their turn. */
  readonly waiting: number
  /** Inferences that are computed for. */
  readonly computing: number
  /** Inferences that wait for their clients. */
  readonly paused: number
  /** Seconds that an inference that comes now waits for its turn, by estimate. */
  readonly waitSeconds: number
  /** Key sets that workers have loaded. */
  readonly loadedKeySets: number
  /** Engine memory that inferences under way hold, in bytes by estimate. */
  readonly heldBytes: number
}

/** One worker of the engine. */
export interface WorkerState {
  /** Whether its thread runs. */
  readonly ready: boolean
  /** Inferences that it computes for. */
  readonly computing: number
  /** Key sets that it has loaded. */
  readonly loadedKeySets: number
  /** Engine memory that inferences under way hold, in bytes by estimate. */
  readonly heldBytes: number
}

/** What routes need of engines, in whatever process these run. */
export interface EngineAccess {
  /** Whether the engine accepts jobs. */
  readonly ready: boolean
  readonly load: EngineLoad
  readonly workers: readonly WorkerState[]
  /** Most memory of each worker's engine; undefined where other processes have settings of their own. */
  readonly engineBytes?: number
  /**
   * Checks a key set to its last residue.
   *
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for bad bytes
   * @throws TOO_BUSY, WORKER_LOST when a later try may succeed
   */
  checkKeys(parameters: CkksParameters, keys: LocatedKeySet): Promise<CheckedKeySet>
  /**
   * Announces an inference whose query is about to arrive.
   *
   * @param owner as in `JobOwner`
   * @returns a function to call when the query has arrived, or will not
   * @throws TOO_BUSY when too many wait already
   */
  announce(owner: string): () => void
  /** Frees the keys of a deleted set wherever they are loaded, once no inference uses them. */
  forgetKeys(name: string): void
  close(): Promise<void>
}

/** Executes circuits on other threads than the one that answers requests. */
export interface InferenceEngine extends EngineAccess {
  /**
   * Runs an inference when its turn has come.
   *
   * @returns the frame of the encrypted logits, re-randomised
   * @throws TOO_BUSY when too many wait already
   * @throws InferenceCancelled once `signal` is aborted
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, KEYS_MISSING, KEYS_EXPIRED, TOO_BUSY, WORKER_LOST
   * @throws TOO_LARGE as HttpError with status 507 when the model does not fit the engine's memory
   */
  infer(job: InferenceJob): Promise<Uint8Array>
}

/** Ends an inference that was cancelled. */
export class InferenceCancelled extends Error {
  constructor() {
    super('The inference was cancelled')
    this.name = 'InferenceCancelled'
  }
}
