/** How the caller follows and ends an execution. */
export interface ExecutionControl {
  /** Operations done, and their total. */
  readonly onProgress?: (done: number, total: number) => void
  /** Asked now and then; true ends the execution with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
  /** False: refresh rounds go one by one. For clients that work on the engine's thread. Default true. */
  readonly overlap?: boolean
}

/** Bytes of engine memory that a session needs. */
export interface EngineMemory {
  /** Of the client's keys that are loaded; sessions of one client share them. */
  readonly keys: number
  /** Of encoded constants; sessions of one circuit share them. */
  readonly constants: number
  /** The most that one run takes at once: values, temporaries, tables. */
  readonly program: number
}

/**
 * The client's part in a refresh round, in frames. It is called for the next round before an earlier one is over, where
 * that does not depend on it.
 *
 * @param round from 0 on
 * @param masked frame of the round's masked tensor; the client's to keep or transfer
 * @param take has to be given the frame of the answer before the returned promise resolves. It rejects with
 *   TENSOR_MALFORMED, TOO_LARGE or PARAMETERS_MISMATCH when the frame is not the answer to this round, to its last residue;
 *   another one may then be given. What this function itself throws ends the execution.
 */
export type RefreshClient = (
  round: number,
  masked: Uint8Array<ArrayBuffer>,
  take: (refreshed: Uint8Array) => Promise<void>,
) => Promise<void>

/** One circuit under one client's evaluation keys, ready to run: frames in, frames out. */
export interface Session {
  /** Memory that the session takes until it is freed: what of `memory` is not shared. */
  readonly bytes: number
  /** Known before anything runs. */
  readonly memory: EngineMemory
  /** Threads that work at an inference. */
  readonly threads: number
  /**
   * Runs the circuit on an encrypted image.
   *
   * @param frame checked here, to the last residue; not changed
   * @param client needed by circuits with refresh rounds
   * @returns the frame of the encrypted logits, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for a bad frame; ExecutionStopped; WORKER_LOST; CONFIG_INVALID
   *   without the client that is needed; whatever the client throws
   */
  infer(frame: Uint8Array, control?: ExecutionControl, client?: RefreshClient): Promise<Uint8Array>
  free(): void
}
