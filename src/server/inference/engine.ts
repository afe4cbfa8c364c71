import type { CkksParameters } from '../../circuit/parameters/parameters.ts'
import type { RefreshClient } from '../../he-ops/engine.ts'
import type { ServedModel } from '../catalogue.ts'
import type { KeySetLocation } from '../stores/key-set-record.ts'

/** A stored key set as the engine sees it: complete, passed by `checkKeys`, and not written to any more. */
export interface StoredKeySet {
  /** Same name, same bytes: what loaded keys may be remembered by. */
  readonly name: string
  readonly location: KeySetLocation
}

export interface CheckedKeySet {
  /** Ascending. */
  readonly galoisElements: readonly number[]
  /** Digest in hex at the end of the frame. */
  readonly digest: string
}

/** Operations done and their total; before the first one, the worker is loading circuit and keys. */
export type OnProgress = (done: number, total: number) => void

export interface InferenceJob {
  readonly model: ServedModel
  readonly keys: StoredKeySet
  /**
   * The encrypted image as it arrived, of the right length but otherwise unchecked. Its buffer is
   * transferred.
   */
  readonly frame: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal
  readonly onProgress: OnProgress
  /** Takes part in refresh rounds. What it throws ends the inference. */
  readonly client: RefreshClient
}

/** Executes circuits, somewhere else than on the thread that answers requests. */
export interface InferenceEngine {
  /** Whether work is being taken. */
  readonly ready: boolean
  /** Jobs that wait for a worker. */
  readonly waiting: number
  /**
   * Checks a key set to its last residue.
   *
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for bad bytes
   * @throws TOO_BUSY, WORKER_LOST when it is worth trying again
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

/** An inference ended because it was told to; no fault of anybody. */
export class InferenceCancelled extends Error {
  constructor() {
    super('The inference was cancelled')
    this.name = 'InferenceCancelled'
  }
}
