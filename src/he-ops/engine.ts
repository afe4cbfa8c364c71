import type { Manifest } from '../circuit/manifest/manifest.ts'
import type { CkksParameters } from '../circuit/parameters/parameters.ts'
import type { Circuit } from '../circuit/types.ts'
import type { EngineName } from '../schedule/engine-name.ts'
import type { ByteSource } from '../wire/index.ts'
import type { FloodingKeys } from './flooding.ts'

/** Callbacks and options of an execution. */
export interface ExecutionControl {
  /** Called with the number of operations done and their total. */
  readonly onProgress?: (done: number, total: number) => void
  /** Asked between operations; true ends the execution with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
  /**
   * Resolves when `shouldStop` becomes true, so that an execution that waits for another one ends at once.
   */
  readonly stopped?: Promise<unknown>
  /**
   * Called with true when the execution can compute nothing more until its client has answered a refresh
   * round, and with false when it goes on.
   */
  readonly onWaiting?: (isWaiting: boolean) => void
  /**
   * False: refresh rounds run one after the other, for clients that work on the engine's thread. Default
   * true.
   */
  readonly overlap?: boolean
}

/** Bytes of engine memory that a session takes. */
export interface EngineMemory {
  /** Loaded keys of the client; shared by the client's sessions. */
  readonly keys: number
  /** Encoded constants; shared by the circuit's sessions. */
  readonly constants: number
  /** Most bytes of one run: values, temporaries, tables. */
  readonly program: number
}

/**
 * The client's part in a refresh round, in frames. It is called for the next round before an earlier one is
 * over, where the next one does not depend on it.
 *
 * @param round from 0 on
 * @param masked frame of the round's masked tensor; the client may keep or transfer it
 * @param take must be called with the frame of fresh encryptions before the returned promise resolves. It
 *   rejects with TENSOR_MALFORMED, TOO_LARGE or PARAMETERS_MISMATCH when the frame does not fit the round or
 *   a residue is out of range; another frame may then be passed. An error that the client throws ends the
 *   execution.
 */
export type RefreshClient = (
  round: number,
  masked: Uint8Array<ArrayBuffer>,
  take: (refreshed: Uint8Array) => Promise<void>,
) => Promise<void>

/** One circuit under one client's evaluation keys. It takes and returns frames. */
export interface Session {
  /** Memory of this session until it is freed, without the shared parts of `memory`. */
  readonly bytes: number
  /** Known before the first run. */
  readonly memory: EngineMemory
  /** Threads that compute an inference together. */
  readonly threads: number
  /**
   * Runs the circuit on an encrypted image.
   *
   * @param frame every residue is checked; not changed
   * @param client needed by circuits with refresh rounds
   * @returns the frame of the encrypted logits, re-randomised under the client's public key
   * @throws TENSOR_MALFORMED, PARAMETERS_MISMATCH, TOO_LARGE for a bad frame; ExecutionStopped; WORKER_LOST;
   *   CONFIG_INVALID when the circuit needs a client and there is none; errors of the client
   */
  infer(frame: Uint8Array, control?: ExecutionControl, client?: RefreshClient): Promise<Uint8Array>
  free(): void
}

/** One client's evaluation keys in an engine, shared by the client's sessions. */
export interface EngineKeys {
  /** Bytes of loaded keys, without keys that belong to a single session. */
  readonly bytes: number
  /** Frees the keys. Free their sessions before. */
  free(): void
}

/** Arguments of `open`. */
export interface OpenRequest {
  /** Verified. Read while the session is opened; the simd engine does not keep it. */
  readonly circuit: Circuit
  /** The circuit's manifest. */
  readonly manifest: Manifest
  /** The client's keys, made by `newKeys` of the same engine. */
  readonly keys: EngineKeys
  /** Frame of the client's key set. */
  readonly source: ByteSource
  /** Keys for the noise of answers, of this circuit and key set. */
  readonly floodingKeys: FloodingKeys
  /**
   * Sessions with the same identity share encoded constants, which stay until `forget`. Default: the circuit.
   */
  readonly identity?: object
  /** Asked between keys and between operations; true ends the loading with `ExecutionStopped`. */
  readonly shouldStop?: () => boolean
}

/** Executes circuits on ciphertexts. Keys and sessions stay in its memory until they are freed. */
export interface Engine {
  readonly name: EngineName
  /** The most bytes that circuits and keys may take; infinite where the engine has no limit. */
  readonly memoryLimit: number
  /** Bytes of memory in use; 0 where the engine does not count them. */
  readonly usedBytes: number
  /** Bytes of an evaluation key set with this many Galois keys, the relinearisation key included. */
  keyBytes(parameters: CkksParameters, galoisKeys: number): number
  /** An empty key set for one client. `open` loads the keys of a circuit; the caller frees the set. */
  newKeys(parameters: CkksParameters): EngineKeys
  /**
   * Loads the keys that a circuit needs and prepares it.
   *
   * @throws KEYS_MISSING, PARAMETERS_MISMATCH, TENSOR_MALFORMED for the key set; LEVEL_EXHAUSTED when the
   *   flooding noise does not fit the output's level; CONFIG_INVALID when the engine cannot run the circuit
   * @throws EngineMemoryExceeded when memory does not suffice; ExecutionStopped
   */
  open(request: OpenRequest): Promise<Session>
  /** Frees the encoded constants of this identity. Its sessions must have been freed before. */
  forget(identity: object): void
  /**
   * Frees all that is kept between sessions, so that the memory is as in a new engine. All sessions and key
   * sets must have been freed before.
   */
  clear(): Promise<void>
  /** Ends the engine's threads and frees its memory. Its sessions must not be used any more. */
  close(): Promise<void>
}
