import type { EngineMemory } from '../../he-ops/engine.ts'
import type { PreprocessedImage } from '../../preprocessing/index.ts'
import type { EngineName } from '../../schedule/engine-name.ts'

/** What the images of a batch cost together, in seconds. */
export interface BatchSeconds {
  readonly encrypt: number
  /** The server's part alone. */
  readonly execute: number
  /** The client's part in refresh rounds. */
  readonly refreshClient: number
  readonly decrypt: number
}

export interface VerifiedBatch {
  /** Of each image. */
  readonly logits: readonly Float64Array[]
  readonly seconds: BatchSeconds
}

/** A way to run images through a circuit, with what it costs beside the images. */
export interface VerificationBackend {
  readonly keygenSeconds: number
  /** What the evaluating side needed for loading keys and preparing the circuit. */
  readonly loadSeconds: number
  /** What the engine takes, known before it runs; zero where there is no engine. */
  readonly engineMemory: EngineMemory
  /** Bytes on the wire; zero where nothing is encrypted. */
  readonly bytes: {
    readonly keys: number
    readonly query: number
    readonly refreshUp: number
    readonly refreshDown: number
    readonly response: number
  }
  /** Refresh rounds of a batch that are run; none where nothing is encrypted. */
  readonly rounds: number
  /**
   * @param images of the shape that the circuit takes, at most as many as share its ciphertexts
   * @param onProgress operations done, and their total
   */
  run(images: readonly PreprocessedImage[], onProgress: OnProgress): Promise<VerifiedBatch>
  close(): Promise<void>
}

export type OnProgress = (done: number, total: number) => void
export type BackendName = EngineName | 'clear'
