/** How the caller follows and ends an execution. */
export interface ExecutionControl {
  /** Operations done, and their total. */
  readonly onProgress?: (done: number, total: number) => void
  /** Asked now and then; true ends the execution with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
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
   * @returns the frame of the encrypted logits, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for a bad frame; ExecutionStopped; WORKER_LOST
   */
  infer(frame: Uint8Array, control?: ExecutionControl): Promise<Uint8Array>
  free(): void
}
