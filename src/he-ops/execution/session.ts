/** How the caller follows and ends an execution. */
export interface ExecutionControl {
  /** Operations done, and their total. */
  readonly onProgress?: (done: number, total: number) => void
  /** Asked now and then; true ends the execution with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
}

/** One circuit under one client's evaluation keys, ready to run: frames in, frames out. */
export interface Session {
  /** Memory that the session takes until it is freed. */
  readonly bytes: number
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
