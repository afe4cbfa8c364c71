import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { RefreshClient } from '../../he-ops/engine.ts'
import type { ServedModel } from '../catalogue.ts'
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

export interface InferenceJob {
  readonly model: ServedModel
  readonly keys: StoredKeySet
  /**
   * The encrypted image as it arrived. Only its length has been checked. Its buffer is transferred.
   */
  readonly frame: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal
  /**
   * Called once when the job takes no more of the engine, which for a cancelled inference is later than its
   * rejection.
   */
  readonly onEnd: () => void
  readonly onProgress: OnProgress
  /** Refreshes masked tensors. An error that it throws ends the inference. */
  readonly client: RefreshClient
}

/** Executes circuits on other threads than the one that answers requests. */
export interface InferenceEngine {
  /** Whether the engine accepts jobs. */
  readonly ready: boolean
  /**
   * Checks a key set to its last residue.
   *
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for bad bytes
   * @throws TOO_BUSY, WORKER_LOST when a later try may succeed
   */
  checkKeys(parameters: CkksParameters, location: KeySetLocation): Promise<CheckedKeySet>
  /**
   * @returns the frame of the encrypted logits, re-randomised
   * @throws InferenceCancelled once `signal` is aborted
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, KEYS_MISSING, KEYS_EXPIRED, TOO_BUSY, WORKER_LOST
   * @throws TOO_LARGE as HttpError with status 507 when the model does not fit the engine's memory
   */
  infer(job: InferenceJob): Promise<Uint8Array>
  close(): Promise<void>
}

/** Ends an inference that was cancelled. */
export class InferenceCancelled extends Error {
  constructor() {
    super('The inference was cancelled')
    this.name = 'InferenceCancelled'
  }
}
