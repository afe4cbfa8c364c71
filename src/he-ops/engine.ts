import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import type { Circuit } from '../circuit/types.ts'
import type { EngineName } from '../schedule/engine-name.ts'
import type { ByteSource } from '../wire/index.ts'
import type { FloodingKeys } from './flooding.ts'

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
 * The client's part in a refresh round, in frames. It is called for the next round before an earlier one is
 * over, where that does not depend on it.
 *
 * @param round from 0 on
 * @param masked frame of the round's masked tensor; the client's to keep or transfer
 * @param take has to be given the frame of the answer before the returned promise resolves. It rejects with
 *   TENSOR_MALFORMED, TOO_LARGE or PARAMETERS_MISMATCH when the frame is not the answer to this round, to its
 *   last residue; another one may then be given. What this function itself throws ends the execution.
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
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for a bad frame; ExecutionStopped; WORKER_LOST;
   *   CONFIG_INVALID without the client that is needed; whatever the client throws
   */
  infer(frame: Uint8Array, control?: ExecutionControl, client?: RefreshClient): Promise<Uint8Array>
  free(): void
}

/** One client's evaluation keys in an engine, shared by the sessions of that client. */
export interface EngineKeys {
  /** Memory that they take now. Keys that belong to a session count there and not here. */
  readonly bytes: number
  /** Frees the keys. Their sessions must have been freed before. */
  free(): void
}

/** What a session is opened for. */
export interface OpenRequest {
  /** Verified. Read while the session is opened, and not kept where the engine can avoid it. */
  readonly circuit: Circuit
  /** The circuit's. */
  readonly manifest: Manifest
  /** The client's, made by `newKeys` of the same engine. */
  readonly keys: EngineKeys
  /** The key set's frame. */
  readonly source: ByteSource
  /** For the noise of answers, of this circuit and key set. */
  readonly floodingKeys: FloodingKeys
  /**
   * Sessions with one identity share encoded constants, which live as long as this object. By default the
   * circuit.
   */
  readonly identity?: object
}

/** Executes circuits on ciphertexts. Everything it loads stays in its memory until it is freed. */
export interface Engine {
  readonly name: EngineName
  /**
   * The most memory that circuits and keys may take, in bytes; infinite where the engine does not limit it.
   */
  readonly memoryLimit: number
  /**
   * Memory in bytes that an evaluation key set with so many rotations will take, the relinearisation key
   * included.
   */
  keyBytes(parameters: CkksParameters, rotations: number): number
  /** No keys yet, for one client: `open` loads what a circuit needs. Freed by the caller. */
  newKeys(parameters: CkksParameters): EngineKeys
  /**
   * Loads the keys that a circuit needs and makes it ready to run.
   *
   * @throws KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; LEVEL_EXHAUSTED when the
   *   flooding noise does not fit the output's level; CONFIG_INVALID when the engine cannot run the circuit
   * @throws EngineMemoryExceeded when memory does not suffice
   */
  open(request: OpenRequest): Promise<Session>
  /** Ends the engine's threads and frees its memory. Its sessions must not be used any more. */
  close(): Promise<void>
}
